/** A container as `GET /containers/json` and `GET /containers/ID/json` show it, in the shape of the client's API version. */
import type { ContainerView, MountPoint } from '../containers/containers.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import { humanDuration } from '../wire/human-duration.ts';
import { formatTime, unixSeconds } from '../wire/timestamps.ts';
import type { BuiltinNetwork } from './builtin-networks.ts';

export interface ContainerJsonContext {
  readonly images: ImageCatalogue;
  readonly networks: readonly BuiltinNetwork[];
  readonly apiMinor: number;
}

export function containerSummary(view: ContainerView, context: ContainerJsonContext, now: Date): object {
  return {
    Id: view.id,
    Names: [`/${view.name}`],
    Image: shownImage(view, context.images),
    ImageID: view.imageId,
    Command: commandLine(view),
    Created: unixSeconds(view.createdAt),
    Ports: exposedPorts(view),
    ...(view.size === null ? {} : { SizeRw: view.size.rwBytes, SizeRootFs: view.size.rootFsBytes }),
    Labels: view.config.Labels,
    State: view.state.status,
    Status: statusText(view, now),
    HostConfig: {
      NetworkMode: view.hostConfig.NetworkMode,
      ...(context.apiMinor >= 46 && view.hostConfig.Annotations !== undefined ? { Annotations: view.hostConfig.Annotations } : {}),
    },
    NetworkSettings: { Networks: endpoints(view, context) },
    Mounts: view.mounts.map(mountJson),
  };
}

export function containerInspect(view: ContainerView, context: ContainerJsonContext): object {
  return {
    Id: view.id,
    Created: formatTime(view.createdAt),
    Path: view.path,
    Args: view.args,
    State: stateJson(view),
    Image: view.imageId,
    ResolvConfPath: view.paths.resolvConf,
    HostnamePath: view.paths.hostname,
    HostsPath: view.paths.hosts,
    LogPath: view.paths.log,
    Name: `/${view.name}`,
    RestartCount: view.restartCount,
    Driver: 'overlay2',
    Platform: view.platform.split('/', 1)[0],
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: view.execIds.length === 0 ? null : view.execIds,
    HostConfig: hostConfigJson(view, context.apiMinor),
    GraphDriver: { Data: view.graph, Name: 'overlay2' },
    ...(view.size === null ? {} : { SizeRw: view.size.rwBytes, SizeRootFs: view.size.rootFsBytes }),
    Mounts: view.mounts.map(mountJson),
    Config: configJson(view),
    NetworkSettings: networkSettings(view, context),
  };
}

function stateJson({ state }: ContainerView): object {
  const { status } = state;
  return {
    Status: status,
    Running: status === 'running' || status === 'paused' || status === 'restarting',
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: formatTime(state.startedAt),
    FinishedAt: formatTime(state.finishedAt),
  };
}

export function statusText({ state }: ContainerView, now: Date): string {
  const since = (time: Date | null) => humanDuration(time === null ? 0 : now.getTime() - time.getTime());
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}

function configJson({ config }: ContainerView): object {
  return { ...config, Volumes: config.Volumes ?? null, OnBuild: config.OnBuild ?? null, Labels: config.Labels };
}

function hostConfigJson({ hostConfig }: ContainerView, apiMinor: number): object {
  const { Annotations, ...rest } = hostConfig;
  return {
    ...rest,
    ...(apiMinor >= 43 && Annotations !== undefined ? { Annotations } : {}),
    ...(apiMinor < 42 ? { KernelMemory: 0, KernelMemoryTCP: 0 } : {}),
  };
}

function networkSettings(view: ContainerView, context: ContainerJsonContext): object {
  return {
    Bridge: '',
    SandboxID: '',
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    Ports: {},
    SandboxKey: '',
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: '',
    Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress: '',
    IPPrefixLen: 0,
    IPv6Gateway: '',
    MacAddress: '',
    Networks: endpoints(view, context),
  };
}

function endpoints(view: ContainerView, { networks, apiMinor }: ContainerJsonContext): object {
  const running = view.state.status === 'running' || view.state.status === 'paused';
  const entries = Object.keys(view.networks).map((name) => {
    const network = networks.find((candidate) => candidate.name === name);
    return [name, endpointJson(running ? (network?.id ?? '') : '', apiMinor)];
  });
  return Object.fromEntries(entries);
}

function endpointJson(networkId: string, apiMinor: number): object {
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: null,
    MacAddress: '',
    DriverOpts: null,
    ...(apiMinor >= 48 ? { GwPriority: 0 } : {}),
    NetworkID: networkId,
    EndpointID: '',
    Gateway: '',
    IPAddress: '',
    IPPrefixLen: 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    ...(apiMinor >= 44 ? { DNSNames: null } : {}),
  };
}

function mountJson(mount: MountPoint): object {
  return {
    Type: mount.type,
    Source: mount.source,
    Destination: mount.destination,
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

/** The name as given, unless that name means another image by now. */
function shownImage(view: ContainerView, images: ImageCatalogue): string {
  return images.find(view.imageReference)?.id === view.imageId ? view.imageReference : view.imageId;
}

function commandLine({ path, args }: ContainerView): string {
  return [path, ...args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' ');
}

function exposedPorts({ config, state }: ContainerView): readonly object[] {
  if (state.status !== 'running' && state.status !== 'paused') return [];
  return Object.keys(config.ExposedPorts ?? {}).flatMap((key) => {
    const match = /^(\d+)\/(\w+)$/.exec(key);
    return match === null ? [] : [{ PrivatePort: Number(match[1]), Type: match[2] }];
  });
}
