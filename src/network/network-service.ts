/**
 * Networks: the records, who has which address, and the order of things. Everything in the kernel is the net worker's (`net-calls.ts`).
 *
 *   create / remove ──▶ registry (names, subnets, addresses) ──▶ worker (bridge) ──▶ database (full)
 *   attach / connect / change ──▶ registry (addresses) ──▶ worker (namespace, ports, DNS) ──▶ database (normal: a reboot forgets them anyway)
 */
import type { ContainerId } from '../base/brand.ts';
import type { Logger } from '../base/log.ts';
import { attachContainer, checkSandbox, detachContainer } from './attach.ts';
import { auditNetworks } from './audit-networks.ts';
import { changeContainerPorts, renameContainer } from './change-ports.ts';
import { connectContainer, disconnectContainer } from './connect.ts';
import { isContainerAddress } from './container-address.ts';
import { ContainerLanes } from './container-lanes.ts';
import { createNetwork } from './create-network.ts';
import { namelessNetwork, predefinedId } from './default-bridge.ts';
import type { NetNotice, NetSettings } from './net-calls.ts';
import { lendNetDevices } from './net-devices.ts';
import type { LiveSandbox, NetworkContext } from './network-context.ts';
import { listMatcher } from './network-filters.ts';
import { readNetworks } from './network-record.ts';
import { type Network, NetworkRegistry } from './network-registry.ts';
import type { NetworkService, NetworkServiceOptions } from './network-service-options.ts';
import { networkView } from './network-view.ts';
import type { NetworkEvent, Sandbox } from './networks.ts';
import { isUsed, pruneNetworks, removeNetwork } from './remove-network.ts';
import { restoreNetworks } from './restore.ts';
import { publishedPorts, sandboxView } from './sandbox-view.ts';

export async function createNetworks(options: NetworkServiceOptions): Promise<NetworkService> {
  const { database, calls, settings, daemonId, globalName, logger } = options;
  const facts = await calls.open(workerSettings(options));
  for (const warning of facts.warnings) logger.warn({}, warning);
  const listeners = new Set<(event: NetworkEvent) => void>();
  const emit = (event: NetworkEvent) => {
    for (const listener of listeners) listener(event);
  };
  let usersOf: NetworkContext['usersOf'] = () => [];
  let findContainer: NetworkContext['findContainer'] | null = null;
  const context: NetworkContext = {
    database,
    calls,
    settings,
    daemonId,
    globalName,
    logger,
    facts,
    resolvConf: options.resolvConf ?? '/etc/resolv.conf',
    registry: new NetworkRegistry(),
    sandboxes: new Map(),
    lanes: new ContainerLanes(),
    usersOf: (id, name) => usersOf(id, name),
    findContainer: (reference) => (findContainer ?? attachedContainer)(reference),
    publish: (action, { record }, attributes = {}) =>
      emit({ action, id: record.id, attributes: { ...attributes, name: record.name, type: record.driver } }),
  };
  const attachedContainer = (reference: string) => findAttached(context, reference);
  const storedBridge = await loadNetworks(context);
  const viewOf = (network: Network) => networkView(context, network);
  const sandboxOf = (live: LiveSandbox) => requireView(context, live);
  return {
    facts,
    hasAddress: (address) => isContainerAddress(context.registry, address),
    audit: () => auditNetworks(context),
    create: (request) => createNetwork(context, request),
    remove: async (reference) => await removeNetwork(context, context.registry.resolve(reference)),
    async prune(filters) {
      const names = await pruneNetworks(context, filters);
      emit({ action: 'prune', id: '', attributes: { reclaimed: '0' } });
      return names;
    },
    list(filters) {
      const matches = listMatcher(filters);
      return context.registry
        .all()
        .flatMap((network) => (matches({ record: network.record, isUsed: isUsed(context, network) }) ? [viewOf(network)] : []));
    },
    inspect: (reference) => viewOf(context.registry.resolve(reference)),
    find(reference) {
      const network = context.registry.find(reference);
      return network === null ? null : viewOf(network);
    },
    check: (request) => checkSandbox(context, request),
    attach: async (request) => sandboxOf(await attachContainer(context, request)),
    sandbox(container) {
      const live = context.sandboxes.get(container);
      return live === undefined ? null : sandboxView(context.registry, live);
    },
    detach: (container) => detachContainer(context, container),
    connect: async (container, endpoint) => sandboxOf(await connectContainer(context, container, endpoint)),
    disconnect: async (container, network) => sandboxOf(await disconnectContainer(context, container, network)),
    changePorts: async (container, change) => sandboxOf(await changeContainerPorts(context, container, change)),
    lendDevices: (container, devices) => lendNetDevices(context, container, devices),
    rename: (container, name) => renameContainer(context, container, name),
    restore: (running) => restoreNetworks(context, storedBridge, running),
    publishedPorts: () => publishedPorts(context.registry, context.sandboxes.values()),
    setUsers(find) {
      usersOf = find;
    },
    setContainerLookup(find) {
      findContainer = find;
    },
    get hostGateway() {
      return hostGateways(context);
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    notice: (notice) => logNotice(context, logger, notice),
    close: (keep) => calls.close(keep),
  };
}

function workerSettings({ settings, globalName, resolvConf = '/etc/resolv.conf', pool = 4 }: NetworkServiceOptions): NetSettings {
  return {
    globalName,
    firewall: settings.firewall,
    firewall6: settings.firewall && settings.firewall6,
    dnsOnly: settings.hardened,
    ipForward: settings.ipForward,
    forwardJump: settings.forwardJump,
    proxy: settings.userlandProxy,
    publishMode: settings.firewall ? settings.publishMode : 'proxy',
    resolvConf,
    pool,
  };
}

/** Gives back the default network's record, whose place is found when it is known which containers run. */
async function loadNetworks({ database, registry, daemonId }: NetworkContext) {
  const bridgeId = predefinedId(daemonId, 'bridge');
  const records = await readNetworks(database);
  const startedAt = Date.now();
  registry.add(namelessNetwork(daemonId, 'host', startedAt), 'ready');
  registry.add(namelessNetwork(daemonId, 'none', startedAt), 'ready');
  for (const record of records) if (record.id !== bridgeId) registry.add(record, 'ready');
  return records.find(({ id }) => id === bridgeId) ?? null;
}

function findAttached({ sandboxes }: NetworkContext, reference: string): ContainerId | null {
  for (const [id, { record }] of sandboxes) if (record.containerName === reference || id.startsWith(reference)) return id;
  return null;
}

function requireView({ registry }: NetworkContext, live: LiveSandbox): Sandbox {
  const view = sandboxView(registry, live);
  if (view === null) throw new Error(`defect: container ${live.record.containerName} has no namespace`);
  return view;
}

function hostGateways({ settings, registry }: NetworkContext): readonly string[] {
  if (settings.hostGatewayIps.length > 0) return settings.hostGatewayIps;
  const bridge = registry.find('bridge')?.record;
  return [bridge?.v4?.gateway ?? '', bridge?.v6?.gateway ?? ''].filter((text) => text !== '');
}

function logNotice({ registry }: NetworkContext, logger: Logger, notice: NetNotice): void {
  if (notice.kind === 'log') {
    logger[notice.level](notice.fields, notice.message);
    return;
  }
  const network = registry.get(notice.networkId)?.record.name ?? notice.networkId;
  logger.warn(
    { network, subnet: notice.subnet, device: notice.device },
    `a route of the host to ${notice.subnet} (${notice.device}) overlaps with network ${network}: one of the two is out of reach`,
  );
}
