/**
 * Ways to end a container's process: stop (ask, wait, kill), kill (one signal), and the hard end for removals. What waits for its restart ends by not being
 * started again. All of them are remembered as somebody's wish, for the restart policy.
 */
import { EngineError, errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { isUp, type LastRun, type Restarting, type Running, requireRunning, waitResultOf } from './container-state.ts';
import type { StopOptions } from './containers.ts';
import { thawToEnd } from './pause-container.ts';
import { parseSignal, SIGKILL, SIGTERM } from './signals.ts';
import { patienceMs, StopPatience } from './stop-patience.ts';

const defaultTimeoutSeconds = 10;

/** A process that outlives SIGKILL for longer hangs in the kernel. */
const killedExitMs = 30_000;

export function stopTimeoutMs(container: Container, options: StopOptions): number {
  return patienceMs(options.timeoutSeconds ?? container.config.StopTimeout ?? defaultTimeoutSeconds);
}

/** Runs inside the container's lane. */
export async function stopContainer(
  context: ContainerContext,
  container: Container,
  options: StopOptions,
): Promise<'stopped' | 'already-stopped'> {
  const { state } = container;
  if (!isUp(state)) return 'already-stopped';
  await rememberStop(context, container);
  if (state.status === 'restarting') {
    await cancelRestart(context, container, state);
    context.events.emit('stop', container);
    return 'stopped';
  }
  state.endAsked = true;
  const patience = new StopPatience();
  container.stopPatience = patience;
  try {
    await sendSignal(context, container, state, stopSignal(container, options));
    failpoint('stop.signalled');
    patience.shorten(stopTimeoutMs(container, options));
    if ((await Promise.race([state.ended, patience.over])) === 'out-of-patience') await killAndWait(context, container);
    await endForGood(context, container);
  } finally {
    container.stopPatience = null;
    patience.end();
  }
  context.events.emit('stop', container);
  return 'stopped';
}

/** Checked before anything is queued, so that a wrong signal never stops anything. */
export function stopSignal(container: Container, options: StopOptions): number {
  const name = options.signal || container.config.StopSignal;
  return name ? parseSignal(name) : SIGTERM;
}

/** SIGKILL answers when the process is gone, as Docker does. */
export async function killContainer(context: ContainerContext, container: Container, signal: number): Promise<void> {
  const running = requireRunning(container.id, container.state);
  await rememberStop(context, container);
  if (isToEnd(container, signal)) running.endAsked = true;
  if (signal === SIGKILL) {
    await killAndWait(context, container);
    return;
  }
  if (!(await sendSignal(context, container, running, signal))) requireRunning(container.id, container.state);
}

/** Before anything is sent: if the daemon dies then, the next one still knows that this end was wanted. A daemon that leaves wishes nothing. */
async function rememberStop(context: ContainerContext, container: Container): Promise<void> {
  if (context.restarts.isEnded || container.restarts.stoppedByHand) return;
  container.restarts = { ...container.restarts, stoppedByHand: true };
  if (['', 'no'].includes(container.hostConfig.RestartPolicy.Name)) return;
  try {
    await context.records.update(container.record);
  } catch (error) {
    context.logger.error({ container: container.id, error: errorText(error) }, 'cannot store that a container is stopped on request');
  }
}

/** As Docker does it, whatever the signal: there is nobody to send it to. Runs inside the container's lane, as restarts do. */
export async function killRestarting(context: ContainerContext, container: Container, signal: number): Promise<void> {
  const { state } = container;
  if (state.status !== 'restarting') return await killContainer(context, container, signal);
  await rememberStop(context, container);
  await cancelRestart(context, container, state);
}

/** It had ended by itself when it was stopped, and its policy had its say: the stop has the last. */
async function endForGood(context: ContainerContext, container: Container): Promise<void> {
  if (container.state.status === 'restarting') await cancelRestart(context, container, container.state);
}

async function cancelRestart(context: ContainerContext, container: Container, waiting: Restarting): Promise<void> {
  waiting.cancel();
  container.state = { status: 'exited', last: waiting.last };
  container.waiters.exited(waitResultOf(waiting.last));
  try {
    await context.records.update(container.record);
  } catch (error) {
    context.logger.error({ container: container.id, error: errorText(error) }, 'cannot store that a container is not restarted any more');
  }
}

/** Ends a running container now, and keeps one from its restart; nothing to do for others. */
export async function killAndWait(context: ContainerContext, container: Container): Promise<LastRun> {
  const { state } = container;
  if (state.status === 'restarting') await cancelRestart(context, container, state);
  if (state.status !== 'running') return state.last;
  state.endAsked = true;
  await sendSignal(context, container, state, SIGKILL);
  const patience = new StopPatience();
  patience.shorten(killedExitMs);
  try {
    const outcome = await Promise.race([state.ended, patience.over]);
    if (outcome !== 'out-of-patience') {
      await endForGood(context, container);
      return outcome;
    }
  } finally {
    patience.end();
  }
  const seconds = killedExitMs / 1000;
  throw new EngineError(
    'system',
    `cannot end container ${container.id}: its process ${state.process.pid} did not exit within ${seconds} s after SIGKILL`,
  );
}

/** Docker's rule: SIGKILL, the container's stop signal, and any signal when it has none of its own. */
function isToEnd({ config: { StopSignal: own } }: Container, signal: number): boolean {
  return signal === SIGKILL || !own || parseSignal(own) === signal;
}

/** False when the process is gone already: its exit is on its way, and waiting for it is all that is left. */
async function sendSignal(context: ContainerContext, container: Container, running: Running, signal: number): Promise<boolean> {
  try {
    await running.process.kill(signal, 'init');
  } catch (error) {
    if (!(error instanceof EngineError && error.code === 'conflict')) throw error;
    await running.ended;
    return false;
  }
  context.events.emit('kill', container, { signal: String(signal) });
  if (isToEnd(container, signal)) thawToEnd(context, container, running);
  return true;
}
