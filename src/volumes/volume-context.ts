/** What the verbs on volumes share. */
import { randomBytes } from 'node:crypto';
import { conflict, EngineError, errorText, notFound } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isPlain } from './local-driver.ts';
import { type LocalPaths, stagedInside } from './local-paths.ts';
import type { NameQueue } from './name-queue.ts';
import type { PluginDriver } from './plugin-driver.ts';
import type { VolumeDrivers } from './volume-drivers.ts';
import type { VolumeMounts } from './volume-mounts.ts';
import { ANONYMOUS_LABEL } from './volume-name.ts';
import type { VolumeRecord, VolumeRecords } from './volume-records.ts';
import type { VolumeThreads } from './volume-threads.ts';
import type { VolumeEvent, VolumeView } from './volumes.ts';

export interface VolumeContext {
  readonly paths: LocalPaths;
  readonly records: VolumeRecords;
  readonly drivers: VolumeDrivers;
  readonly mounts: VolumeMounts;
  readonly queue: NameQueue;
  readonly threads: {
    /** Clones, removals, sizes. */
    readonly trees: VolumeThreads;
    /** What the creation of a container waits for. */
    readonly filling: VolumeThreads;
    /** Each as fast as its client. */
    readonly streams: VolumeThreads;
  };
  /** Name → what is being done to it that must not lose its directory. */
  readonly busy: Map<string, readonly string[]>;
  readonly logger: Logger;
  usersOf(name: string): readonly string[];
  emit(event: VolumeEvent): void;
}

/** Where content is, and where new content may be staged: beside it, on the same file system. */
export interface Content {
  readonly path: string;
  readonly staging: string;
  /** Plain local volumes alone can be swapped as a whole. */
  readonly plain: boolean;
}

export function noSuchVolume(name: string): Error {
  return notFound(`get ${name}: no such volume`);
}

/** A volume of ours, or one that only its plugin knows so far. */
export async function requireVolume(context: VolumeContext, name: string): Promise<VolumeRecord> {
  const record = context.records.get(name) ?? (await findInPlugins(context, name))?.record;
  if (record === undefined) throw noSuchVolume(name);
  return record;
}

export async function findInPlugins(
  context: VolumeContext,
  name: string,
): Promise<{ readonly record: VolumeRecord; readonly plugin: PluginDriver } | null> {
  if (name === '') return null;
  const { drivers } = await context.drivers.plugins();
  for (const plugin of drivers) {
    const facts = await plugin.facts(name).catch(() => null);
    if (facts !== null) return { record: unrecorded(name, plugin.name, facts.createdAt), plugin };
  }
  return null;
}

export function unrecorded(name: string, driver: string, createdAt: Date | null): VolumeRecord {
  return { name, driver, options: {}, labels: {}, createdAt: createdAt ?? new Date(0), renamingTo: null };
}

/** Keeps the volume from being removed or renamed meanwhile, and mounted if it has to be. */
export async function withContent<T>(
  context: VolumeContext,
  record: VolumeRecord,
  doing: string,
  use: (content: Content) => Promise<T>,
): Promise<T> {
  const leave = markBusy(context, record.name, doing);
  try {
    if (isPlain(record)) {
      return await use({ path: context.paths.data(record.name), staging: context.paths.staged(record.name), plain: true });
    }
    const holder = randomBytes(32).toString('hex');
    const path = await context.mounts.acquire(record, holder);
    try {
      return await use({ path, staging: stagedInside(path), plain: false });
    } finally {
      await releaseQuietly(context, record, holder);
    }
  } finally {
    leave();
  }
}

/** The result, or the first error, is what counts. */
async function releaseQuietly(context: VolumeContext, record: VolumeRecord, holder: string): Promise<void> {
  try {
    await context.mounts.release(record, holder);
  } catch (thrown) {
    context.logger.warn({ volume: record.name, error: errorText(thrown) }, 'a volume could not be unmounted');
  }
}

function markBusy(context: VolumeContext, name: string, doing: string): () => void {
  context.busy.set(name, [...(context.busy.get(name) ?? []), doing]);
  return () => {
    const rest = [...(context.busy.get(name) ?? [])];
    rest.splice(rest.indexOf(doing), 1);
    if (rest.length === 0) context.busy.delete(name);
    else context.busy.set(name, rest);
  };
}

/** For what must have the volume for itself. `verb` opens the message, as Docker's does. */
export function refuseUsed(context: VolumeContext, verb: string, name: string, advice = ''): void {
  const users = context.usersOf(name);
  if (users.length > 0) throw conflict(`${verb} ${name}: volume is in use - [${users.join(', ')}]${advice}`);
  const [doing] = context.busy.get(name) ?? [];
  if (doing !== undefined) throw conflict(`${verb} ${name}: volume is in use: it is being ${doing}`);
  if (context.mounts.isHeld(name)) throw conflict(`${verb} ${name}: volume has active mounts`);
}

/** Errors open with the verb and the name, as Docker's do; code and details stay. */
export async function explaining<T>(verb: string, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const opening = `${verb} ${name}: `;
    if (thrown instanceof EngineError && thrown.message.startsWith(opening)) throw thrown;
    if (thrown instanceof EngineError)
      throw new EngineError(thrown.code, `${opening}${thrown.message}`, { cause: thrown, details: thrown.details });
    throw new EngineError('system', `${opening}${errorText(thrown)}`, { cause: thrown });
  }
}

interface ViewFacts {
  readonly mountpoint: string;
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly scope: 'local' | 'global';
  readonly sizeBytes: number | null;
}

export function viewOf(context: VolumeContext, record: VolumeRecord, facts: ViewFacts): VolumeView {
  return {
    name: record.name,
    driver: record.driver,
    mountpoint: facts.mountpoint,
    createdAt: record.createdAt,
    labels: record.labels,
    options: Object.keys(record.options).length === 0 ? null : record.options,
    status: facts.status,
    scope: facts.scope,
    anonymous: Object.hasOwn(record.labels, ANONYMOUS_LABEL),
    sizeBytes: facts.sizeBytes,
    users: context.usersOf(record.name) as VolumeView['users'],
  };
}

export async function localView(context: VolumeContext, record: VolumeRecord, size = false): Promise<VolumeView> {
  const sizeBytes = size ? await sizeOf(context, record) : null;
  return viewOf(context, record, { mountpoint: context.paths.data(record.name), status: null, scope: 'local', sizeBytes });
}

/** Null: not ours to measure (a mount may be a whole file server), or going away just now. */
export async function sizeOf(context: VolumeContext, record: VolumeRecord): Promise<number | null> {
  if (!isPlain(record)) return null;
  try {
    return await context.threads.trees.run<number>({ kind: 'size', path: context.paths.data(record.name) });
  } catch (thrown) {
    context.logger.debug({ volume: record.name, error: errorText(thrown) }, 'the size of a volume could not be taken');
    return null;
  }
}
