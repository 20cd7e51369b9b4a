/** Ports of a running container, beyond Docker; and the names that go with its own. */
import type { ContainerId } from '../base/brand.ts';
import { invalid, notFound } from '../base/errors.ts';
import { liveSandbox, placedEndpoints, runningSandbox } from './attach.ts';
import { remember } from './connect.ts';
import { chooseGateways } from './default-gateways.ts';
import type { PortResult } from './net-calls.ts';
import type { LiveSandbox, NetworkContext } from './network-context.ts';
import type { SandboxRecord } from './network-record.ts';
import type { PortChange } from './networks.ts';
import { dnsNames } from './plan-endpoint.ts';
import { isOf, portSpecs, portTargets, refuseTakenPorts, withPortHolder } from './port-plan.ts';
import { exposedKeys, parseContainerPorts, portKey, wishedPorts } from './port-wishes.ts';

export function changeContainerPorts(context: NetworkContext, containerId: ContainerId, change: PortChange): Promise<LiveSandbox> {
  return context.lanes.run(containerId, async () => {
    const live = runningSandbox(context, containerId);
    const { record } = live;
    const remove = Object.entries(change.remove).flatMap(([key, bindings]) => publishedAs(record, key, bindings));
    const wanted = { exposed: [], bindings: change.add, publishAll: false };
    const wishes = wishedPorts(wanted);
    const placed = placedEndpoints(context, record.endpoints);
    const add = portSpecs(context.settings, wishes, portTargets(placed, chooseGateways(placed)));
    if (add.length < wishes.length)
      throw invalid(`cannot publish ports of container ${record.containerName}: none of its networks is a bridge that leads to the host`);
    const endpoint = `${record.containerName} (${record.endpoints[0]?.spec.id ?? ''})`;
    refuseTakenPorts(context, endpoint, add, containerId);
    const result = await context.calls.changePorts(containerId, add, remove).catch((thrown) => {
      throw withPortHolder(thrown, context, endpoint, add);
    });
    // What is left of the old ones: a wish whose every binding was removed is gone.
    const left = record.ports.map((spec) => record.published.some((port) => isOf(port, spec) && !remove.includes(port)));
    const after: SandboxRecord = {
      ...record,
      exposed: [...new Set([...record.exposed, ...exposedKeys(wanted)])],
      wishes: [...record.wishes.filter((_, index) => left[index] === true), ...wishes],
      ports: [...record.ports.filter((_, index) => left[index] === true), ...add],
    };
    const changed = liveSandbox(after, live.embeddedDns, result);
    await remember(context, changed);
    return changed;
  });
}

/** Of one container port: everything, or what the bindings name; a binding without an address or port means any. */
function publishedAs(
  record: SandboxRecord,
  key: string,
  bindings: readonly { readonly HostIp: string; readonly HostPort: string }[],
): readonly PortResult[] {
  const wanted = new Set(parseContainerPorts(key).map(portKey));
  const ofPort = record.published.filter(({ containerPort, protocol }) => wanted.has(portKey({ port: containerPort, protocol })));
  const matching = (binding: { readonly HostIp: string; readonly HostPort: string }) =>
    ofPort.filter(
      ({ hostIp, hostPort }) =>
        (binding.HostIp === '' || binding.HostIp === hostIp) &&
        (['', '0'].includes(binding.HostPort) || binding.HostPort === String(hostPort)),
    );
  const groups = bindings.length === 0 ? [ofPort] : bindings.map(matching);
  const missing = groups.findIndex((group) => group.length === 0);
  if (missing < 0) return [...new Set(groups.flat())];
  const { HostIp = '', HostPort = '' } = bindings[missing] ?? {};
  const where = HostIp === '' && HostPort === '' ? '' : ` on ${HostIp === '' ? '' : `${HostIp}:`}${HostPort}`;
  throw notFound(`port ${key} of container ${record.containerName} is not published${where}`);
}

export function renameContainer(context: NetworkContext, containerId: ContainerId, containerName: string): Promise<void> {
  return context.lanes.run(containerId, async () => {
    const live = context.sandboxes.get(containerId);
    if (live === undefined) return;
    const owner = { ...live.record, containerName };
    const endpoints = live.record.endpoints.map((endpoint) => {
      const network = context.registry.get(endpoint.networkId);
      network?.members.set(containerId, containerName);
      const names = network === undefined ? [] : dnsNames(network.record, endpoint.state.settings, owner);
      return { ...endpoint, spec: { ...endpoint.spec, names }, state: { ...endpoint.state, dnsNames: names } };
    });
    if (live.kernel !== null)
      for (const { spec } of endpoints) if (spec.names.length > 0) await context.calls.setNames(spec.id, spec.names);
    await remember(context, { ...live, record: { ...owner, endpoints } });
  });
}
