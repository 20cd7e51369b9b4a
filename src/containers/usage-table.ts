/** Beyond Docker: what every running container and every process of them uses, once a second, for `gantry top`. Counters; the client makes differences of them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { GpuUsage } from '../devices/nvml/gpu-readings.ts';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import type { UsageTable } from './containers.ts';
import { gpuShares, gpusOf, processGpuUses } from './gpu-share.ts';
import { isPaused } from './pause-container.ts';
import type { UsageSample } from './usage-reading.ts';

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
    return [{ container, target, isPaused: isPaused(container), gpus: gpusOf(container.devices?.held ?? []) }];
  });
  const holdsSome = running.some(({ gpus }) => gpus.length > 0);
  const [samples, usage] = await Promise.all([
    context.usage.read(running.map(({ target }) => target)),
    holdsSome ? context.gpuWatch.usage() : null,
  ]);
  const rows = running.flatMap(({ container, isPaused: paused, gpus }, index) => {
    const sample = samples[index] ?? null;
    return sample === null ? [] : [{ id: container.id, name: container.name, isPaused: paused, sample, ...gpuUse(gpus, sample, usage) }];
  });
  return { at: new Date(), containers: rows };
}

function gpuUse(gpus: readonly string[], sample: UsageSample, usage: readonly GpuUsage[] | null) {
  const pids = new Set(gpus.length === 0 ? [] : sample.processes.map(({ pid }) => pid));
  return { gpus: gpuShares(gpus, pids, usage), gpuProcesses: processGpuUses(pids, usage) };
}
