/**
 * From the moment a process runs to the moment its end is told:
 *
 *   exited ──▶ stored, off its networks ──▶ state exited or restarting, `die` ──▶ attached clients have the output ──▶ waits answered ──▶ removed, with `--rm`
 *
 * Who sees `die`, or whose wait is answered, may give its ports and addresses to another container at once.
 *
 * A crash of the daemon anywhere in between is repaired by the next boot: the runtime keeps the exit until it is released, after it was stored.
 */
import { errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { ExitStatus, RunningContainer } from '../runtime/runtime.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { releaseDevices } from './container-devices.ts';
import { cgroupsPathOf } from './container-paths.ts';
import { leaveNetworks } from './container-sandbox.ts';
import { type LastRun, type Running, waitResultOf } from './container-state.ts';
import { endedHealth } from './health.ts';
import { LogFeed } from './log-news.ts';
import { releaseMounts } from './prepare-mounts.ts';
import { removeContainer } from './remove-container.ts';
import type { RestartHistory } from './restart-policy.ts';
import type { StdioRelay } from './stdio-relay.ts';

/** A client that does not read its output keeps nobody else waiting for longer. */
const slowClientMs = 2000;

const lostExitCode = 255;
const lostExitText = 'exit status lost';

/** The state owns the process from here on, and looks after its end, which is told (and the networks left) after `announced`. */
export function enterRunning(
  context: ContainerContext,
  container: Container,
  process: RunningContainer,
  announced: Promise<void> = Promise.resolve(),
  startedAt = process.startedAt,
): Running {
  const ended = Promise.withResolvers<LastRun>();
  const running: Running = {
    status: 'running',
    process,
    log: new LogFeed(process),
    last: { startedAt, finishedAt: null, exitCode: 0, oomKilled: false, error: '' },
    streams: new Set(),
    ended: ended.promise,
    restarting: false,
    freezer: 'thawed',
    oomTold: false,
    since: performance.now() - Math.max(0, Date.now() - startedAt.getTime()),
    endAsked: false,
  };
  container.state = running;
  context.logs.follow(container, running.log);
  container.storedEnd = null;
  const endWatch = context.health.begin(container, running);
  void running.process.exited.then(endWatch);
  void running.process.exited.then(watchMemory(context, container, running));
  void followToEnd(context, container, running, announced, ended.resolve);
  return running;
}

/** Docker's `oom` at the time of the kill, when the container may run out of a limit. Returns what ends the watch. */
function watchMemory(context: ContainerContext, container: Container, running: Running): () => void {
  const { Memory: limit, CgroupParent: parent } = container.hostConfig;
  if (limit === 0 && parent === '') return () => {};
  return context.oom.watch(cgroupsPathOf(context, container), () => {
    running.oomTold = true;
    context.events.emit('oom', container);
  });
}

async function followToEnd(
  context: ContainerContext,
  container: Container,
  running: Running,
  announced: Promise<void>,
  tellEnd: (last: LastRun) => void,
): Promise<void> {
  const exit = await running.process.exited;
  failpoint('exit.known');
  const ranMs = performance.now() - running.since;
  await announced;
  const last = lastRunAfter(running.last.startedAt, exit);
  const next = context.restarts.after(container, last, ranMs, running.endAsked || running.restarting);
  await recordEnd(context, container, last, next, leaveAll(context, container, running.process));
  failpoint('exit.told');
  container.released = release(context, container, running.process);
  tellEnd(last);
  await deliverOutput(running.streams);
  container.waiters.exited(waitResultOf(last));
  if (container.hostConfig.AutoRemove && !running.restarting) await autoRemove(context, container);
}

/** Who is told of the end finds its ports, addresses, volumes and devices free. */
async function leaveAll(context: ContainerContext, container: Container, process: RunningContainer): Promise<void> {
  await Promise.all([leaveNetworks(context, container, process), releaseMounts(context, container), releaseDevices(context, container)]);
}

/**
 * Stores an end and tells it; `next`: the restart that follows. Memory goes on even when the disk refuses: the process is gone whatever the database says.
 */
export async function recordEnd(
  context: ContainerContext,
  container: Container,
  last: LastRun,
  next: RestartHistory | null,
  left: Promise<void> = Promise.resolve(),
): Promise<void> {
  if (next !== null) container.restarts = next;
  container.storedEnd = { status: next === null ? 'exited' : 'restarting', last };
  try {
    await context.records.update(container.record);
  } catch (error) {
    context.logger.error({ container: container.id, error: errorText(error) }, 'cannot store the exit of a container');
  }
  failpoint('exit.recorded');
  await left;
  const wasTold = container.state.status === 'running' && container.state.oomTold;
  container.state = next === null ? { status: 'exited', last } : context.restarts.wait(container, last, next.delayMs);
  container.storedEnd = null;
  if (container.health !== null) container.health = endedHealth(container.health);
  if (last.oomKilled && !wasTold) context.events.emit('oom', container);
  const seconds = last.startedAt === null || last.finishedAt === null ? 0 : (last.finishedAt.getTime() - last.startedAt.getTime()) / 1000;
  const execDuration = String(Math.max(0, Math.floor(seconds)));
  context.events.emit('die', container, { execDuration, exitCode: String(last.exitCode) });
}

export function lastRunAfter(startedAt: Date | null, exit: ExitStatus | 'lost'): LastRun {
  if (exit === 'lost') return { startedAt, finishedAt: new Date(), exitCode: lostExitCode, oomKilled: false, error: lostExitText };
  return { startedAt, finishedAt: exit.at, exitCode: exit.code, oomKilled: exit.oomKilled, error: exit.note ?? '' };
}

/** `--rm`: the waits for the removal are answered by it. Somebody else's removal under way is as good. */
export async function autoRemove(context: ContainerContext, container: Container): Promise<void> {
  const remove = () => removeContainer(context, container, { force: false, volumes: true });
  try {
    await container.lane.submit({ kind: 'remove', force: false, run: remove });
  } catch (error) {
    if (context.registry.get(container.id) === container && container.state.status !== 'running') {
      context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot remove a container that ended (--rm)');
    }
  }
}

async function release(context: ContainerContext, container: Container, process: RunningContainer): Promise<void> {
  try {
    await process.release();
  } catch (error) {
    context.logger.warn({ container: container.id, error: errorText(error) }, 'the monitor of a container that ended does not answer');
  }
}

/** Until every attached client has read to the end, or is too slow. */
async function deliverOutput(streams: ReadonlySet<StdioRelay>): Promise<void> {
  if (streams.size === 0) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, slowClientMs);
  const delivered = [...streams].map((stream) => new Promise<void>((done) => stream.once('close', () => done())));
  void Promise.all(delivered).then(() => resolve());
  await promise;
  clearTimeout(timer);
}
