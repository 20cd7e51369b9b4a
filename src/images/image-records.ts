/**
 * What is known of the images: all of it in memory, each change in the database first.
 *
 * Invariants: an image has at least its first target; every reference points to an image that is here; a target that is not the first goes when
 * its last reference goes. Changes are applied in groups: one commit, then memory, so a failure changes nothing.
 */
import type { DiffId, Digest, ImageId } from '../base/brand.ts';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseDigest } from '../oci/digest.ts';
import { type ImageConfig, imageConfigLimitBytes, parseImageConfig } from '../oci/image-config.ts';
import { type Descriptor, parseDescriptor } from '../oci/manifest.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Database, Statement } from '../store/database.ts';
import type { LayerRef } from '../store/layer-store.ts';

export interface ImageRecord {
  readonly id: ImageId;
  readonly config: ImageConfig;
  /** Digest of the target it first came as. */
  readonly firstTarget: Digest;
  readonly targets: ReadonlyMap<Digest, ImageTarget>;
  readonly layers: readonly LayerRef[];
  readonly parent: ImageId | null;
  readonly createdAt: Date;
  readonly lastTagTime: Date | null;
}

/** What an image came as: its bytes are what a push or save gives back. */
export interface ImageTarget {
  readonly descriptor: Descriptor;
  /** The image manifest: the same, or the one chosen from the index. */
  readonly manifest: Descriptor;
  /** Everything that must stay in the blob store for it. */
  readonly blobs: readonly Digest[];
}

/** Its record is there; what it names is not, or is damaged. */
export interface UnreadableImage {
  readonly why: string;
  readonly blobs: readonly Digest[];
  readonly directories: readonly string[];
}

/** Canonical: `docker.io/library/busybox:latest` or `docker.io/library/busybox@sha256:…`. */
export interface ReferenceEntry {
  readonly reference: string;
  readonly id: ImageId;
  readonly target: Digest;
}

export type RecordChange =
  | { readonly kind: 'add'; readonly record: ImageRecord }
  | { readonly kind: 'add-target'; readonly id: ImageId; readonly target: ImageTarget }
  /** `at`: when somebody tagged it; null: a registry calls it so, which is no tagging. */
  | { readonly kind: 'refer'; readonly entry: ReferenceEntry; readonly at: Date | null }
  | { readonly kind: 'unrefer'; readonly reference: string }
  | { readonly kind: 'delete'; readonly id: ImageId };

export class ImageRecords {
  readonly #database: Database;
  readonly #images = new Map<ImageId, ImageRecord>();
  readonly #references = new Map<string, ReferenceEntry>();
  readonly #byImage = new Map<ImageId, Set<string>>();
  /** Of images that could not be read: containers may still run on their layers. */
  readonly #unreadable = new Map<ImageId, UnreadableImage>();

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Images whose config is gone or damaged are left out with an error in the log; their records stay for a repair. */
  static async load(database: Database, blobs: BlobStore, log: Logger): Promise<ImageRecords> {
    const records = new ImageRecords(database);
    const rows = await readRows(database);
    for (const row of rows.images) {
      try {
        records.#images.set(row.id, await recordOf(row, rows, blobs));
      } catch (cause) {
        records.#keepUnreadable(row, rows, errorText(cause));
        log.error({ image: row.id, cause: errorText(cause) }, 'an image can not be used: load or pull it again');
      }
    }
    for (const { reference, image_id, target } of rows.references) {
      if (records.#images.has(image_id)) records.#setReference({ reference, id: image_id, target });
    }
    return records;
  }

  all(): IterableIterator<ImageRecord> {
    return this.#images.values();
  }

  get(id: ImageId): ImageRecord | undefined {
    return this.#images.get(id);
  }

  reference(canonical: string): ReferenceEntry | undefined {
    return this.#references.get(canonical);
  }

  /** Canonical, sorted: tags and digests. */
  referencesOf(id: ImageId): readonly string[] {
    return [...(this.#byImage.get(id) ?? [])].sort();
  }

  references(): IterableIterator<ReferenceEntry> {
    return this.#references.values();
  }

  /** Every blob and every layer directory that a record needs. */
  inUse(): { readonly blobs: ReadonlySet<Digest>; readonly directories: ReadonlySet<string> } {
    const blobs = new Set<Digest>();
    const directories = new Set<string>();
    for (const image of this.#unreadable.values()) {
      for (const blob of image.blobs) blobs.add(blob);
      for (const directory of image.directories) directories.add(directory);
    }
    for (const { targets, layers } of this.#images.values()) {
      for (const target of targets.values()) for (const blob of target.blobs) blobs.add(blob);
      for (const { directory } of layers) directories.add(directory);
    }
    return { blobs, directories };
  }

  /** Callers that look before they change must not await between the look and this, or hold the catalogue's lock. */
  async apply(changes: readonly RecordChange[]): Promise<void> {
    await this.#database.write('full', changes.flatMap(statementsOf));
    for (const change of changes) this.#remember(change);
  }

  /** Images that could not be read at the start, and why. */
  unreadable(): ReadonlyMap<ImageId, UnreadableImage> {
    return this.#unreadable;
  }

  #keepUnreadable(row: ImageRow, rows: Rows, why: string): void {
    const directories = (rows.layers.get(row.id) ?? []).map(({ directory }) => directory);
    const blobs = (rows.targets.get(row.id) ?? []).flatMap((target) => JSON.parse(target.blobs) as Digest[]);
    this.#unreadable.set(row.id, { why, blobs, directories });
  }

  #remember(change: RecordChange): void {
    switch (change.kind) {
      case 'add':
        this.#unreadable.delete(change.record.id);
        this.#images.set(change.record.id, change.record);
        return;
      case 'add-target':
        this.#update(change.id, (record) => ({
          ...record,
          targets: new Map(record.targets).set(change.target.descriptor.digest, change.target),
        }));
        return;
      case 'refer':
        this.#dropReference(change.entry.reference, change.entry);
        this.#setReference(change.entry);
        if (change.at !== null) this.#update(change.entry.id, (record) => ({ ...record, lastTagTime: change.at }));
        return;
      case 'unrefer':
        this.#dropReference(change.reference);
        return;
      case 'delete':
        for (const reference of this.referencesOf(change.id)) this.#dropReference(reference);
        this.#images.delete(change.id);
        this.#unreadable.delete(change.id);
        return;
    }
  }

  #update(id: ImageId, change: (record: ImageRecord) => ImageRecord): void {
    const record = this.#images.get(id);
    if (record) this.#images.set(id, change(record));
  }

  #setReference(entry: ReferenceEntry): void {
    this.#references.set(entry.reference, entry);
    const own = this.#byImage.get(entry.id) ?? new Set();
    this.#byImage.set(entry.id, own.add(entry.reference));
  }

  /** `next`: what the reference means from now on; its target stays. */
  #dropReference(reference: string, next?: ReferenceEntry): void {
    const entry = this.#references.get(reference);
    if (!entry) return;
    this.#references.delete(reference);
    const own = this.#byImage.get(entry.id);
    own?.delete(reference);
    if (own?.size === 0) this.#byImage.delete(entry.id);
    if (next?.id !== entry.id || next.target !== entry.target) this.#dropUnusedTarget(entry);
  }

  #dropUnusedTarget({ id, target }: ReferenceEntry): void {
    const record = this.#images.get(id);
    if (!record || record.firstTarget === target) return;
    if (this.referencesOf(id).some((reference) => this.#references.get(reference)?.target === target)) return;
    const targets = new Map(record.targets);
    targets.delete(target);
    this.#images.set(id, { ...record, targets });
  }
}

function statementsOf(change: RecordChange): readonly Statement[] {
  switch (change.kind) {
    case 'add':
      // Deleted first: the record of an unreadable image may still be there, and this image repairs it.
      return [
        deleteImage(change.record.id),
        insertImage(change.record),
        ...targetStatements(change.record),
        ...layerStatements(change.record),
      ];
    case 'add-target':
      return [insertTarget(change.id, change.target)];
    case 'refer': {
      const { reference, id, target } = change.entry;
      return [
        ...dropReferenceStatements(reference, change.entry),
        { sql: 'INSERT INTO image_references (reference, image_id, target) VALUES (?, ?, ?)', params: [reference, id, target] },
        ...(change.at === null ? [] : [{ sql: 'UPDATE images SET last_tag_at = ? WHERE id = ?', params: [change.at.getTime(), id] }]),
      ];
    }
    case 'unrefer':
      return dropReferenceStatements(change.reference);
    case 'delete':
      return [deleteImage(change.id)];
  }
}

function deleteImage(id: ImageId): Statement {
  return { sql: 'DELETE FROM images WHERE id = ?', params: [id] };
}

/** The reference, and its target when that was the last one, not the image's first and not what the reference means from now on. */
function dropReferenceStatements(reference: string, next?: ReferenceEntry): readonly Statement[] {
  const unusedTarget = `
    DELETE FROM image_targets WHERE (image_id, digest) = (SELECT image_id, target FROM image_references WHERE reference = ?1)
      AND digest <> (SELECT target FROM images WHERE id = image_id)
      AND (image_id, digest) <> (?2, ?3)
      AND NOT EXISTS (SELECT 1 FROM image_references r WHERE r.image_id = image_targets.image_id AND r.target = digest AND r.reference <> ?1)`;
  return [
    { sql: unusedTarget, params: [reference, next?.id ?? '', next?.target ?? ''] },
    { sql: 'DELETE FROM image_references WHERE reference = ?', params: [reference] },
  ];
}

function insertImage(record: ImageRecord): Statement {
  return {
    sql: 'INSERT INTO images (id, target, parent, created_at, last_tag_at) VALUES (?, ?, ?, ?, ?)',
    params: [record.id, record.firstTarget, record.parent, record.createdAt.getTime(), record.lastTagTime?.getTime() ?? null],
  };
}

function targetStatements(record: ImageRecord): readonly Statement[] {
  return [...record.targets.values()].map((target) => insertTarget(record.id, target));
}

function insertTarget(id: ImageId, { descriptor, manifest, blobs }: ImageTarget): Statement {
  return {
    sql: 'INSERT INTO image_targets (image_id, digest, descriptor, manifest, blobs) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    params: [id, descriptor.digest, JSON.stringify(descriptor), JSON.stringify(manifest), JSON.stringify(blobs)],
  };
}

function layerStatements(record: ImageRecord): readonly Statement[] {
  return record.layers.map(({ diffId, directory, sizeBytes }, position) => ({
    sql: 'INSERT INTO image_layers (image_id, position, diff_id, directory, size_bytes) VALUES (?, ?, ?, ?, ?)',
    params: [record.id, position, diffId, directory, sizeBytes],
  }));
}

interface ImageRow {
  readonly id: ImageId;
  readonly target: Digest;
  readonly parent: ImageId | null;
  readonly created_at: number;
  readonly last_tag_at: number | null;
}

interface Rows {
  readonly images: readonly ImageRow[];
  readonly targets: ReadonlyMap<string, readonly { readonly descriptor: string; readonly manifest: string; readonly blobs: string }[]>;
  readonly layers: ReadonlyMap<string, readonly { readonly diff_id: DiffId; readonly directory: string; readonly size_bytes: number }[]>;
  readonly references: readonly { readonly reference: string; readonly image_id: ImageId; readonly target: Digest }[];
}

async function readRows(database: Database): Promise<Rows> {
  const byImage = async <T extends { readonly image_id: string }>(sql: string) =>
    Map.groupBy(await database.query<T>(sql), (row) => row.image_id);
  return {
    images: await database.query<ImageRow>('SELECT * FROM images ORDER BY created_at, id'),
    targets: await byImage<{ image_id: string; descriptor: string; manifest: string; blobs: string }>('SELECT * FROM image_targets'),
    layers: await byImage<{ image_id: string; diff_id: DiffId; directory: string; size_bytes: number }>(
      'SELECT * FROM image_layers ORDER BY image_id, position',
    ),
    references: await database.query('SELECT reference, image_id, target FROM image_references'),
  };
}

async function recordOf(row: ImageRow, rows: Rows, blobs: BlobStore): Promise<ImageRecord> {
  const targets = (rows.targets.get(row.id) ?? []).map((target) => ({
    descriptor: parseDescriptor(JSON.parse(target.descriptor), 'descriptor of a record'),
    manifest: parseDescriptor(JSON.parse(target.manifest), 'descriptor of a record'),
    blobs: (JSON.parse(target.blobs) as unknown[]).map((digest) => parseDigest(digest, 'blob of a record')),
  }));
  const config = parseImageConfig(await blobs.readSmall(row.id as string as Digest, imageConfigLimitBytes), `config of ${row.id}`);
  return {
    id: row.id,
    config,
    firstTarget: row.target,
    targets: new Map(targets.map((target) => [target.descriptor.digest, target])),
    layers: (rows.layers.get(row.id) ?? []).map((layer) => ({
      diffId: layer.diff_id,
      directory: layer.directory,
      sizeBytes: layer.size_bytes,
    })),
    parent: row.parent,
    createdAt: new Date(row.created_at),
    lastTagTime: row.last_tag_at === null ? null : new Date(row.last_tag_at),
  };
}
