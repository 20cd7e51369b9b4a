/**
 * What a start of the daemon finds:
 *
 *   record        runtime                      becomes
 *   running       runs                         running, watched again
 *   running       ended                        exited or restarting, with its code; `--rm` is honoured
 *   running       lost (the machine restarted) exited, 255; started again as its policy says
 *   created, …    runs (crash within a start)  running
 *   created, …    ended and not yet stored     exited or restarting
 *   restarting    –                            restarting, for the rest of its back-off
 *   exited, --rm  –                            removed (crash before that)
 *   removing      –                            removed
 *   none          runs                         killed
 *   none          a directory                  removed
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { errorText } from '../base/errors.ts';
import type { RestoredContainer } from '../network/networks.ts';
import { silentMonitor } from '../runtime/late-container.ts';
import type { ExitStatus, RunningContainer } from '../runtime/runtime.ts';
import { endFormerBriefPause } from './brief-pause.ts';
import { settleNetworks } from './change-networks.ts';
import { defaultExecConfig } from './config-defaults.ts';
import { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { adoptDevices, releaseDevices } from './container-devices.ts';
import { ownEndpoints } from './container-networks.ts';
import { cgroupsPathOf, containerPaths } from './container-paths.ts';
import type { ContainerRecord } from './container-record.ts';
import { keepForDaemon } from './container-sandbox.ts';
import { type LastRun, waitResultOf } from './container-state.ts';
import { restoreVolumes } from './container-volumes.ts';
import { followExec } from './exec-container.ts';
import { type Exec, probeIdPrefix } from './exec-registry.ts';
import { endAdoptedProbe } from './health-probe.ts';
import { namesInDirectory } from './names-in-directory.ts';
import { removeNotedVolumes } from './new-volumes.ts';
import { freezerOfKernel } from './pause-container.ts';
import { removeContainer } from './remove-container.ts';
import { removeDirectory } from './remove-directory.ts';
import { autoRemove, enterRunning, lastRunAfter, recordEnd } from './run-container.ts';
import { SIGKILL } from './signals.ts';

const idPattern = /^[0-9a-f]{64}$/;

/** Returns those of which nobody knows whether they run: they must not be started. */
export async function adoptContainers(context: ContainerContext): Promise<ReadonlySet<string>> {
  // Of these the runtime holds something, whatever our records say.
  const runtimeIds = await containerIdsIn(context.runtimeEntries);
  const records = await context.records.all();
  const known = new Set<string>(records.map(({ id }) => id));
  const held = new Set<string>(runtimeIds);
  for (const record of records) context.registry.add(new Container(record, containerPaths(context.root, record.id)));
  // No end is told before the networks know who runs: they would not know what to take back.
  const networksRestored = Promise.withResolvers<void>();
  const adopted = await Promise.all(records.map((record) => adoptRun(context, record, held.has(record.id), networksRestored.promise)));
  await restoreNetworks(context);
  await restoreVolumes(context);
  networksRestored.resolve();
  for (const container of context.registry.all()) if (container.state.status !== 'running') context.logs.resume(container);
  const unknown = new Set(records.filter((_, index) => !adopted[index]).map(({ id }) => id as string));
  for (const record of records) if (!unknown.has(record.id)) waitAgain(context, record);
  await Promise.all(records.map((record) => finishRemoval(context, record)));
  await Promise.all(runtimeIds.filter((id) => !known.has(id)).map((id) => endStray(context, id)));
  await removeStrayDirectories(context, known);
  return unknown;
}

async function adoptRun(context: ContainerContext, record: ContainerRecord, held: boolean, announced: Promise<void>): Promise<boolean> {
  const known = await adoptProcess(context, record, held, announced);
  const container = context.registry.resolve(record.id);
  // What may run for all we know keeps its devices.
  if (!known) adoptDevices(context, container);
  else if (container.devices !== null && container.state.status !== 'running') await releaseDevices(context, container);
  return known;
}

async function adoptProcess(context: ContainerContext, record: ContainerRecord, held: boolean, announced: Promise<void>): Promise<boolean> {
  if (record.state.status !== 'running' && !held) return true;
  const container = context.registry.resolve(record.id);
  try {
    const found = await context.runtime.adopt(container.id, cgroupsPathOf(context, container), record.state.kept);
    if (isRunning(found)) {
      adoptRunning(context, container, found, announced);
      await context.records.update(container.record);
      return true;
    }
    if (record.state.status === 'running' || (found !== 'lost' && !alreadyStored(record, found)))
      await adoptEnd(context, container, record, found);
    await removeRuntimeEntry(context, container.id);
    return true;
  } catch (error) {
    logFailure(context, record, error);
    return false;
  }
}

/** It waited for its restart when the last daemon ended, and neither began nor failed to begin. */
function waitAgain(context: ContainerContext, { id, state }: ContainerRecord): void {
  const container = context.registry.resolve(id);
  const isSameEnd = container.state.status === 'exited' && container.state.last.finishedAt?.getTime() === state.finishedAt;
  if (state.status !== 'restarting' || !isSameEnd) return;
  const { delayMs } = container.restarts;
  const waitedMs = Date.now() - (state.finishedAt ?? 0);
  container.state = context.restarts.wait(container, container.state.last, Math.min(Math.max(delayMs - waitedMs, 0), delayMs));
}

async function finishRemoval(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const container = context.registry.resolve(record.id);
  try {
    if (container.hostConfig.AutoRemove && hasRun(container)) await autoRemove(context, container);
    const { status, removesVolumes = container.hostConfig.AutoRemove } = record.state;
    if (status === 'removing' || status === 'dead') await removeContainer(context, container, { force: true, volumes: removesVolumes });
  } catch (error) {
    logFailure(context, record, error);
  }
}

function logFailure({ logger }: ContainerContext, { id }: ContainerRecord, error: unknown): void {
  logger.error({ container: id, error: errorText(error) }, 'cannot take a container over from before the restart');
}

/** Before anything is served: what runs has its network again, and what belongs to nobody is removed. */
async function restoreNetworks(context: ContainerContext): Promise<void> {
  const running = context.registry.all().flatMap(({ id, name, state, record }): RestoredContainer[] => {
    if (state.status !== 'running' || ownEndpoints(record).length === 0) return [];
    const { pid, kept } = state.process;
    return [{ containerId: id, containerName: name, pid, kept }];
  });
  await context.networks.restore(running);
  await Promise.all(running.map(({ containerId }) => keepAgain(context, containerId)));
}

/** What had to be made anew is kept as the rest is. */
async function keepAgain(context: ContainerContext, id: ContainerId): Promise<void> {
  const container = context.registry.get(id);
  const sandbox = context.networks.sandbox(id);
  if (container?.state.status !== 'running' || sandbox === null || container.state.process.answered) return;
  await settleNetworks(context, container, sandbox).catch((error) => logFailure(context, container.record, error));
  const { process } = container.state;
  const labels = new Set(process.kept.descriptors.map(({ label }) => label));
  const same = sandbox.keep.length === labels.size && sandbox.keep.every(({ label }) => labels.has(label));
  if (!same) await keepForDaemon(context, container, process, sandbox);
}

async function adoptEnd(
  context: ContainerContext,
  container: Container,
  record: ContainerRecord,
  found: ExitStatus | 'lost',
): Promise<void> {
  const startedAt = record.state.startedAt === null ? null : new Date(record.state.startedAt);
  const last = lastRunAfter(startedAt ?? (found === 'lost' ? null : found.at), found);
  // What is lost was not the container's own end: the daemon's start decides.
  const next = found === 'lost' ? null : context.restarts.after(container, last, ranMs(last), container.restarts.stoppedByHand);
  await recordEnd(context, container, last, next);
  container.waiters.exited(waitResultOf(last));
}

function ranMs({ startedAt, finishedAt }: LastRun): number {
  return startedAt === null || finishedAt === null ? 0 : finishedAt.getTime() - startedAt.getTime();
}

/** To its end, or in vain. */
function hasRun({ state }: Container): boolean {
  return state.status === 'exited' || (state.status === 'created' && state.last.error !== '');
}

/** Stored before the crash, but not yet released. */
function alreadyStored(record: ContainerRecord, exit: ExitStatus): boolean {
  return (record.state.status === 'exited' || record.state.status === 'restarting') && record.state.finishedAt === exit.at.getTime();
}

function isRunning(found: RunningContainer | ExitStatus | 'lost'): found is RunningContainer {
  return found !== 'lost' && 'exited' in found;
}

function adoptRunning(context: ContainerContext, container: Container, process: RunningContainer, announced: Promise<void>): void {
  const { startedAt } = container.state.last;
  const known = process.answered && startedAt !== null ? startedAt : process.startedAt;
  adoptDevices(context, container);
  enterRunning(context, container, process, announced, known).freezer = freezerOfKernel(context, container);
  void endFormerBriefPause(context, container);
  if (process.answered) void followLate(context, container, process, process.answered);
  else followExecs(context, container, process);
}

async function followLate(
  context: ContainerContext,
  container: Container,
  process: RunningContainer,
  answered: Promise<void>,
): Promise<void> {
  const { message } = silentMonitor(container.id, process.kept.pid);
  context.logger.error({ container: container.id }, message);
  await answered;
  if (container.state.status !== 'running' || container.state.process !== process) return;
  context.logger.info({ container: container.id }, 'the monitor of a container answers again');
  followExecs(context, container, process);
  await keepAgain(context, container.id).catch((error) => {
    context.logger.error({ container: container.id, error: errorText(error) }, "cannot give a container's descriptors to its monitor");
  });
}

function followExecs(context: ContainerContext, container: Container, process: RunningContainer): void {
  for (const adopted of process.adoptedExecs) {
    if (adopted.id.startsWith(probeIdPrefix)) endAdoptedProbe(context, container, adopted.pid);
    const exec: Exec = {
      id: adopted.id,
      containerId: container.id,
      config: unknownExecConfig,
      state: { kind: 'running', process: adopted },
    };
    context.execs.add(exec);
    void followExec(context, container, exec, adopted);
  }
}

/** What an exec was asked to be is not kept over a restart; only that it runs, and how it ends. */
const unknownExecConfig = defaultExecConfig();

/** Started, but its record never got to the disk, or is gone: nobody can know of it. */
async function endStray(context: ContainerContext, id: ContainerId): Promise<void> {
  try {
    const found = await context.runtime.adopt(id, cgroupsPathOf(context, { id }));
    if (isRunning(found)) {
      // Nobody waits for a monitor that hangs: the next daemon tries again.
      if (found.answered) throw silentMonitor(id, found.kept.pid);
      await found.kill(SIGKILL, 'all');
      await found.exited;
      await found.release();
    }
    await removeRuntimeEntry(context, id);
  } catch (error) {
    context.logger.warn({ container: id, error: errorText(error) }, 'cannot end a container that no record knows');
  }
}

/** What the runtime keeps of a run until its end is stored. A run that was adopted alive releases it itself. */
async function removeRuntimeEntry(context: ContainerContext, id: ContainerId): Promise<void> {
  await rm(join(context.runtimeEntries, id), { recursive: true, force: true });
}

async function removeStrayDirectories(context: ContainerContext, known: ReadonlySet<string>): Promise<void> {
  for (const name of await namesInDirectory(context.root)) {
    if (!idPattern.test(name) || known.has(name)) continue;
    const directory = join(context.root, name);
    await removeNotedVolumes(context, directory);
    await removeDirectory(directory).catch((error) => {
      context.logger.warn({ directory: name, error: errorText(error) }, 'cannot remove the directory of a container that no record knows');
    });
  }
}

async function containerIdsIn(directory: string): Promise<readonly ContainerId[]> {
  return (await namesInDirectory(directory)).filter((name): name is ContainerId => idPattern.test(name));
}
