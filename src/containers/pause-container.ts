/**
 * Pause and unpause: every process of a container stops where it is, and goes on.
 *
 *   thawed ──pause──▶ freezing ──the kernel has stopped all──▶ frozen ──unpause, or a signal that is to end it──▶ thawed
 *
 * The kernel remembers it, so a daemon that starts again asks there (`isPaused`); nothing is stored. Both pass the container's lane by: a pause must reach a
 * container whose stop waits for its time-out, and its end thaws it.
 */
import { conflict, EngineError, errorText } from '../base/errors.ts';
import { freezeCgroup, isFrozen, thawCgroup } from '../linux/cgroup-freezer.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import { type Running, requireRunning } from './container-state.ts';

export async function pauseContainer(context: ContainerContext, container: Container): Promise<void> {
  const running = requireRunning(container.id, container.state);
  if (running.freezer !== 'thawed') throw conflict(`Container ${container.id} is already paused`);
  running.freezer = 'freezing';
  try {
    await freezeCgroup(cgroupsPathOf(context, container));
  } catch (error) {
    running.freezer = 'thawed';
    requireRunning(container.id, container.state);
    throw cannot('pause', container, error);
  }
  // A kill meanwhile has thawed it again.
  if (running.freezer !== 'freezing') throw conflict(`Container ${container.id} was sent a signal while it was being paused`);
  running.freezer = 'frozen';
  context.events.emit('pause', container);
}

export async function unpauseContainer(context: ContainerContext, container: Container): Promise<void> {
  const { state } = container;
  if (state.status !== 'running' || state.freezer === 'thawed') throw conflict(`Container ${container.id} is not paused`);
  try {
    thaw(context, container, state);
  } catch (error) {
    throw cannot('unpause', container, error);
  }
}

/** A signal that is to end a container takes effect once its processes run again; others wait in the kernel. */
export function thawToEnd(context: ContainerContext, container: Container, running: Running): void {
  if (running.freezer === 'thawed') return;
  try {
    thaw(context, container, running);
  } catch (error) {
    context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot unpause a container that was sent a signal');
  }
}

export function isPaused({ state }: Pick<Container, 'state'>): boolean {
  return state.status === 'running' && state.freezer === 'frozen';
}

/** Throws for what needs processes that run: `exec`, `attach`. */
export function refusePaused(container: Container, shown: string, before: string): void {
  if (isPaused(container)) throw conflict(`${shown} is paused, unpause the container before ${before}`);
}

/** What the kernel says of a container that was found running. */
export function freezerOfKernel(context: ContainerContext, container: Container): Running['freezer'] {
  try {
    return isFrozen(cgroupsPathOf(context, container)) ? 'frozen' : 'thawed';
  } catch (error) {
    context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot see whether a container is paused');
    return 'thawed';
  }
}

function thaw(context: ContainerContext, container: Container, running: Running): void {
  const wasFrozen = running.freezer === 'frozen';
  thawCgroup(cgroupsPathOf(context, container));
  running.freezer = 'thawed';
  if (wasFrozen) context.events.emit('unpause', container);
}

function cannot(what: string, { id }: Container, cause: unknown): EngineError {
  const code = cause instanceof EngineError ? cause.code : 'system';
  return new EngineError(code, `Cannot ${what} container ${id}: ${errorText(cause)}`, { cause });
}
