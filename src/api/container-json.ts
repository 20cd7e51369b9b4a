/** A container as `GET /containers/json` and `GET /containers/ID/json` show it, in the shape of the client's API version. */
import type { ContainerView, MountPoint } from '../containers/containers.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import { humanDuration } from '../wire/human-duration.ts';
import { formatTime, unixSeconds } from '../wire/timestamps.ts';
import { endpointJson, listedEndpointJson } from './endpoint-json.ts';

export interface ContainerJsonContext {
  readonly images: ImageCatalogue;
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
    Ports: listedPorts(view),
    ...(view.size === null ? {} : { SizeRw: view.size.rwBytes, SizeRootFs: view.size.rootFsBytes }),
    Labels: view.config.Labels,
    State: view.state.status,
    Status: statusText(view, now),
    HostConfig: {
      NetworkMode: networkMode(view, context.apiMinor),
      ...(context.apiMinor >= 46 && view.hostConfig.Annotations !== undefined ? { Annotations: view.hostConfig.Annotations } : {}),
    },
    NetworkSettings: { Networks: mapValues(view.networks, (endpoint) => listedEndpointJson(endpoint, context.apiMinor)) },
    // The path of a volume is not told in lists.
    Mounts: view.mounts.map((mount) => ({ ...mountJson(mount), ...(mount.type === 'volume' ? { Source: '' } : {}) })),
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
    AppArmorProfile: view.appArmorProfile,
    ExecIDs: view.execIds.length === 0 ? null : view.execIds,
    HostConfig: hostConfigJson(view, context.apiMinor),
    GraphDriver: { Data: view.graph, Name: 'overlay2' },
    ...(view.size === null ? {} : { SizeRw: view.size.rwBytes, SizeRootFs: view.size.rootFsBytes }),
    Mounts: view.mounts.map(mountJson),
    Config: configJson(view),
    NetworkSettings: networkSettings(view, context.apiMinor),
    ...(view.devices === null ? {} : { GrantedDevices: grantedJson(view.devices) }),
  };
}

/** Beyond Docker: which devices requests were answered with. */
function grantedJson({ held, nodes }: NonNullable<ContainerView['devices']>): object {
  return {
    Held: held.map(({ device, exclusive }) => ({ Device: device, Exclusive: exclusive })),
    Nodes: nodes.map(({ hostPath, path, access }) => ({ PathOnHost: hostPath, PathInContainer: path, CgroupPermissions: access })),
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
    ...(state.health === null ? {} : { Health: healthJson(state.health) }),
  };
}

function healthJson({ status, failingStreak, log }: NonNullable<ContainerView['state']['health']>): object {
  return {
    Status: status,
    FailingStreak: failingStreak,
    Log: log.map(({ start, end, exitCode, output }) => ({
      Start: formatTime(new Date(start)),
      End: formatTime(new Date(end)),
      ExitCode: exitCode,
      Output: output,
    })),
  };
}

export function statusText({ state }: ContainerView, now: Date): string {
  const since = (time: Date | null) => humanDuration(time === null ? 0 : now.getTime() - time.getTime());
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}${healthText(state.health)}`;
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

function healthText(health: ContainerView['state']['health']): string {
  if (health === null) return '';
  return health.status === 'starting' ? ' (health: starting)' : ` (${health.status})`;
}

function configJson({ config, networks, hostConfig }: ContainerView): object {
  // The address asked for the first network, where old clients look for it.
  const macAddress = networks[networkName(hostConfig.NetworkMode)]?.settings.MacAddress ?? '';
  return {
    ...config,
    Volumes: config.Volumes ?? null,
    ...(macAddress === '' ? {} : { MacAddress: macAddress }),
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels,
  };
}

function networkName(mode: string): string {
  return mode === '' || mode === 'default' ? 'bridge' : mode;
}

/** Since 1.44 the default is shown by its name. */
function networkMode({ hostConfig }: ContainerView, apiMinor: number): string {
  return apiMinor >= 44 ? networkName(hostConfig.NetworkMode) : hostConfig.NetworkMode;
}

function hostConfigJson(view: ContainerView, apiMinor: number): object {
  const { Annotations, ...rest } = view.hostConfig;
  return {
    ...rest,
    NetworkMode: networkMode(view, apiMinor),
    ...(apiMinor >= 43 && Annotations !== undefined ? { Annotations } : {}),
    ...(apiMinor < 42 ? { KernelMemory: 0, KernelMemoryTCP: 0 } : {}),
  };
}

function networkSettings(view: ContainerView, apiMinor: number): object {
  const legacy = view.networks.bridge;
  return {
    Bridge: '',
    SandboxID: view.sandboxKey === '' ? '' : view.id,
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    Ports: view.ports,
    SandboxKey: view.sandboxKey,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    // These belong to the default bridge alone.
    EndpointID: legacy?.endpointId ?? '',
    Gateway: legacy?.gateway4 ?? '',
    GlobalIPv6Address: legacy?.ipv6 ?? '',
    GlobalIPv6PrefixLen: legacy?.prefix6 ?? 0,
    IPAddress: legacy?.ipv4 ?? '',
    IPPrefixLen: legacy?.prefix4 ?? 0,
    IPv6Gateway: legacy?.gateway6 ?? '',
    MacAddress: legacy?.macAddress ?? '',
    Networks: mapValues(view.networks, (endpoint, name) => endpointJson(endpoint, aliasesOf(view, name, apiMinor), apiMinor)),
  };
}

/** Before 1.45 the short id was among the aliases on networks of the user. */
function aliasesOf({ id, networks }: ContainerView, network: string, apiMinor: number): readonly string[] | null {
  const asked = networks[network]?.settings.Aliases ?? null;
  if (apiMinor >= 45 || ['bridge', 'host', 'none'].includes(network)) return asked;
  return [...new Set([...(asked ?? []), id.slice(0, 12)])];
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, change: (value: T, key: string) => R): Readonly<Record<string, R>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}

function mountJson(mount: MountPoint): object {
  return {
    Type: mount.type,
    ...(mount.name === undefined ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === undefined ? {} : { Driver: mount.driver }),
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

function listedPorts({ ports }: ContainerView): readonly object[] {
  return Object.entries(ports).flatMap(([key, bindings]) => {
    const [port = '', protocol = 'tcp'] = key.split('/');
    const inside = { PrivatePort: Number(port), Type: protocol };
    if (bindings === null) return [inside];
    return bindings.map(({ HostIp, HostPort }) => ({
      IP: HostIp,
      PrivatePort: inside.PrivatePort,
      PublicPort: Number(HostPort),
      Type: inside.Type,
    }));
  });
}
