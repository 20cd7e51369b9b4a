/** A container gets its network before it starts, and loses it after it ended. */
import type { ContainerId } from '../base/brand.ts';
import { conflict, EngineError, errorText, invalid } from '../base/errors.ts';
import { chooseGateways, type PlacedEndpoint, withGateways } from './default-gateways.ts';
import { completeDns, dnsSpec, linksOf } from './dns-plan.ts';
import { checkEndpoint } from './endpoint-settings.ts';
import type { SandboxResult, SandboxSpec } from './net-calls.ts';
import type { LiveSandbox, NetworkContext } from './network-context.ts';
import { deleteSandbox, type EndpointRecord, type SandboxRecord, saveSandbox } from './network-record.ts';
import type { Network } from './network-registry.ts';
import type { SandboxRequest } from './networks.ts';
import { planEndpoint, releaseEndpoint } from './plan-endpoint.ts';
import { portSpecs, portTargets, refuseTakenPorts, withPortHolder } from './port-plan.ts';
import { exposedKeys, wishedPorts } from './port-wishes.ts';

/** What can be known before anything is reserved. */
export function checkSandbox(context: NetworkContext, request: SandboxRequest): void {
  const networks = request.endpoints.map(({ network, settings }) => {
    const found = connectable(context, network);
    checkEndpoint(found.record, settings);
    linksOf(context, settings);
    return found.record;
  });
  refuseTwice(networks.map(({ name }) => name));
  exposedKeys(request.ports);
  wishedPorts(request.ports);
}

/** Docker's refusals for the two networks that are none. */
export function connectable({ registry }: NetworkContext, reference: string): Network {
  const network = registry.resolve(reference);
  if (network.record.driver === 'host') throw invalid('container cannot be disconnected from host network or connected to host network');
  if (network.record.driver === 'null' && network.record.predefined)
    throw invalid('container cannot be connected to multiple networks with one of the networks in private (none) mode');
  return network;
}

function refuseTwice(names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`the network ${twice} is named twice`);
}

export function attachContainer(context: NetworkContext, request: SandboxRequest): Promise<LiveSandbox> {
  const { containerId } = request;
  return context.lanes.run(containerId, async () => {
    if (context.sandboxes.has(containerId)) throw conflict(`container ${request.containerName} is connected to its networks already`);
    await using undo = new AsyncDisposableStack();
    const { record, spec } = await planSandbox(context, request, undo);
    const endpoint = `${request.containerName} (${spec.endpoints[0]?.id ?? ''})`;
    refuseTakenPorts(context, endpoint, spec.ports);
    const result = await context.calls.createSandbox(spec).catch((thrown) => {
      throw withPortHolder(thrown, context, endpoint, spec.ports);
    });
    undo.defer(() => context.calls.removeSandbox(containerId));
    const live = liveSandbox(record, spec.dns !== null, result);
    // Before it is stored: whoever finds a port taken meanwhile is told by whom.
    context.sandboxes.set(containerId, live);
    undo.defer(() => void context.sandboxes.delete(containerId));
    await context.database.write('normal', [saveSandbox(live.record)]);
    undo.move();
    for (const { networkId } of live.record.endpoints) publish(context, 'connect', networkId, containerId);
    return live;
  });
}

async function planSandbox(
  context: NetworkContext,
  request: SandboxRequest,
  undo: AsyncDisposableStack,
): Promise<{ readonly record: SandboxRecord; readonly spec: SandboxSpec }> {
  const { containerId, containerName, hostname } = request;
  const placed = takeEndpoints(context, request, undo);
  const gateways = chooseGateways(placed);
  const endpoints = withGateways(
    placed.map(({ endpoint }) => endpoint),
    gateways,
  );
  const dns = completeDns(request.dns, context.settings.dns);
  const wishes = wishedPorts(request.ports);
  const ports = portSpecs(context.settings, wishes, portTargets(placed, gateways));
  if (ports.length < wishes.length)
    context.logger.warn(
      { container: containerName },
      'its ports are not published: none of its networks is a bridge that leads to the host',
    );
  warnOfSameMac(context, endpoints, containerName);
  return {
    record: { containerId, containerName, hostname, dns, exposed: exposedKeys(request.ports), wishes, ports, published: [], endpoints },
    spec: {
      id: containerId,
      name: containerName,
      endpoints: endpoints.map(({ spec }) => spec),
      dns: await dnsSpec(context, placed, dns),
      ports,
    },
  };
}

/** Without an await: a network that was found can't be removed before the container is its member. */
function takeEndpoints(context: NetworkContext, request: SandboxRequest, undo: AsyncDisposableStack): readonly PlacedEndpoint[] {
  const placed: PlacedEndpoint[] = [];
  for (const { network: reference, settings } of request.endpoints) {
    const network = connectable(context, reference);
    refuseTwice([...placed.map((other) => other.network.name), network.record.name]);
    const others = placed.map(({ endpoint }) => endpoint);
    const endpoint = planEndpoint(context, network, settings, request, others);
    undo.defer(() => releaseEndpoint(context, request.containerId, endpoint));
    placed.push({ endpoint, network: network.record });
  }
  return placed;
}

/** Somebody may want it (a spare that takes over), mostly it is a mistake. */
export function warnOfSameMac(context: NetworkContext, endpoints: readonly EndpointRecord[], containerName: string): void {
  for (const { networkId, spec } of endpoints) {
    if (spec.macAddress === '') continue;
    for (const { record } of context.sandboxes.values()) {
      const same = record.endpoints.some((other) => other.networkId === networkId && other.spec.macAddress === spec.macAddress);
      if (!same || record.containerName === containerName) continue;
      const network = context.registry.get(networkId)?.record.name;
      context.logger.warn(
        { container: containerName, other: record.containerName, network, macAddress: spec.macAddress },
        'two containers of one network have the same MAC address: only one of them can be reached',
      );
    }
  }
}

/** The record with what the worker found out. */
export function liveSandbox(record: SandboxRecord, embeddedDns: boolean, result: SandboxResult): LiveSandbox {
  const chosen = new Map(result.endpoints.map(({ id, macAddress }) => [id, macAddress]));
  const endpoints = record.endpoints.map((endpoint) => {
    const macAddress = endpoint.state.macAddress === '' ? (chosen.get(endpoint.spec.id) ?? '') : endpoint.state.macAddress;
    return { ...endpoint, state: { ...endpoint.state, macAddress } };
  });
  return {
    record: { ...record, endpoints, published: result.ports },
    embeddedDns,
    kernel: { namespaceFd: result.namespaceFd, keep: result.keep },
  };
}

export function publish(context: NetworkContext, action: string, networkId: string, container: ContainerId): void {
  const network = context.registry.get(networkId);
  if (network !== undefined) context.publish(action, network, { container });
}

/** Idempotent. When the kernel refuses, everything stays as it was, so that it can be tried again. */
export function detachContainer(context: NetworkContext, containerId: ContainerId): Promise<void> {
  return context.lanes.run(containerId, async () => {
    const live = context.sandboxes.get(containerId);
    if (live === undefined) return;
    await context.calls.removeSandbox(containerId);
    context.sandboxes.delete(containerId);
    for (const endpoint of live.record.endpoints) releaseEndpoint(context, containerId, endpoint);
    await forgetRecord(context, containerId);
    for (const { networkId } of live.record.endpoints) publish(context, 'disconnect', networkId, containerId);
  });
}

/** On a full disk the record stays for a while: what filled it is often removed a moment later, with the container itself. */
async function forgetRecord(context: NetworkContext, containerId: ContainerId, attemptsLeft = 60): Promise<void> {
  await context.database.write('normal', [deleteSandbox(containerId)]).catch((error) => {
    if (attemptsLeft > 0) {
      const again = () =>
        void context.lanes.run(containerId, async () => {
          if (!context.sandboxes.has(containerId)) await forgetRecord(context, containerId, attemptsLeft - 1);
        });
      setTimeout(again, 1000).unref();
      return;
    }
    // The next start of the daemon deletes it: the container does not run.
    context.logger.error({ container: containerId, error: errorText(error) }, 'the record of a network that is gone stays');
  });
}

export function runningSandbox(context: NetworkContext, containerId: ContainerId): LiveSandbox {
  const live = context.sandboxes.get(containerId);
  if (live === undefined) throw conflict(`container ${containerId.slice(0, 12)} has no network of its own now`);
  if (live.kernel !== null) return live;
  throw new EngineError(
    'unavailable',
    `the network of container ${live.record.containerName} could not be taken over when the daemon started: restart the container to change it`,
  );
}

/** Of an attached container. */
export function placedEndpoints({ registry }: NetworkContext, endpoints: readonly EndpointRecord[]): readonly PlacedEndpoint[] {
  return endpoints.flatMap((endpoint) => {
    const network = registry.get(endpoint.networkId)?.record;
    return network === undefined ? [] : [{ endpoint, network }];
  });
}
