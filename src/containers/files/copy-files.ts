/**
 * `cp` and `export`: archives between clients and containers.
 *
 *   out, running:   through its init. Ends badly when the container ended where something was mounted.
 *   out, resting:   from read-only layers: a start meanwhile does no harm.
 *   in, running:    through its init, given up when the container ends.
 *   in, resting:    as a transition: a start waits for it, but not for a client that sends nothing.
 */
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { conflict } from '../../base/errors.ts';
import { exportStream, importStream } from '../../linux/pipe-streams.ts';
import type { Container } from '../container.ts';
import type { ContainerContext } from '../container-context.ts';
import type { Containers, PathStat, WritePathOptions } from '../containers.ts';
import { parseContainerPath } from './container-path.ts';
import type { FileJob } from './file-job.ts';
import { fileThreads } from './file-threads.ts';
import { readOverlay, refuseGoing, runningRoot, withRestingRoot } from './open-root.ts';
import type { RootAccess, WriteRules } from './root-access.ts';

/** As the client calls it. */
interface Target {
  readonly container: Container;
  readonly reference: string;
  readonly path: string;
}

/** How long others wait for a client that sends nothing. */
const PATIENCE_MS = 3000;

export async function statContainerPath(context: ContainerContext, { container, reference, path }: Target): Promise<PathStat> {
  const parsed = parseContainerPath(path);
  return await withRoot(context, container, (root) => fileThreads.looks.run<PathStat>({ kind: 'stat', root, path: parsed, reference }));
}

export async function readContainerPath(
  context: ContainerContext,
  { container, reference, path: given }: Target,
): Promise<Awaited<ReturnType<Containers['readPath']>>> {
  const path = parseContainerPath(given);
  const mountPoints = container.record.mounts.map(({ destination }) => destination);
  const opened = Promise.withResolvers<{ readonly stat: PathStat; readonly tar: Readable }>();
  const work = withRoot(context, container, async (root) => {
    const stat = await fileThreads.looks.run<PathStat>({ kind: 'stat', root, path, reference });
    const { tar, closed } = archiveOf(container, (writeEnd) => ({ kind: 'read', root, path, reference, mountPoints, writeEnd }));
    await begun(tar);
    context.events.emit('archive-path', container);
    opened.resolve({ stat, tar });
    await closed;
  });
  work.catch(opened.reject);
  return await opened.promise;
}

export async function exportContainer(context: ContainerContext, container: Container): Promise<Readable> {
  refuseGoing(container);
  const overlay = await readOverlay(context, container);
  const { tar } = archiveOf(container, (writeEnd) => ({ kind: 'export', overlay, empty: container.paths.merged, writeEnd }));
  await begun(tar);
  context.events.emit('export', container);
  return tar;
}

/** Until then an error is an answer; afterwards it only cuts the answer off. */
async function begun(tar: Readable): Promise<void> {
  if (tar.readableLength === 0) await once(tar, 'readable');
}

/** What a job writes, as a stream; `closed` when nothing of it is left. `outcome` is the job's own. */
export function archiveOf<T>(
  container: Container,
  job: (writeEnd: number) => FileJob,
): { readonly tar: Readable; readonly closed: Promise<void>; readonly outcome: Promise<T> } {
  const closed = Promise.withResolvers<void>();
  const outcome = Promise.withResolvers<T>();
  outcome.promise.catch(() => {});
  const cancel = new SharedArrayBuffer(4);
  const run = async (writeEnd: number) => {
    const value = await fileThreads.streams.run<T>(job(writeEnd), cancel);
    // What goes while it is read is missing without a word.
    refuseGoing(container);
    return value;
  };
  const tar = exportStream(async (writeEnd) => {
    const running = run(writeEnd);
    running.then(outcome.resolve, outcome.reject);
    await running;
  }, closed.resolve);
  tar.once('error', () => Atomics.store(new Int32Array(cancel), 0, 1));
  const done = new AbortController();
  tar.once('close', () => done.abort());
  const stalled = () => fileThreads.streams.isWanted && performance.now() - tar.movedAt > PATIENCE_MS;
  watch(stalled, done.signal, () => tar.destroy(givenUp(container, 'its client takes nothing, and others wait')));
  return { tar, closed: closed.promise, outcome: outcome.promise };
}

/** Looks every now and then, until `signal`, whether it is so, and says it once. */
function watch(isSo: () => boolean, signal: AbortSignal, say: () => void): void {
  const timer = setInterval(() => {
    if (!isSo()) return;
    clearInterval(timer);
    say();
  }, PATIENCE_MS / 6).unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function givenUp({ id }: Container, why: string): Error {
  return conflict(`the copy with container ${id} was given up: ${why}`);
}

export async function writeContainerPath(
  context: ContainerContext,
  target: Target,
  archive: Readable,
  options: WritePathOptions,
): Promise<void> {
  const { container } = target;
  parseContainerPath(target.path);
  while (!(await writeOnce(context, target, archive, options))) {
    // It was started, or it ended, between the look and its turn.
  }
  context.events.emit('extract-to-dir', container);
}

/** False: nothing was read, as the container was not what it was taken for. */
async function writeOnce(context: ContainerContext, target: Target, archive: Readable, options: WritePathOptions): Promise<boolean> {
  const { container } = target;
  const running = runningRoot(container);
  if (running !== null) {
    await writeInto(running, target, archive, options, { ends: endOf(container), isWanted: () => false });
    return true;
  }
  return await container.lane.submit({
    kind: 'files',
    force: false,
    run: async () => {
      if (runningRoot(container) !== null) return false;
      await withRestingRoot(context, container, 'write', (root) =>
        writeInto(root, target, archive, options, { ends: null, isWanted: () => container.lane.isWanted }),
      );
      return true;
    },
  });
}

/** What ends a copy before its archive does. */
interface Limits {
  readonly ends: Promise<unknown> | null;
  /** Something waits for the container: a client that sends nothing is not waited for. */
  isWanted(): boolean;
}

function endOf({ state }: Container): Promise<unknown> | null {
  return state.status === 'running' ? state.process.exited : null;
}

async function writeInto(
  root: RootAccess,
  { container, reference, path }: Target,
  archive: Readable,
  options: WritePathOptions,
  limits: Limits,
): Promise<void> {
  const user = options.copyUidGid && container.config.User !== '' ? container.config.User : null;
  const job = {
    kind: 'write',
    root,
    path: parseContainerPath(path).text,
    reference,
    rules: writeRules(container),
    options: { sameKindOnly: options.noOverwriteDirNonDir, user },
  } as const;
  // Its own stream, so that giving up leaves the client's connection alone: the answer goes there.
  const relay = new PassThrough();
  const given: { up: Error | null } = { up: null };
  const done = new AbortController();
  const giveUp = (why: Error) => {
    if (done.signal.aborted) return;
    given.up ??= why;
    relay.destroy(why);
  };
  void limits.ends?.then(() => giveUp(stoppedMeanwhile(container)));
  const left = () => void (archive.readableEnded || relay.destroy());
  archive.once('close', left);
  archive.once('error', left);
  archive.pipe(relay);
  const started = () => watchSender(container, relay, limits, done.signal, giveUp);
  try {
    await importStream(relay, (readEnd, cancel) => fileThreads.streams.run<void>({ ...job, readEnd }, cancel, started));
  } catch (error) {
    throw given.up ?? error;
  } finally {
    done.abort();
    archive.off('close', left);
    archive.off('error', left);
    archive.unpipe(relay);
    relay.destroy();
  }
}

function watchSender(container: Container, relay: PassThrough, limits: Limits, signal: AbortSignal, giveUp: (why: Error) => void): void {
  let movedAt = performance.now();
  relay.on('data', () => {
    movedAt = performance.now();
  });
  const stalled = () => (limits.isWanted() || fileThreads.streams.isWanted) && performance.now() - movedAt > PATIENCE_MS;
  watch(stalled, signal, () => giveUp(givenUp(container, 'its client sends nothing, and something else is waiting')));
}

function stoppedMeanwhile({ id }: Container): Error {
  return conflict(`Container ${id} stopped while files were being copied into it: some may be missing, try again`);
}

function writeRules({ hostConfig, record }: Container): WriteRules {
  const mounts = record.mounts.map((mount) => {
    const readOnly = mount.kind === 'tmpfs' ? mount.options.includes('ro') : mount.kind === 'image' || mount.readOnly;
    return { destination: mount.destination, readOnly };
  });
  return { readOnlyRoot: hostConfig.ReadonlyRootfs, mounts };
}

async function withRoot<T>(context: ContainerContext, container: Container, use: (root: RootAccess) => Promise<T>): Promise<T> {
  const running = runningRoot(container);
  return running === null ? await withRestingRoot(context, container, 'read', use) : await use(running);
}
