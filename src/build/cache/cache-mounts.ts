/**
 * Directories that RUNs keep between builds (`--mount=type=cache`).
 *
 *     <root>/<64 hex>/<n>    instance n of the mount; the digits are a digest of its id and origin, so that no id is a path (SEC-19)
 *     <root>/new/<n>         being filled; renamed when it is whole
 *     <root>/gone/<n>        being removed
 *
 * A mount has one instance, unless somebody wanted one while the others were busy. An instance is held by many who share it, or by one. What a killed daemon left in `new` and `gone`, and what
 * no row names, is removed at open; what was held then is free again, as nothing of a step outlives its daemon.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { errorText, hasErrnoCode } from '../../base/errors.ts';
import { JobThreads } from '../../base/job-threads.ts';
import type { Logger } from '../../base/log.ts';
import { exportStream } from '../../linux/pipe-streams.ts';
import type { Database } from '../../store/database.ts';
import { diskError } from '../../store/disk-error.ts';
import type { CacheMountName, CacheMountRequest, CacheMounts, HeldCacheMount } from './build-cache.ts';
import type { CacheMountJob } from './cache-mount-job.ts';
import { LazyWrites } from './lazy-writes.ts';

export interface CacheMountOptions {
  readonly root: string;
  readonly database: Database;
  readonly log: Logger;
  readonly workerEntry: URL;
  /** Somebody gave one back: it may have grown. */
  readonly released: () => void;
}

/** One directory. */
export interface MountInstance {
  /** `<64 hex>/<n>` */
  readonly name: string;
  readonly id: string;
  readonly createdAt: Date;
  lastUsedAt: Date;
  useCount: number;
  /** Null: free. */
  held: { readonly sharing: boolean; count: number } | null;
  /** Null: not known, or it may have changed. */
  sizeBytes: number | null;
}

interface Row {
  readonly name: string;
  readonly id: string;
  readonly created_at: number;
  readonly last_used_at: number;
  readonly use_count: number;
}

export class StoredCacheMounts implements CacheMounts {
  readonly #options: CacheMountOptions;
  readonly #writes: LazyWrites;
  readonly #threads: JobThreads<CacheMountJob>;
  /** By the digits of the mount; in the order of their numbers. */
  readonly #mounts = new Map<string, MountInstance[]>();
  /** Who waits until something is given back, by the digits of the mount. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Instances that are being made, by the digits of the mount: those who may share one wait for it. */
  readonly #making = new Map<string, Promise<unknown>>();
  #counter = 0;

  private constructor(options: CacheMountOptions) {
    this.#options = options;
    this.#writes = new LazyWrites(options.database, options.log);
    const start = () => new Worker(options.workerEntry, { name: 'cache mounts' });
    this.#threads = new JobThreads({ limit: 1, what: 'cache mounts', start });
  }

  static async open(options: CacheMountOptions): Promise<StoredCacheMounts> {
    const mounts = new StoredCacheMounts(options);
    const rows = await options.database.query<Row>('SELECT * FROM build_cache_mounts ORDER BY created_at');
    mounts.#open(rows);
    void mounts.#emptyGone();
    return mounts;
  }

  async acquire(request: CacheMountRequest, signal: AbortSignal): Promise<HeldCacheMount> {
    const mount = digitsOf(request);
    for (;;) {
      signal.throwIfAborted();
      const found = this.#takeFree(mount, request.sharing);
      if (found !== null) return this.#handOut(found);
      const making = this.#making.get(mount);
      if (making !== undefined && request.sharing !== 'private') {
        // Done or failed: then look again.
        await making.catch(() => {});
        continue;
      }
      if (request.sharing === 'locked' && (this.#mounts.get(mount) ?? []).length > 0) {
        await this.#givenBack(mount, signal);
        continue;
      }
      return this.#handOut(await this.#make(mount, request));
    }
  }

  pack(mount: CacheMountName): Readable | null {
    const found = this.#takeFree(digitsOf(mount), 'shared');
    if (found === null) return null;
    const held = this.#handOut(found);
    const cancel = new SharedArrayBuffer(4);
    return exportStream(
      (writeEnd) => this.#threads.run<void>({ kind: 'pack', path: held.directory, writeEnd }, cancel),
      () => {
        Atomics.store(new Int32Array(cancel), 0, 1);
        void held.release();
      },
    );
  }

  instances(): readonly MountInstance[] {
    return [...this.#mounts.values()].flat();
  }

  /** Walks it in a thread, unless nothing held it since the last look. `isRough`: what is held is not looked at. */
  async sizeOf(instance: MountInstance, isRough = false): Promise<number> {
    if (instance.sizeBytes !== null && instance.held === null) return instance.sizeBytes;
    if (isRough && instance.held !== null) return instance.sizeBytes ?? 0;
    try {
      instance.sizeBytes = await this.#threads.run<number>({ kind: 'size', path: this.#path(instance) });
    } catch (cause) {
      this.#options.log.warn({ path: this.#path(instance), cause: errorText(cause) }, 'a cache mount cannot be measured');
      return instance.sizeBytes ?? 0;
    }
    return instance.sizeBytes;
  }

  /** Those that are free: held ones stay. Gone for everybody at once, then from the disk, then from the database, which a full disk would refuse before. */
  async remove(instances: readonly MountInstance[]): Promise<readonly MountInstance[]> {
    const removed = instances.filter((instance) => this.#takeAway(instance));
    if (removed.length === 0) return [];
    for (const { name } of removed) this.#writes.forget(name);
    await this.#emptyGone();
    // One of that name may have been made meanwhile.
    const names = new Set(this.instances().map(({ name }) => name));
    const rows = removed.filter(({ name }) => !names.has(name));
    await this.#options.database.write(
      'normal',
      rows.map(({ name }) => ({ sql: 'DELETE FROM build_cache_mounts WHERE name = ?', params: [name] })),
    );
    return removed;
  }

  async close(): Promise<void> {
    await this.#writes.close();
    await this.#threads.close();
  }

  /** Free, or shared with others who share it; it is the asker's from this turn on. */
  #takeFree(mount: string, sharing: CacheMountRequest['sharing']): MountInstance | null {
    const instances = this.#mounts.get(mount) ?? [];
    const shared = sharing === 'shared' ? instances.find(({ held }) => held?.sharing) : undefined;
    const found = shared ?? instances.find(({ held }) => held === null);
    if (found === undefined) return null;
    found.held = { sharing: sharing === 'shared', count: (found.held?.count ?? 0) + 1 };
    found.lastUsedAt = new Date();
    found.useCount++;
    const { name, lastUsedAt, useCount } = found;
    this.#writes.add(name, [
      {
        sql: 'UPDATE build_cache_mounts SET last_used_at = ?, use_count = ? WHERE name = ?',
        params: [lastUsedAt.getTime(), useCount, name],
      },
    ]);
    return found;
  }

  #handOut(instance: MountInstance): HeldCacheMount {
    let isHeld = true;
    return {
      directory: this.#path(instance),
      release: async () => {
        if (!isHeld) return;
        isHeld = false;
        this.#giveBack(instance);
      },
    };
  }

  #giveBack(instance: MountInstance): void {
    const { held } = instance;
    instance.held = held !== null && held.count > 1 ? { ...held, count: held.count - 1 } : null;
    if (instance.held === null) instance.sizeBytes = null;
    this.#wake(mountOf(instance));
    this.#options.released();
  }

  #wake(mount: string): void {
    const waiting = this.#waiting.get(mount) ?? new Set();
    this.#waiting.delete(mount);
    for (const wake of waiting) wake();
  }

  #givenBack(mount: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(mount) ?? new Set();
      this.#waiting.set(mount, waiting);
      const abort = () => {
        waiting.delete(wake);
        reject(signal.reason);
      };
      const wake = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** Held by whoever asked. A fill that fails leaves nothing. */
  async #make(mount: string, request: CacheMountRequest): Promise<MountInstance> {
    const making = this.#makeInstance(mount, request);
    // A private one is nobody else's: others do not wait for it.
    if (request.sharing === 'private') return await making;
    this.#making.set(mount, making);
    try {
      return await making;
    } finally {
      if (this.#making.get(mount) === making) this.#making.delete(mount);
    }
  }

  async #makeInstance(mount: string, { id, sharing, fill, mode, uid, gid }: CacheMountRequest): Promise<MountInstance> {
    const { root, database } = this.#options;
    const temporary = this.#temporary('new');
    try {
      await mkdir(temporary, { mode: 0o700 });
      await fill?.(temporary);
      await chown(temporary, uid, gid);
      // Behind chown, which takes bits away.
      await chmod(temporary, mode);
    } catch (thrown) {
      this.#throwAway(temporary);
      await this.#emptyGone();
      throw diskError(thrown, `the cache mount ${JSON.stringify(id)}`, root);
    }
    const at = new Date();
    // In one turn from here to the rename: two that are made at once take different numbers, and nobody removes the folder of a mount whose last instance went.
    const name = `${mount}/${this.#freeNumber(mount)}`;
    const held = { sharing: sharing === 'shared', count: 1 };
    const instance: MountInstance = { name, id, createdAt: at, lastUsedAt: at, useCount: 1, held, sizeBytes: null };
    this.#list(instance);
    this.#writes.forget(name);
    try {
      mkdirSync(join(root, mount), { recursive: true, mode: 0o700 });
      renameSync(temporary, this.#path(instance));
      await database.write('normal', [
        {
          sql: 'INSERT OR REPLACE INTO build_cache_mounts (name, id, created_at, last_used_at, use_count) VALUES (?, ?, ?, ?, ?)',
          params: [name, id, at.getTime(), at.getTime(), 1],
        },
      ]);
      return instance;
    } catch (thrown) {
      // In one turn: its number may be the next one's.
      this.#throwAway(temporary);
      this.#throwAway(this.#path(instance));
      this.#unlist(instance);
      this.#wake(mount);
      await this.#emptyGone();
      throw diskError(thrown, `the cache mount ${JSON.stringify(id)}`, root);
    }
  }

  #list(instance: MountInstance): void {
    const instances = this.#mounts.get(mountOf(instance)) ?? [];
    this.#mounts.set(
      mountOf(instance),
      [...instances, instance].sort((a, b) => numberOf(a) - numberOf(b)),
    );
  }

  #unlist(instance: MountInstance): void {
    const others = (this.#mounts.get(mountOf(instance)) ?? []).filter((other) => other !== instance);
    if (others.length > 0) this.#mounts.set(mountOf(instance), others);
    else this.#mounts.delete(mountOf(instance));
  }

  #freeNumber(mount: string): number {
    const taken = new Set((this.#mounts.get(mount) ?? []).map(numberOf));
    for (let number = 0; ; number++) if (!taken.has(number)) return number;
  }

  /** In one turn: nobody can take it between the look and the rename. */
  #takeAway(instance: MountInstance): boolean {
    if (instance.held !== null || !(this.#mounts.get(mountOf(instance)) ?? []).includes(instance)) return false;
    this.#throwAway(this.#path(instance));
    this.#unlist(instance);
    removeIfEmpty(join(this.#options.root, mountOf(instance)));
    return true;
  }

  /** Out of sight at once; `emptyGone` follows. */
  #throwAway(path: string): void {
    try {
      renameSync(path, this.#temporary('gone'));
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOENT')) throw error;
    }
  }

  /** A failure is logged only: what stays goes with the next one. */
  async #emptyGone(): Promise<void> {
    const path = join(this.#options.root, 'gone');
    try {
      await this.#threads.run({ kind: 'empty', path });
    } catch (cause) {
      this.#options.log.warn({ path, cause: errorText(cause) }, 'removed cache mounts are still on the disk');
    }
  }

  #temporary(kind: 'new' | 'gone'): string {
    return join(this.#options.root, kind, `${process.pid}-${Date.now()}-${this.#counter++}`);
  }

  #path({ name }: MountInstance): string {
    return join(this.#options.root, name);
  }

  #open(rows: readonly Row[]): void {
    const { root } = this.#options;
    // What lies there belongs to images: setuid programs, devices. Nobody but the owner gets to it from the host.
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (const kind of ['new', 'gone']) mkdirSync(join(root, kind), { recursive: true, mode: 0o700 });
    const byName = new Map(rows.map((row) => [row.name, row]));
    for (const mount of readdirSync(root)) {
      if (mount === 'gone') continue;
      for (const number of readdirSync(join(root, mount))) {
        const row = byName.get(`${mount}/${number}`);
        if (row === undefined) renameSync(join(root, mount, number), this.#temporary('gone'));
        else this.#list(instanceOf(row));
      }
      if (mount !== 'new') removeIfEmpty(join(root, mount));
    }
    const lost = rows.filter(({ name }) => !this.instances().some((instance) => instance.name === name));
    for (const { name } of lost) this.#writes.add(name, [{ sql: 'DELETE FROM build_cache_mounts WHERE name = ?', params: [name] }]);
  }
}

function instanceOf(row: Row): MountInstance {
  return {
    name: row.name,
    id: row.id,
    createdAt: new Date(row.created_at),
    lastUsedAt: new Date(row.last_used_at),
    useCount: row.use_count,
    held: null,
    sizeBytes: null,
  };
}

function digitsOf({ id, origin }: CacheMountName): string {
  return createHash('sha256')
    .update(JSON.stringify([id, origin]))
    .digest('hex');
}

/** What it is called by where others keep its content. */
export const cacheMountDigest = digitsOf;

function mountOf({ name }: MountInstance): string {
  return name.slice(0, name.indexOf('/'));
}

function numberOf({ name }: MountInstance): number {
  return Number(name.slice(name.indexOf('/') + 1));
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}
