/**
 * The registry's records: rows of the database, and their mirror in memory from which everything is read (but the bytes of manifests that are not hot).
 *
 * A change is written first, durably, then mirrored; writes are committed in the order of their calls and settle in it, so the mirror follows the same order.
 */
import type { Digest } from '../base/brand.ts';
import type { Database, Statement } from '../store/database.ts';
import type { PushedManifest } from './pushed-manifest.ts';
import { type ManifestState, RepositoryState } from './repository-state.ts';
import { SortedNames } from './sorted-names.ts';

export interface UploadRow {
  readonly id: string;
  readonly repository: string;
  readonly startedAt: number;
}

export interface ManifestPut {
  readonly repository: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly manifest: PushedManifest;
  readonly tags: readonly string[];
  readonly at: number;
}

interface ManifestRow {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly names: string;
}

const repositoryId = '(SELECT id FROM repositories WHERE name = ?)';

export class RegistryRecords {
  readonly #database: Database;
  readonly #repositories = new Map<string, RepositoryState>();
  /** Blobs that are linked anywhere, and by how many repositories. */
  readonly #blobs = new Map<Digest, { readonly digest: Digest; readonly sizeBytes: number; links: number }>();
  #names = new SortedNames();
  readonly #texts = new Map<string, string>();
  #blobBytes = 0;
  #manifests = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  get repositoryNames(): SortedNames {
    return this.#names;
  }

  get counts() {
    return { repositories: this.#names.size, manifests: this.#manifests, blobs: this.#blobs.size, blobBytes: this.#blobBytes };
  }

  /** Null: nothing is known of it. */
  repository(name: string): RepositoryState | null {
    return this.#repositories.get(name) ?? null;
  }

  repositories(): Iterable<RepositoryState> {
    return this.#repositories.values();
  }

  isLinked(digest: Digest): boolean {
    return this.#blobs.has(digest);
  }

  /** For reservations and pins; it shows nowhere until it holds something. */
  ensure(name: string): RepositoryState {
    let state = this.#repositories.get(name);
    if (state === undefined) {
      state = new RepositoryState(name);
      this.#repositories.set(name, state);
    }
    return state;
  }

  async load(): Promise<readonly UploadRow[]> {
    const states = new Map<number, RepositoryState>();
    const rows = await this.#database.query<{ id: number; name: string }>('SELECT id, name FROM repositories');
    for (const { id, name } of rows) states.set(id, this.ensure(name));
    await this.#loadLinks(states);
    await this.#loadManifests(states);
    await this.#loadTags(states);
    this.#names = SortedNames.of([...states.values()].filter(({ exists }) => exists).map(({ name }) => name));
    for (const { name } of states.values()) this.forgetIdle(name);
    return await this.#database.query<UploadRow>('SELECT id, repository, started_at AS startedAt FROM uploads');
  }

  /** Bytes of a manifest. Null: no repository has it any more. */
  async manifestBytes(digest: Digest): Promise<Buffer | null> {
    const [row] = await this.#database.query<{ bytes: Uint8Array }>('SELECT bytes FROM manifests WHERE digest = ?', digest);
    return row === undefined ? null : Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength);
  }

  async putManifest(put: ManifestPut): Promise<ManifestState> {
    const { repository, digest, bytes, manifest, tags, at } = put;
    const names = [...manifest.blobs, ...manifest.entries];
    await this.#database.write('full', [
      { sql: 'INSERT OR IGNORE INTO repositories (name) VALUES (?)', params: [repository] },
      {
        sql: 'INSERT OR IGNORE INTO manifests (digest, bytes, subject, artifact_type, names) VALUES (?, ?, ?, ?, ?)',
        params: [digest, bytes, manifest.subject, manifest.artifactType, JSON.stringify(names)],
      },
      {
        sql: `INSERT INTO repository_manifests (repository, digest, media_type, pushed_at) VALUES (${repositoryId}, ?, ?, ?)
              ON CONFLICT DO UPDATE SET media_type = excluded.media_type, pushed_at = excluded.pushed_at`,
        params: [repository, digest, manifest.mediaType, at],
      },
      ...tags.map((tag) => ({
        sql: `INSERT INTO tags (repository, name, digest, moved_at) VALUES (${repositoryId}, ?, ?, ?)
              ON CONFLICT DO UPDATE SET digest = excluded.digest, moved_at = excluded.moved_at`,
        params: [repository, tag, digest, at],
      })),
    ]);
    const state: ManifestState = {
      digest,
      mediaType: manifest.mediaType,
      sizeBytes: bytes.length,
      subject: manifest.subject,
      artifactType: manifest.artifactType,
      pushedAt: at,
      names: names.map((name) => this.#shared(name)),
    };
    const repositoryState = this.ensure(repository);
    if (repositoryState.addManifest(state)) this.#manifests++;
    for (const tag of tags) repositoryState.setTag(tag, { digest, movedAt: at });
    this.#names.add(repository);
    return state;
  }

  async deleteManifest(repository: string, digest: Digest, at: number): Promise<readonly string[] | null> {
    await this.#database.write('full', [
      { sql: `DELETE FROM repository_manifests WHERE repository = ${repositoryId} AND digest = ?`, params: [repository, digest] },
      {
        sql: 'DELETE FROM manifests WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM repository_manifests AS r WHERE r.digest = manifests.digest)',
        params: [digest],
      },
    ]);
    const state = this.#repositories.get(repository);
    if (!state?.manifests.has(digest)) return null;
    const tags = state.removeManifest(digest, at);
    this.#manifests--;
    this.forgetIdle(repository);
    return tags;
  }

  async deleteTag(repository: string, tag: string): Promise<boolean> {
    await this.#database.write('full', [
      { sql: `DELETE FROM tags WHERE repository = ${repositoryId} AND name = ?`, params: [repository, tag] },
    ]);
    return this.#repositories.get(repository)?.removeTag(tag) ?? false;
  }

  /** `upload`: its row goes with the same commit. */
  async link(repository: string, digest: Digest, sizeBytes: number, at: number, upload: string | null): Promise<void> {
    const statements: Statement[] = [
      { sql: 'INSERT OR IGNORE INTO repositories (name) VALUES (?)', params: [repository] },
      {
        sql: `INSERT INTO links (repository, digest, size_bytes, needed_at) VALUES (${repositoryId}, ?, ?, ?)
              ON CONFLICT DO UPDATE SET needed_at = excluded.needed_at`,
        params: [repository, digest, sizeBytes, at],
      },
    ];
    if (upload !== null) statements.push({ sql: 'DELETE FROM uploads WHERE id = ?', params: [upload] });
    await this.#database.write('full', statements);
    this.#mirrorLink(this.ensure(repository), this.#shared(digest), sizeBytes, at);
    this.#names.add(repository);
  }

  /** Survives a kill, not a power loss: whoever was told "it is here" is gone then too. */
  async renew(repository: string, digest: Digest, at: number): Promise<void> {
    await this.#database.write('normal', [
      { sql: `UPDATE links SET needed_at = ? WHERE repository = ${repositoryId} AND digest = ?`, params: [at, repository, digest] },
    ]);
  }

  async unlink(repository: string, digest: Digest): Promise<boolean> {
    await this.#database.write('full', [unlinking(repository, digest)]);
    return this.mirrorUnlink(repository, digest);
  }

  /** For the collector, which mirrors first: nobody may count on these from the moment it decided. */
  async writeUnlinks(links: readonly (readonly [repository: string, digest: Digest])[]): Promise<void> {
    await this.#database.write(
      'full',
      links.map(([repository, digest]) => unlinking(repository, digest)),
    );
  }

  mirrorUnlink(repository: string, digest: Digest): boolean {
    if (!this.#repositories.get(repository)?.unlink(digest)) return false;
    const blob = this.#blobs.get(digest);
    if (blob !== undefined && --blob.links === 0) {
      this.#blobs.delete(digest);
      this.#blobBytes -= blob.sizeBytes;
    }
    this.forgetIdle(repository);
    return true;
  }

  async addUpload(row: UploadRow): Promise<void> {
    await this.#database.write('normal', [
      { sql: 'INSERT INTO uploads (id, repository, started_at) VALUES (?, ?, ?)', params: [row.id, row.repository, row.startedAt] },
    ]);
  }

  async deleteUpload(id: string): Promise<void> {
    await this.#database.write('normal', [{ sql: 'DELETE FROM uploads WHERE id = ?', params: [id] }]);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** A repository that holds nothing is forgotten; its row stays, a few bytes. */
  forgetIdle(name: string): void {
    const state = this.#repositories.get(name);
    if (state === undefined || state.exists) return;
    this.#names.delete(name);
    if (state.reservedBytes === 0 && state.holds.size === 0) this.#repositories.delete(name);
  }

  #mirrorLink(state: RepositoryState, digest: Digest, sizeBytes: number, at: number): void {
    if (!state.link(digest, sizeBytes, at)) return;
    const blob = this.#blobs.get(digest);
    if (blob !== undefined) blob.links++;
    else {
      this.#blobs.set(digest, { digest, sizeBytes, links: 1 });
      this.#blobBytes += sizeBytes;
    }
  }

  /** One string for all who speak of the same digest. */
  #shared(digest: Digest): Digest {
    return this.#blobs.get(digest)?.digest ?? digest;
  }

  async #loadLinks(states: ReadonlyMap<number, RepositoryState>): Promise<void> {
    const rows = this.#pages<{ repository: number; digest: Digest; sizeBytes: number; neededAt: number }>(
      `SELECT repository, digest, size_bytes AS sizeBytes, needed_at AS neededAt FROM links
       WHERE (repository, digest) > (?, ?) ORDER BY repository, digest LIMIT ${loadRows}`,
      (row) => [row.repository, row.digest],
      [-1, ''],
    );
    for await (const page of rows) {
      for (const row of page) {
        const state = states.get(row.repository);
        if (state !== undefined) this.#mirrorLink(state, this.#shared(row.digest), row.sizeBytes, row.neededAt);
      }
    }
  }

  async #loadManifests(states: ReadonlyMap<number, RepositoryState>): Promise<void> {
    const contents = await this.#loadContents();
    const rows = this.#pages<{ repository: number; digest: Digest; mediaType: string; pushedAt: number }>(
      `SELECT repository, digest, media_type AS mediaType, pushed_at AS pushedAt FROM repository_manifests
       WHERE (repository, digest) > (?, ?) ORDER BY repository, digest LIMIT ${loadRows}`,
      (row) => [row.repository, row.digest],
      [-1, ''],
    );
    for await (const page of rows) {
      for (const { repository, digest, mediaType, pushedAt } of page) {
        const content = contents.get(digest);
        if (content === undefined || !states.get(repository)?.addManifest({ ...content, mediaType: this.#text(mediaType), pushedAt }))
          continue;
        this.#manifests++;
      }
    }
  }

  async #loadContents(): Promise<ReadonlyMap<Digest, Omit<ManifestState, 'mediaType' | 'pushedAt'>>> {
    const contents = new Map<Digest, Omit<ManifestState, 'mediaType' | 'pushedAt'>>();
    const rows = this.#pages<ManifestRow>(
      `SELECT digest, length(bytes) AS sizeBytes, subject, artifact_type AS artifactType, names FROM manifests WHERE digest > ? ORDER BY digest LIMIT ${loadRows}`,
      (row) => [row.digest],
      [''],
    );
    for await (const page of rows) {
      for (const { digest, sizeBytes, subject, artifactType, names } of page) {
        const shared = (JSON.parse(names) as Digest[]).map((name) => this.#shared(name));
        contents.set(digest, {
          digest,
          sizeBytes,
          subject,
          artifactType: artifactType === null ? null : this.#text(artifactType),
          names: shared,
        });
      }
    }
    return contents;
  }

  async #loadTags(states: ReadonlyMap<number, RepositoryState>): Promise<void> {
    const rows = this.#pages<{ repository: number; name: string; digest: Digest; movedAt: number }>(
      `SELECT repository, name, digest, moved_at AS movedAt FROM tags WHERE (repository, name) > (?, ?) ORDER BY repository, name LIMIT ${loadRows}`,
      (row) => [row.repository, row.name],
      [-1, ''],
    );
    for await (const page of rows) {
      for (const { repository, name, digest, movedAt } of page) {
        const state = states.get(repository);
        state?.tags.set(name, { digest: state.manifests.get(digest)?.digest ?? digest, movedAt });
      }
    }
    for (const state of states.values()) state.tagNames = SortedNames.of(state.tags.keys());
  }

  /** One string for each of the few media types. */
  #text(text: string): string {
    const known = this.#texts.get(text) ?? text;
    if (this.#texts.size < 1000) this.#texts.set(known, known);
    return known;
  }

  /** A table in pieces, so that no turn of the event loop and no message is large. */
  async *#pages<Row>(sql: string, keyOf: (row: Row) => (string | number)[], first: (string | number)[]): AsyncGenerator<readonly Row[]> {
    for (let key = first; ; ) {
      const rows = await this.#database.query<Row>(sql, ...key);
      yield rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < loadRows) return;
      key = keyOf(last);
    }
  }
}

const loadRows = 5000;

function unlinking(repository: string, digest: Digest): Statement {
  return { sql: `DELETE FROM links WHERE repository = ${repositoryId} AND digest = ?`, params: [repository, digest] };
}
