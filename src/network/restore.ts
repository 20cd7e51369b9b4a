/**
 * The daemon starts: what runs keeps its network, what does not run loses what is left of it, and the kernel is brought to what the records say.
 */
import { errorText } from '../base/errors.ts';
import { liveSandbox, placedEndpoints } from './attach.ts';
import { lostToAnother, removeFromKernel } from './create-network.ts';
import { planDefaultBridge, predefinedId } from './default-bridge.ts';
import { dnsSpec } from './dns-plan.ts';
import { overlaps, parseAddress } from './ip-address.ts';
import { bridgeSpecOf, parentSpecOf } from './kernel-specs.ts';
import type { DnsSpec, RestoredSandbox } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import {
  deleteNetwork,
  deleteSandbox,
  type EndpointRecord,
  type NetworkRecord,
  readSandboxes,
  type SandboxRecord,
  saveNetwork,
} from './network-record.ts';
import { storedSubnet } from './network-registry.ts';
import type { RestoredContainer } from './networks.ts';
import { takenByHost } from './subnet-plan.ts';

const mostAttempts = 16;

/** `storedBridge`: the default network as it was, if ever. */
export async function restoreNetworks(
  context: NetworkContext,
  storedBridge: NetworkRecord | null,
  running: readonly RestoredContainer[],
): Promise<void> {
  const containers = new Map(running.map((container) => [container.containerId, container]));
  const records = await readSandboxes(context.database);
  const dead = records.filter(({ containerId }) => !containers.has(containerId));
  const alive = records.filter(({ containerId }) => containers.has(containerId));
  const isFresh = await placeDefaultBridge(context, storedBridge, alive);
  await warnOfOverlaps(context);
  for (const record of alive) takeAgain(context, record);
  const sandboxes = await Promise.all(alive.map((record) => restoredSandbox(context, record, containers.get(record.containerId))));
  const outcomes = await context.calls.restore({
    bridges: networksOf(context, 'bridge').map(bridgeSpecOf),
    parents: [...networksOf(context, 'macvlan'), ...networksOf(context, 'ipvlan')].map(parentSpecOf),
    sandboxes: sandboxes.filter((sandbox) => sandbox !== null),
    reclaimed: dead.flatMap(({ lent = [] }) => lent),
  });
  for (const record of alive) {
    const outcome = outcomes.find(({ id }) => id === record.containerId);
    const embeddedDns = sandboxes.find((sandbox) => sandbox?.spec.id === record.containerId)?.spec.dns !== null;
    if (outcome !== undefined && 'result' in outcome)
      context.sandboxes.set(record.containerId, liveSandbox(record, embeddedDns, outcome.result));
    else {
      const problem = outcome?.problem ?? 'the net worker says nothing of it';
      context.logger.error(
        { container: record.containerName, problem },
        'the network of a running container could not be taken over: restart it',
      );
      context.sandboxes.set(record.containerId, { record: { ...record, published: [] }, embeddedDns, kernel: null });
    }
  }
  if (dead.length > 0)
    await context.database.write(
      'normal',
      dead.map(({ containerId }) => deleteSandbox(containerId)),
    );
  if (isFresh) await settleDefaultBridge(context);
}

function networksOf({ registry }: NetworkContext, driver: NetworkRecord['driver']): readonly NetworkRecord[] {
  return registry.all().flatMap(({ record }) => (record.driver === driver && !record.configOnly ? [record] : []));
}

async function placeDefaultBridge(
  context: NetworkContext,
  stored: NetworkRecord | null,
  alive: readonly SandboxRecord[],
): Promise<boolean> {
  const id = predefinedId(context.daemonId, 'bridge');
  const inUse = alive.some(({ endpoints }) => endpoints.some(({ networkId }) => networkId === id));
  const plan = planDefaultBridge(context, stored, inUse, await context.calls.hostSubnets());
  if (plan === null) {
    await context.database.write('full', [deleteNetwork(id)]);
    return false;
  }
  context.registry.add(plan.record, 'ready');
  // A daemon that starts as it was last time waits for no disk.
  if (JSON.stringify(plan.record) !== JSON.stringify(stored)) await context.database.write('full', [saveNetwork(plan.record)]);
  return plan.isFreshChoice;
}

/** Two daemons that are started at once choose the same subnet for their default bridges: the younger device gives way. */
async function settleDefaultBridge(context: NetworkContext): Promise<void> {
  const id = predefinedId(context.daemonId, 'bridge');
  for (let attempt = 1; attempt < mostAttempts; attempt++) {
    const record = context.registry.get(id)?.record;
    if (record === undefined || !(await lostToAnother(context, record))) return;
    await removeFromKernel(context, record);
    context.registry.delete(id);
    const plan = planDefaultBridge(context, null, false, await context.calls.hostSubnets());
    if (plan === null) return;
    const next = { ...plan.record, createdAt: record.createdAt };
    context.registry.add(next, 'ready');
    await context.calls.ensureBridge(bridgeSpecOf(next));
    await context.database.write('full', [saveNetwork(next)]);
  }
}

/** A VPN may have come up while the daemon was away. The network stays: its containers rely on it. */
async function warnOfOverlaps(context: NetworkContext): Promise<void> {
  const hostSubnets = await context.calls.hostSubnets();
  for (const record of networksOf(context, 'bridge')) {
    for (const { subnet, owner } of takenByHost(hostSubnets, record.bridge)) {
      const own = [record.v4, record.v6].find((family) => family !== null && overlaps(storedSubnet(family.subnet), subnet));
      if (own)
        context.logger.warn(
          { network: record.name, subnet: own.subnet, owner },
          'a network of containers overlaps with what the host has now',
        );
    }
  }
}

function takeAgain(context: NetworkContext, { containerId, containerName, endpoints }: SandboxRecord): void {
  for (const { networkId, spec } of endpoints) {
    const network = context.registry.get(networkId);
    if (network === undefined) continue;
    network.members.set(containerId, containerName);
    for (const [range, text] of [
      [network.ranges.v4, spec.v4?.address],
      [network.ranges.v6, spec.v6?.address],
    ] as const) {
      const address = text === undefined ? null : parseAddress(text);
      if (range !== null && address !== null && !range.take(address))
        context.logger.error({ container: containerName, network: network.record.name, address: text }, 'an address has two owners');
    }
  }
}

async function restoredSandbox(
  context: NetworkContext,
  record: SandboxRecord,
  container: RestoredContainer | undefined,
): Promise<RestoredSandbox | null> {
  if (container === undefined) return null;
  const known = record.endpoints.filter(({ networkId }) => context.registry.get(networkId) !== undefined);
  return {
    spec: {
      id: record.containerId,
      name: record.containerName,
      endpoints: known.map(({ spec }) => spec),
      dns: await dnsOf(context, record, known),
      ports: record.ports,
    },
    ports: record.published,
    lent: record.lent ?? [],
    pid: container.pid,
    kept: container.kept,
  };
}

async function dnsOf(context: NetworkContext, record: SandboxRecord, endpoints: readonly EndpointRecord[]): Promise<DnsSpec | null> {
  try {
    return await dnsSpec(context, placedEndpoints(context, endpoints), record.dns);
  } catch (thrown) {
    // A container that it was linked with is gone: it goes on without its links.
    context.logger.warn({ container: record.containerName, error: errorText(thrown) }, 'links of a running container are lost');
    const unlinked = endpoints.map((endpoint) => ({
      ...endpoint,
      state: { ...endpoint.state, settings: { ...endpoint.state.settings, Links: null } },
    }));
    return await dnsSpec(context, placedEndpoints(context, unlinked), record.dns);
  }
}
