/** What a change of published ports makes of a container's configuration, so that its next start publishes the same. Pure. */
import type { PortChange } from '../network/networks.ts';
import type { ContainerConfig, HostConfig } from './config.ts';

type Binding = HostConfig['PortBindings'][string][number];

export function changedBindings(config: ContainerConfig, hostConfig: HostConfig, change: PortChange): HostConfig {
  const removed = normalised(change.remove);
  const bindings = new Map(Object.entries(normalised(hostConfig.PortBindings)));
  // `-P` publishes whatever is exposed: to take one of them away, the others are named.
  const spelledOut = hostConfig.PublishAllPorts && Object.keys(removed).length > 0;
  if (spelledOut) {
    for (const key of Object.keys(config.ExposedPorts ?? {})) if (!bindings.has(key)) bindings.set(key, [{ HostIp: '', HostPort: '' }]);
  }
  for (const [key, gone] of Object.entries(removed)) {
    const left = gone.length === 0 ? [] : gone.reduce(without, bindings.get(key) ?? []);
    if (left.length === 0) bindings.delete(key);
    else bindings.set(key, left);
  }
  for (const [key, added] of Object.entries(normalised(change.add))) bindings.set(key, [...(bindings.get(key) ?? []), ...added]);
  return {
    ...hostConfig,
    PortBindings: Object.fromEntries(bindings),
    PublishAllPorts: hostConfig.PublishAllPorts && !spelledOut,
  };
}

/** `80` is `80/tcp`; an empty list is one binding of Docker's choice when it publishes. */
function normalised(bindings: PortChange['add']): Record<string, Binding[]> {
  return Object.fromEntries(Object.entries(bindings).map(([key, list]) => [key.includes('/') ? key : `${key}/tcp`, [...list]]));
}

/** The binding as it was asked for, else the one that can have become it: an ephemeral port or a range. */
function without(bindings: Binding[], gone: Binding): Binding[] {
  const exact = bindings.findIndex(({ HostIp, HostPort }) => HostIp === gone.HostIp && HostPort === gone.HostPort);
  const index = exact >= 0 ? exact : bindings.findIndex((binding) => mayBe(binding, gone));
  return bindings.filter((_, position) => position !== index);
}

function mayBe(asked: Binding, actual: Binding): boolean {
  const everywhere = ['', '0.0.0.0', '::'];
  const sameAddress = asked.HostIp === actual.HostIp || (everywhere.includes(asked.HostIp) && everywhere.includes(actual.HostIp));
  if (!sameAddress) return false;
  const range = /^(\d+)-(\d+)$/.exec(asked.HostPort);
  const port = Number(actual.HostPort);
  return ['', '0', actual.HostPort].includes(asked.HostPort) || (range !== null && port >= Number(range[1]) && port <= Number(range[2]));
}
