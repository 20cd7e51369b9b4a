/** Beyond Docker: what every running container and every process of them uses, once a second, for `gantry top`. Counters; the client makes differences of them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import type { UsageTable } from './containers.ts';
import { isPaused } from './pause-container.ts';

const intervalMs = 1000;

export async function* usageTables(context: ContainerContext, signal: AbortSignal): AsyncGenerator<UsageTable> {
  while (!signal.aborted) {
    yield await usageTable(context);
    // A client that leaves ends the wait, which is no error.
    await delay(intervalMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

async function usageTable(context: ContainerContext): Promise<UsageTable> {
  const running = context.registry.all().flatMap((container) => {
    const { state, id } = container;
    if (state.status !== 'running') return [];
    const target = { id, cgroup: cgroupsPathOf(context, container), pid: state.process.pid, interfaces: [], processes: true };
    return [{ container, target, isPaused: isPaused(container) }];
  });
  const samples = await context.usage.read(running.map(({ target }) => target));
  const rows = running.flatMap(({ container, isPaused: paused }, index) => {
    const sample = samples[index] ?? null;
    return sample === null ? [] : [{ id: container.id, name: container.name, isPaused: paused, sample }];
  });
  return { at: new Date(), containers: rows };
}
