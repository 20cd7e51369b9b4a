/**
 * The metadata database: one SQLite file (WAL) behind one worker thread, so that a slow disk never stops the event loop.
 *
 * Two classes of commit. `full`: on the disk when the promise resolves, also after a power loss. `normal`: survives a SIGKILL of the daemon.
 * A write is atomic. Writes queue while one commit is under way and then share the next one, so many at once cost one fsync.
 * Writes take effect in the order of their calls; a query sees every write that was awaited before it.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EngineError, errorText } from '../base/errors.ts';
import { type Migration, migrations } from './migrations.ts';
import type { SqlValue, Statement } from './sql-statement.ts';
import { WorkerCalls, type WorkerFailure } from './worker-call.ts';

export type { SqlValue, Statement } from './sql-statement.ts';

export type Durability = 'full' | 'normal';

export interface Database {
  query<T>(sql: string, ...params: readonly SqlValue[]): Promise<T[]>;
  /** All statements or none. `conflict` when a constraint forbids it (`details.constraint` names the columns), `system` when the disk does. */
  write(durability: Durability, statements: readonly Statement[]): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** The schema; the engine's own when not given. */
  readonly migrations?: readonly Migration[];
  /** Where the thread's code is; a bundle that moves this file gives its own. */
  readonly workerEntry?: URL;
}

const sqlite = { ioError: 10, corrupt: 11, full: 13, constraint: 19, notADatabase: 26, busy: 5, cannotOpen: 14 } as const;

/** Opens or makes the file and brings its schema up to date. */
export async function openDatabase(path: string, options: DatabaseOptions = {}): Promise<Database> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((cause) => {
    throw new EngineError('system', `cannot open ${path}: ${errorText(cause)}`, { cause });
  });
  const workerEntry = options.workerEntry ?? new URL('./database-worker.ts', import.meta.url);
  const database = new QueuedDatabase(path, options.migrations ?? migrations, workerEntry);
  try {
    await database.open();
  } catch (thrown) {
    await database.close().catch(() => {});
    throw thrown;
  }
  return database;
}

interface QueuedWrite {
  readonly statements: readonly Statement[];
  readonly durability: Durability;
  resolve(): void;
  reject(error: Error): void;
}

class QueuedDatabase implements Database {
  readonly #worker: WorkerCalls;
  readonly #toError: (failure: WorkerFailure) => Error;
  #queue: QueuedWrite[] = [];
  #draining: Promise<void> | null = null;
  #closed = false;

  constructor(path: string, schema: readonly Migration[], workerEntry: URL) {
    this.#toError = (failure) => databaseError(path, failure);
    this.#worker = new WorkerCalls(workerEntry, { workerData: { path, migrations: schema }, toError: this.#toError });
  }

  open(): Promise<void> {
    return this.#worker.call({ op: 'open' });
  }

  async query<T>(sql: string, ...params: readonly SqlValue[]): Promise<T[]> {
    this.#refuseClosed();
    return await this.#worker.call<T[]>({ op: 'query', sql, params });
  }

  async write(durability: Durability, statements: readonly Statement[]): Promise<void> {
    this.#refuseClosed();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.push({ statements, durability, resolve, reject });
    this.#draining ??= this.#drain();
    await promise;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#draining;
      await this.#worker.call({ op: 'close' });
    } finally {
      await this.#worker.close();
    }
  }

  async #drain(): Promise<void> {
    // Callers of the same turn of the event loop share the first commit too.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      await this.#commit(batch);
    }
    // In the same turn as the look at the empty queue: a write that comes later must start the next round itself.
    this.#draining = null;
  }

  async #commit(batch: readonly QueuedWrite[]): Promise<void> {
    const full = batch.some(({ durability }) => durability === 'full');
    const writes = batch.map(({ statements }) => statements);
    try {
      const outcomes = await this.#worker.call<(WorkerFailure | null)[]>({ op: 'write', full, writes });
      for (const [index, write] of batch.entries()) {
        const failure = outcomes[index];
        if (failure) write.reject(this.#toError(failure));
        else write.resolve();
      }
    } catch (thrown) {
      for (const write of batch) write.reject(thrown as Error);
    }
  }

  #refuseClosed(): void {
    if (this.#closed) throw new EngineError('unavailable', 'the metadata database is closed: the daemon is stopping');
  }
}

function databaseError(path: string, failure: WorkerFailure): EngineError {
  const options = { details: { path, ...failure } };
  if (failure.code === 'GANTRY_NEWER') {
    return new EngineError(
      'system',
      `cannot open ${path}: it was written by a newer version of Gantry (${failure.message}); use that version, or another --data-root`,
      options,
    );
  }
  switch ((failure.errcode ?? 0) & 0xff) {
    case sqlite.constraint: {
      const constraint = /constraint failed: (.*)$/.exec(failure.message)?.[1] ?? '';
      return new EngineError('conflict', `the metadata database refused a change: ${failure.message}`, {
        details: { path, ...failure, constraint },
      });
    }
    case sqlite.full:
      return new EngineError('system', `cannot write ${path}: no space left on device; free some space on its file system`, options);
    case sqlite.corrupt:
    case sqlite.notADatabase:
      return new EngineError(
        'system',
        `${path} is damaged (${failure.message}); restore it from a backup, or move it away to start with empty records`,
        options,
      );
    case sqlite.cannotOpen:
      return new EngineError('system', `cannot open ${path}: ${failure.message}; check that its directory exists and is writable`, options);
    case sqlite.busy:
      return new EngineError('unavailable', `${path} is in use by another process; stop the daemon that uses the same data root`, options);
    default:
      return new EngineError('system', `cannot use ${path}: ${failure.message}`, options);
  }
}
