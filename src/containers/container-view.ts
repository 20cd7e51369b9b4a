/** A container as `inspect` and `ps` see it. */
import type { EndpointState, Networks } from '../network/networks.ts';
import { appArmorProfileOf } from './apparmor-option.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { deviceLayerOf } from './container-devices.ts';
import { mountPointsOf } from './container-mounts.ts';
import { joinsContainer } from './container-networks.ts';
import type { StoredEndpoint } from './container-record.ts';
import { lowersOf } from './container-rootfs.ts';
import type { ContainerState } from './container-state.ts';
import type { ContainerView } from './containers.ts';
import { directorySize } from './directory-size.ts';
import { isPaused } from './pause-container.ts';

export async function containerView(context: ContainerContext, container: Container, withSize: boolean): Promise<ContainerView> {
  const { record, state, paths } = container;
  const ran = state.last.startedAt !== null;
  const shown = (path: string) => (ran ? path : '');
  return {
    id: record.id,
    name: record.name,
    createdAt: new Date(record.createdAt),
    path: record.path,
    args: record.args,
    state: {
      status: isPaused(container) ? 'paused' : state.status,
      oomKilled: state.last.oomKilled || (state.status === 'running' && state.oomTold),
      pid: state.status === 'running' ? state.process.pid : 0,
      exitCode: state.last.exitCode,
      error: state.last.error,
      startedAt: state.last.startedAt,
      finishedAt: state.last.finishedAt,
      health: container.health,
    },
    imageId: record.imageId,
    imageReference: record.imageReference,
    config: record.config,
    hostConfig: shownHostConfig(context, container),
    mounts: mountPointsOf(record.mounts),
    networks: endpointViews(context, container),
    ports: context.networks.sandbox(container.id)?.ports ?? {},
    sandboxKey: sandboxKeyOf(container),
    restartCount: container.restarts.count,
    appArmorProfile: ran ? (appArmorProfileOf(record.hostConfig, context.host) ?? '') : '',
    execIds: context.execs.idsOf(container.id),
    paths: {
      resolvConf: shown(paths.resolvConf),
      hostname: shown(paths.hostname),
      hosts: shown(paths.hosts),
      log: ran && record.hostConfig.LogConfig.Type === 'json-file' ? paths.log : '',
    },
    graph: graphOf(context, container),
    devices: container.state.status === 'running' ? container.devices : null,
    platform: record.platform,
    size: withSize ? await sizeOf(container) : null,
  };
}

/** Links as Docker shows them: with the name that the other has now. */
function shownHostConfig({ registry }: ContainerContext, { record }: Container): ContainerView['hostConfig'] {
  if (record.links.length === 0) return record.hostConfig;
  const shown = record.links.flatMap(({ containerId, alias }) => {
    const target = registry.get(containerId);
    return target === undefined ? [] : [`/${target.name}:/${record.name}/${alias}`];
  });
  return { ...record.hostConfig, Links: shown };
}

function sandboxKeyOf({ state, hostConfig }: Container): string {
  return state.status === 'running' && !joinsContainer(hostConfig.NetworkMode) ? `/proc/${state.process.pid}/ns/net` : '';
}

/** While it runs, what its networks say; else what it asks of them. `host` and `none` have an id at most. */
function endpointViews({ networks }: ContainerContext, { id, record, state }: Container): ContainerView['networks'] {
  const sandbox = state.status === 'running' ? networks.sandbox(id) : null;
  const shown = record.networks.map((stored) => [stored.network, sandbox?.endpoints[stored.network] ?? atRest(stored, networks, state)]);
  return Object.fromEntries(shown);
}

function atRest({ network, networkId, settings }: StoredEndpoint, networks: Networks, state: ContainerState): EndpointState {
  const ran = state.last.startedAt !== null;
  return { ...noEndpoint, networkId: networkId ?? (ran ? (networks.find(network)?.id ?? '') : ''), settings };
}

const noEndpoint: Omit<EndpointState, 'settings'> = {
  networkId: '',
  endpointId: '',
  macAddress: '',
  ipv4: '',
  prefix4: 0,
  gateway4: '',
  ipv6: '',
  prefix6: 0,
  gateway6: '',
  interfaceName: '',
  dnsNames: [],
};

function graphOf(context: ContainerContext, container: Container): Readonly<Record<string, string>> {
  const { paths } = container;
  const { base, lowers } = lowersOf(context, container);
  const devices = container.state.status === 'running' && container.devices?.hasLayer === true ? [deviceLayerOf(container)] : [];
  return {
    LowerDir: [...devices, ...lowers.map((lower) => `${base}/${lower}`)].join(':'),
    MergedDir: paths.merged,
    UpperDir: paths.upper,
    WorkDir: paths.work,
  };
}

async function sizeOf({ record, paths }: Container): Promise<ContainerView['size']> {
  const rwBytes = await directorySize(paths.upper);
  return { rwBytes, rootFsBytes: rwBytes + record.imageSizeBytes };
}
