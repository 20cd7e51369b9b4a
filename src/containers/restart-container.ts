/**
 * Starts that nobody asked for at that moment: the restart policy's after its back-off, and those of a daemon that starts.
 *
 * A start that fails ends the policy, as in Docker: the container is exited with the failure's code and text.
 */
import { errorText } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import type { Restarting } from './container-state.ts';
import { startsWithDaemon } from './restart-policy.ts';
import { startContainer } from './start-container.ts';

/** How many are started at once when the daemon starts. */
const startsAtOnce = 8;

export async function startAgain(context: ContainerContext, container: Container, waited: Restarting): Promise<void> {
  const run = async () => {
    // Stopped, removed, or started by somebody, while it waited for its turn.
    if (container.state !== waited || context.restarts.isOver) return 'already-running' as const;
    return await startContainer(context, container, 'policy');
  };
  await submitStart(context, container, run, 'the restart policy could not start a container again');
}

/**
 * What ended while there was no daemon because the machine did, or because the last daemon stopped it, is started again as its policy says; each after
 * those whose namespaces it joins or that it is linked to. `unknown`: they may run for all we know.
 */
export async function startWithDaemon(context: ContainerContext, unknown: ReadonlySet<string>): Promise<void> {
  const left = new Set(context.registry.all().filter((container) => !unknown.has(container.id) && isToStart(container)));
  while (left.size > 0 && !context.restarts.isOver) {
    const ready = [...left].filter((container) => !needed(context, container).some((other) => left.has(other)));
    // Two that need each other: whoever is first fails, and says why.
    const batch = (ready.length > 0 ? ready : [...left]).slice(0, startsAtOnce);
    await Promise.all(batch.map((container) => startOnce(context, container)));
    for (const container of batch) left.delete(container);
  }
}

function isToStart({ state, hostConfig, restarts }: Container): boolean {
  const hasEnded = (state.status === 'exited' || state.status === 'created') && state.last.startedAt !== null;
  return hasEnded && startsWithDaemon(hostConfig.RestartPolicy, restarts, state.last.exitCode);
}

async function startOnce(context: ContainerContext, container: Container): Promise<void> {
  const run = async () => {
    if (!isToStart(container) || context.restarts.isOver) return 'already-running' as const;
    return await startContainer(context, container);
  };
  await submitStart(context, container, run, 'a container could not be started with the daemon');
}

async function submitStart(
  context: ContainerContext,
  container: Container,
  run: () => Promise<'started' | 'already-running'>,
  failure: string,
): Promise<void> {
  try {
    await container.lane.submit({ kind: 'start', force: false, run });
  } catch (error) {
    if (context.registry.get(container.id) !== container) return;
    context.logger.error({ container: container.id, error: errorText(error) }, failure);
  }
}

function needed({ registry }: ContainerContext, { hostConfig, record }: Container): readonly Container[] {
  const joined = [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode].flatMap((mode) =>
    mode.startsWith('container:') ? [registry.find(mode.slice('container:'.length))] : [],
  );
  const linked = record.links.map(({ containerId }) => registry.get(containerId) ?? null);
  return [...joined, ...linked].filter((other) => other !== null);
}
