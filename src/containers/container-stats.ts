/** `docker stats` of one container: which samples a client gets, and which one before each it is compared with. */
import { invalid } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { joinsContainer } from './container-networks.ts';
import { cgroupsPathOf } from './container-paths.ts';
import type { ContainerStats, StatsOptions } from './containers.ts';
import { gpuShares, gpusOf } from './gpu-share.ts';
import type { Watched } from './usage-collector.ts';

export function containerStats(
  context: ContainerContext,
  container: Container,
  { stream, oneShot }: StatsOptions,
  signal: AbortSignal,
): AsyncIterable<ContainerStats> {
  if (stream && oneShot) throw invalid('cannot have stream=true and one-shot=true');
  if (stream) return followed(context, container, signal);
  return oneShot || container.state.status !== 'running' ? single(context, container) : compared(context, container, signal);
}

async function* followed(context: ContainerContext, container: Container, signal: AbortSignal): AsyncGenerator<ContainerStats> {
  let previous: ContainerStats['sample'] = null;
  for await (const sample of context.usage.follow(watched(context, container), signal)) {
    yield await statsOf(context, container, sample, previous);
    previous = sample;
  }
}

async function* single(context: ContainerContext, container: Container): AsyncGenerator<ContainerStats> {
  yield await statsOf(context, container, await context.usage.sample(watched(context, container)), null);
}

/** The second of two: the first only tells what the processors had used by then. */
async function* compared(context: ContainerContext, container: Container, signal: AbortSignal): AsyncGenerator<ContainerStats> {
  let isFirst = true;
  for await (const stats of followed(context, container, signal)) {
    if (!isFirst) {
      yield stats;
      return;
    }
    isFirst = false;
  }
}

/** GPUs are asked about only for who has some; they may take a moment. */
async function statsOf(
  context: ContainerContext,
  container: Container,
  sample: ContainerStats['sample'],
  previous: ContainerStats['sample'],
): Promise<ContainerStats> {
  const { id, name } = container;
  const gpus = gpusOf(container.devices?.held ?? []);
  if (sample === null || gpus.length === 0) return { id, name, sample, previous, gpus: [] };
  const pids = new Set(sample.processes.map(({ pid }) => pid));
  return { id, name, sample, previous, gpus: gpuShares(gpus, pids, await context.gpuWatch.usage()) };
}

function watched(context: ContainerContext, container: Container): Watched {
  return () => {
    if (context.registry.get(container.id) !== container) return 'gone';
    const { state } = container;
    if (state.status !== 'running') return 'stopped';
    return {
      id: container.id,
      cgroup: cgroupsPathOf(context, container),
      pid: state.process.pid,
      interfaces: interfacesOf(context, container),
      // Whose use of GPUs is its own.
      processes: gpusOf(container.devices?.held ?? []).length > 0,
    };
  };
}

/** Those of its networks, or of the container whose network it shares. The host's interfaces are nobody's. */
function interfacesOf({ registry, networks }: ContainerContext, { id, hostConfig: { NetworkMode: mode } }: Container): readonly string[] {
  const owner = joinsContainer(mode) ? registry.find(mode.slice('container:'.length))?.id : id;
  const sandbox = owner === undefined ? null : networks.sandbox(owner);
  return Object.values(sandbox?.endpoints ?? {})
    .map(({ interfaceName }) => interfaceName)
    .filter((name) => name !== '');
}
