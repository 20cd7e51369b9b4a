/**
 * Removal:   running? ──force: SIGKILL, exit──▶ state removing, stored ──▶ files ──▶ anonymous volumes, when asked for ──▶ record ──▶ `destroy`, waits answered
 *
 * The record goes last, so that a crash leaves something that the next boot finds and finishes.
 */
import { conflict, EngineError, errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { removeIdleParents } from '../linux/cgroups.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { releaseDevices } from './container-devices.ts';
import { isUp } from './container-state.ts';
import { removeAnonymousVolumes } from './container-volumes.ts';
import { isPaused } from './pause-container.ts';
import { removeDirectory } from './remove-directory.ts';
import { killAndWait } from './stop-container.ts';

/** Runs inside the container's lane. */
export async function removeContainer(
  context: ContainerContext,
  container: Container,
  options: { readonly force: boolean; readonly volumes: boolean },
): Promise<void> {
  if (isUp(container.state)) {
    if (!options.force) throw runningConflict(container);
    await killAndWait(context, container);
  }
  await enterRemoving(context, container, options.volumes);
  failpoint('remove.marked');
  try {
    await container.released;
    await context.logs.leave(container);
    // Of one whose monitor nobody could reach when the daemon started.
    if (container.devices !== null) await releaseDevices(context, container);
    await removeDirectory(container.paths.directory);
    failpoint('remove.files-gone');
    if (options.volumes) await removeAnonymousVolumes(context, container);
    await context.records.delete(container.record);
    failpoint('remove.record-gone');
  } catch (error) {
    throw await enterDead(context, container, error);
  }
  context.registry.delete(container);
  context.execs.forget(container.id);
  const { CgroupParent: parent } = container.hostConfig;
  if (parent !== '' && !parent.startsWith('/')) removeIdleParents(context.cgroupParent, parent);
  context.events.emit('destroy', container);
  container.waiters.removed({ statusCode: container.state.last.exitCode, error: null });
}

export function runningConflict(container: Container): EngineError {
  if (isPaused(container)) {
    const procedure = 'Unpause and then stop the container before attempting removal or force remove';
    return conflict(`You cannot remove a paused container ${container.id}. ${procedure}`);
  }
  const { status } = container.state;
  return conflict(`You cannot remove a ${status} container ${container.id}. Stop the container before attempting removal or force remove`);
}

async function enterRemoving(context: ContainerContext, container: Container, volumes: boolean): Promise<void> {
  container.state = { status: 'removing', last: container.state.last, volumes };
  for (const { relay } of container.waitingAttachments) relay.finish();
  container.waitingAttachments.clear();
  try {
    await context.records.update(container.record);
  } catch (error) {
    // A full disk refuses this as well, and what is about to be removed may be what fills it. Without the mark, a crash in between leaves a container
    // without files, which can be removed again.
    if (!(error instanceof EngineError) || !/no space left on device/.test(error.message)) throw error;
  }
}

async function enterDead(context: ContainerContext, container: Container, cause: unknown): Promise<EngineError> {
  const message = `cannot remove container ${container.id}: ${errorText(cause)}; remove it again when the cause is gone`;
  container.state = { status: 'dead', last: container.state.last };
  container.waiters.removed({ statusCode: container.state.last.exitCode, error: message });
  try {
    await context.records.update(container.record);
  } catch {
    // The disk that refused the removal refuses this too: the record says `removing`, and the next boot tries again.
  }
  return new EngineError('system', message, { cause });
}
