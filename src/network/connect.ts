/** A running container joins one more network, or leaves one. Its default routes and published ports may move to another endpoint with it. */
import type { ContainerId } from '../base/brand.ts';
import { EngineError, errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { connectable, liveSandbox, placedEndpoints, publish, runningSandbox, warnOfSameMac } from './attach.ts';
import { chooseGateways, withGateways } from './default-gateways.ts';
import { dnsSpec } from './dns-plan.ts';
import type { DefaultGateways, DnsSpec, SandboxResult } from './net-calls.ts';
import type { LiveSandbox, NetworkContext } from './network-context.ts';
import { type EndpointRecord, type SandboxRecord, saveSandbox } from './network-record.ts';
import type { EndpointRequest } from './networks.ts';
import { planEndpoint, releaseEndpoint } from './plan-endpoint.ts';
import { pinned, portSpecs, portTargets } from './port-plan.ts';

export function connectContainer(context: NetworkContext, containerId: ContainerId, request: EndpointRequest): Promise<LiveSandbox> {
  return context.lanes.run(containerId, async () => {
    const { record } = runningSandbox(context, containerId);
    const network = connectable(context, request.network);
    if (record.endpoints.some(({ networkId }) => networkId === network.record.id))
      throw new EngineError('forbidden', `endpoint with name ${record.containerName} already exists in network ${network.record.name}`);
    await using undo = new AsyncDisposableStack();
    const planned = planEndpoint(context, network, request.settings, record, record.endpoints);
    undo.defer(() => releaseEndpoint(context, containerId, planned));
    const { endpoints, gateways, dns } = await arrange(context, record, [...record.endpoints, planned]);
    const added = endpoints.find(({ spec }) => spec.id === planned.spec.id) ?? planned;
    warnOfSameMac(context, [added], record.containerName);
    const joined = await context.calls.addEndpoint(containerId, added.spec, dns, gateways);
    failpoint('connect.joined');
    undo.defer(async () => {
      const before = await arrange(context, record, record.endpoints);
      await context.calls.removeEndpoint(containerId, added.spec.id, before.dns, before.gateways);
    });
    const after = { ...record, endpoints };
    const live = await movePorts(context, liveSandbox(after, dns !== null, joined), gateways);
    await remember(context, live);
    undo.move();
    publish(context, 'connect', network.record.id, containerId);
    return live;
  });
}

export function disconnectContainer(context: NetworkContext, containerId: ContainerId, reference: string): Promise<LiveSandbox> {
  return context.lanes.run(containerId, async () => {
    const live = runningSandbox(context, containerId);
    const network = context.registry.resolve(reference);
    const leaving = live.record.endpoints.find(({ networkId }) => networkId === network.record.id);
    if (leaving === undefined)
      throw new EngineError('forbidden', `container ${live.record.containerName} is not connected to network ${network.record.name}`);
    const staying = live.record.endpoints.filter((endpoint) => endpoint !== leaving);
    const { endpoints, gateways, dns } = await arrange(context, live.record, staying);
    const moved = await movePorts(context, { ...live, record: { ...live.record, endpoints: [...endpoints, leaving] } }, gateways);
    const staysWith = { ...moved.record, endpoints };
    // First, so that a daemon that dies now leaves an interface that the next one finds to be nobody's, and not a container that misses one.
    await context.database.write('normal', [saveSandbox(staysWith)]);
    const result = await leave(context, containerId, leaving, { dns, gateways }, moved);
    failpoint('disconnect.left');
    const after = liveSandbox(staysWith, dns !== null, result);
    releaseEndpoint(context, containerId, leaving);
    await remember(context, after);
    publish(context, 'disconnect', network.record.id, containerId);
    return after;
  });
}

/** When the kernel refuses, it is on the network still, its ports moved. */
async function leave(
  context: NetworkContext,
  containerId: ContainerId,
  leaving: EndpointRecord,
  { dns, gateways }: { readonly dns: DnsSpec | null; readonly gateways: DefaultGateways },
  moved: LiveSandbox,
): Promise<SandboxResult> {
  try {
    return await context.calls.removeEndpoint(containerId, leaving.spec.id, dns, gateways);
  } catch (thrown) {
    await remember(context, moved);
    throw thrown;
  }
}

/** Everything that follows from which endpoints a container has. */
async function arrange(context: NetworkContext, record: SandboxRecord, endpoints: readonly EndpointRecord[]) {
  const placed = placedEndpoints(context, endpoints);
  const gateways = chooseGateways(placed);
  return { endpoints: withGateways(endpoints, gateways), gateways, dns: await dnsSpec(context, placed, record.dns) };
}

/** When answers leave by another endpoint, ports must lead there. They keep their numbers. */
async function movePorts(context: NetworkContext, live: LiveSandbox, gateways: DefaultGateways): Promise<LiveSandbox> {
  const { record } = live;
  const ports = portSpecs(context.settings, pinned(record), portTargets(placedEndpoints(context, record.endpoints), gateways));
  const [first] = record.ports;
  const [next] = ports;
  const same = first?.target4 === next?.target4 && first?.target6 === next?.target6;
  if (record.wishes.length === 0 || same) return live;
  const result: SandboxResult = await context.calls.changePorts(record.containerId, ports, record.published);
  return liveSandbox({ ...record, ports }, live.embeddedDns, result);
}

export async function remember(context: NetworkContext, live: LiveSandbox): Promise<void> {
  context.sandboxes.set(live.record.containerId, live);
  await context.database.write('normal', [saveSandbox(live.record)]).catch((error) => {
    // The kernel is as memory says; only a daemon that starts would know less.
    context.logger.error({ container: live.record.containerId, error: errorText(error) }, 'the change of a network could not be stored');
  });
}
