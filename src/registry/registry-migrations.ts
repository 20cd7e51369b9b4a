/**
 * The schema of the registry's records. Manifests are kept here, bytes and all: small, and so a push is one durable commit of manifest, tag and what they need.
 * Layers and configs are files of the blob store; a link says which repository has which. A step that was released is never edited.
 */
import type { Migration } from '../store/migrations.ts';

export const registryMigrations: readonly Migration[] = [
  {
    version: 1,
    sql: `
      CREATE TABLE repositories (
        id              INTEGER PRIMARY KEY,
        name            TEXT NOT NULL UNIQUE
      ) STRICT;
      CREATE TABLE manifests (
        digest          TEXT PRIMARY KEY,
        bytes           BLOB NOT NULL,
        subject         TEXT,
        artifact_type   TEXT,
        names           TEXT NOT NULL                 -- JSON list of the digests it names: config, layers, manifests of an index
      ) STRICT;
      CREATE TABLE repository_manifests (
        repository      INTEGER NOT NULL REFERENCES repositories (id),
        digest          TEXT NOT NULL REFERENCES manifests (digest),
        media_type      TEXT NOT NULL,
        pushed_at       INTEGER NOT NULL,             -- milliseconds
        PRIMARY KEY (repository, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX repository_manifests_by_digest ON repository_manifests (digest);
      CREATE TABLE tags (
        repository      INTEGER NOT NULL,
        name            TEXT NOT NULL,
        digest          TEXT NOT NULL,
        moved_at        INTEGER NOT NULL,             -- milliseconds
        PRIMARY KEY (repository, name),
        FOREIGN KEY (repository, digest) REFERENCES repository_manifests (repository, digest) ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX tags_by_manifest ON tags (repository, digest);
      -- Which repository has which blob. needed_at: when somebody last counted on it; garbage collection spares the young.
      CREATE TABLE links (
        repository      INTEGER NOT NULL REFERENCES repositories (id),
        digest          TEXT NOT NULL,
        size_bytes      INTEGER NOT NULL,
        needed_at       INTEGER NOT NULL,             -- milliseconds
        PRIMARY KEY (repository, digest)
      ) STRICT, WITHOUT ROWID;
      -- What has come so far is a file of this name.
      CREATE TABLE uploads (
        id              TEXT PRIMARY KEY,
        repository      TEXT NOT NULL,
        started_at      INTEGER NOT NULL              -- milliseconds
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
