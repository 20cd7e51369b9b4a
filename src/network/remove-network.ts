/** `network rm` and `network prune`: refused while a container uses it. What is half removed after a failure is whole again after the next start. */
import { EngineError } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { removeFromKernel } from './create-network.ts';
import type { NetworkContext } from './network-context.ts';
import { pruneMatcher } from './network-filters.ts';
import { deleteNetwork } from './network-record.ts';
import type { Network } from './network-registry.ts';
import type { NetworkFilters } from './networks.ts';

export async function removeNetwork(context: NetworkContext, network: Network): Promise<void> {
  const { record } = network;
  refuseRemoval(context, network);
  context.registry.setState(record.id, 'removing');
  try {
    await removeFromKernel(context, record);
    await context.database.write('full', [deleteNetwork(record.id)]);
    failpoint('network.record-gone');
  } catch (thrown) {
    context.registry.setState(record.id, 'ready');
    throw thrown;
  }
  context.registry.delete(record.id);
  context.publish('destroy', network);
}

function refuseRemoval({ registry }: NetworkContext, { record, members }: Network): void {
  if (record.predefined) throw new EngineError('forbidden', `${record.name} is a pre-defined network and cannot be removed`);
  const failed = 'error while removing network: ';
  const dependants = registry.all().filter((other) => other.record.configFrom === record.name);
  if (record.configOnly && dependants.length > 0) {
    const names = dependants.map((other) => other.record.name).join(', ');
    throw new EngineError('forbidden', `${failed}configuration network ${record.name} is in use by ${names}`);
  }
  if (members.size === 0) return;
  const users = [...members].map(([id, name]) => `name:${JSON.stringify(name)} id:${JSON.stringify(id.slice(0, 12))}`);
  throw new EngineError('forbidden', `${failed}network ${record.name} has active endpoints (${users.join(', ')})`);
}

/** By a container that runs, or one that would be connected to it when it starts. */
export function isUsed(context: NetworkContext, { record, members }: Network): boolean {
  return members.size > 0 || context.usersOf(record.id, record.name).length > 0;
}

/** Templates stay: that nobody is connected to them says nothing. */
export async function pruneNetworks(context: NetworkContext, filters: NetworkFilters): Promise<readonly string[]> {
  const matches = pruneMatcher(filters);
  const removed: string[] = [];
  for (const network of context.registry.all()) {
    const { record } = network;
    const used = isUsed(context, network);
    if (record.predefined || record.configOnly || used || !matches({ record, isUsed: used })) continue;
    try {
      await removeNetwork(context, network);
      removed.push(record.name);
    } catch (thrown) {
      // Somebody came in between.
      if (!(thrown instanceof EngineError && thrown.code === 'forbidden')) throw thrown;
    }
  }
  return removed;
}
