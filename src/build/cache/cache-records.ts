/**
 * The records of the cache: all of them in memory, in the database too. A record is there as long as its layer directory and its blob are; whoever finds that one of them is gone drops it.
 *
 * Memory changes first and in one turn, so that a sweep or a prune never sees a layer without its owner; the database follows. A row that was lost (a power cut) is a step that runs again; one
 * whose layer was lost is dropped at the next start.
 */
import type { DiffId, Digest } from '../../base/brand.ts';
import type { Logger } from '../../base/log.ts';
import type { Database, Statement } from '../../store/database.ts';
import type { CacheKey, CacheRecord, NewCacheRecord } from './build-cache.ts';
import { LazyWrites } from './lazy-writes.ts';

export interface StoredRecord extends CacheRecord {
  /** DiffID of the topmost layer below; null: none. */
  readonly below: DiffId | null;
  readonly lastUsedAt: Date;
  readonly useCount: number;
}

/** What a record owns. */
export type Owned = Pick<CacheRecord, 'layer' | 'blob'>;

export class CacheRecords {
  readonly #database: Database;
  readonly #writes: LazyWrites;
  readonly #records = new Map<string, StoredRecord>();
  /** How many records have the blob, the directory. */
  readonly #blobs = new Map<Digest, number>();
  readonly #directories = new Map<string, number>();

  private constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#writes = new LazyWrites(database, log);
  }

  /** Records that have lost what they own are dropped. */
  static async load(database: Database, log: Logger, isThere: (owned: Owned) => boolean): Promise<CacheRecords> {
    const records = new CacheRecords(database, log);
    for (const row of await database.query<Row>('SELECT * FROM build_cache ORDER BY created_at, key')) {
      const record = recordOf(row);
      if (isThere(record)) records.#keep(record);
      else records.#deleteRowLater(record.key);
    }
    return records;
  }

  get(key: string): StoredRecord | undefined {
    return this.#records.get(key);
  }

  all(): readonly StoredRecord[] {
    return [...this.#records.values()];
  }

  get size(): number {
    return this.#records.size;
  }

  async add({ digest, below }: CacheKey, made: NewCacheRecord): Promise<StoredRecord> {
    const at = new Date();
    const { layer, blob, description, kind } = made;
    const record: StoredRecord = { key: digest, layer, blob, description, kind, below, createdAt: at, lastUsedAt: at, useCount: 1 };
    this.#drop(digest);
    this.#keep(record);
    try {
      await this.#database.write('normal', [insert(record)]);
    } catch (error) {
      if (this.#records.get(digest) === record) this.#drop(digest);
      throw error;
    }
    return record;
  }

  /** Its row follows. */
  touch(key: string): StoredRecord | undefined {
    const record = this.#records.get(key);
    if (record === undefined) return undefined;
    const touched = { ...record, lastUsedAt: new Date(), useCount: record.useCount + 1 };
    this.#records.set(key, touched);
    this.#writes.add(key, [
      {
        sql: 'UPDATE build_cache SET last_used_at = ?, use_count = ? WHERE key = ?',
        params: [touched.lastUsedAt.getTime(), touched.useCount, key],
      },
    ]);
    return touched;
  }

  /** Gone for everybody at once; `deleteRows` follows, when there is space again for it. Rows that stay behind are dropped at the next start, as their layers are gone. */
  drop(keys: readonly string[]): void {
    for (const key of keys) this.#drop(key);
  }

  /** Its layer is not there any more. */
  dropLost(key: string): void {
    this.#drop(key);
    this.#deleteRowLater(key);
  }

  /** Of what is still dropped: another build may have made it again. */
  async deleteRows(keys: readonly string[]): Promise<void> {
    const gone = keys.filter((key) => !this.#records.has(key));
    if (gone.length === 0) return;
    await this.#database.write(
      'normal',
      gone.map((key) => ({ sql: 'DELETE FROM build_cache WHERE key = ?', params: [key] })),
    );
  }

  hasBlob(blob: Digest): boolean {
    return this.#blobs.has(blob);
  }

  directories(): ReadonlySet<string> {
    return new Set(this.#directories.keys());
  }

  close(): Promise<void> {
    return this.#writes.close();
  }

  /** Taken back when the record comes again first. */
  #deleteRowLater(key: string): void {
    this.#writes.add(key, [{ sql: 'DELETE FROM build_cache WHERE key = ?', params: [key] }]);
  }

  #keep(record: StoredRecord): void {
    this.#records.set(record.key, record);
    count(this.#blobs, record.blob.digest, 1);
    count(this.#directories, record.layer.directory, 1);
  }

  #drop(key: string): void {
    this.#writes.forget(key);
    const record = this.#records.get(key);
    if (record === undefined) return;
    this.#records.delete(key);
    count(this.#blobs, record.blob.digest, -1);
    count(this.#directories, record.layer.directory, -1);
  }
}

function count<K>(counts: Map<K, number>, key: K, change: number): void {
  const next = (counts.get(key) ?? 0) + change;
  if (next > 0) counts.set(key, next);
  else counts.delete(key);
}

interface Row {
  readonly key: string;
  readonly kind: StoredRecord['kind'];
  readonly description: string;
  readonly diff_id: DiffId;
  readonly directory: string;
  readonly size_bytes: number;
  readonly blob: Digest;
  readonly blob_size_bytes: number;
  readonly below: DiffId | null;
  readonly created_at: number;
  readonly last_used_at: number;
  readonly use_count: number;
}

function recordOf(row: Row): StoredRecord {
  return {
    key: row.key,
    kind: row.kind,
    description: row.description,
    layer: { diffId: row.diff_id, directory: row.directory, sizeBytes: row.size_bytes },
    blob: { digest: row.blob, sizeBytes: row.blob_size_bytes },
    below: row.below,
    createdAt: new Date(row.created_at),
    lastUsedAt: new Date(row.last_used_at),
    useCount: row.use_count,
  };
}

function insert({ key, kind, description, layer, blob, below, createdAt, lastUsedAt, useCount }: StoredRecord): Statement {
  return {
    sql: `INSERT OR REPLACE INTO build_cache
      (key, kind, description, diff_id, directory, size_bytes, blob, blob_size_bytes, below, created_at, last_used_at, use_count)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    params: [
      key,
      kind,
      description,
      layer.diffId,
      layer.directory,
      layer.sizeBytes,
      blob.digest,
      blob.sizeBytes,
      below,
      createdAt.getTime(),
      lastUsedAt.getTime(),
      useCount,
    ],
  };
}
