/**
 * The schema of the metadata database, one numbered step after another. A step that was released is never edited: a new one follows.
 * `PRAGMA user_version` holds the number of the last step applied.
 */

export interface Migration {
  readonly version: number;
  readonly sql: string;
}

export const migrations: readonly Migration[] = [
  {
    version: 1,
    sql: `
      -- An image is its config. What it came as, a manifest or an index, is a target: its bytes are kept in the blob store, so that a push or
      -- save gives them back. One image can be known by several (compressed differently, say); each tag remembers which one it means.
      CREATE TABLE images (
        id              TEXT PRIMARY KEY,             -- digest of the config
        target          TEXT NOT NULL,                -- the first one
        parent          TEXT,
        created_at      INTEGER NOT NULL,             -- when it got here, milliseconds
        last_tag_at     INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE image_targets (
        image_id        TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        digest          TEXT NOT NULL,
        descriptor      TEXT NOT NULL,                -- JSON, of this digest
        manifest        TEXT NOT NULL,                -- JSON descriptor of the image manifest: the same, or the one chosen from the index
        blobs           TEXT NOT NULL,                -- JSON list of every blob that belongs to it, config and layers too
        PRIMARY KEY (image_id, digest)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE image_layers (
        image_id        TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        position        INTEGER NOT NULL,             -- 0: bottom
        diff_id         TEXT NOT NULL,
        directory       TEXT NOT NULL,                -- in the layer store
        size_bytes      INTEGER NOT NULL,
        PRIMARY KEY (image_id, position)
      ) STRICT, WITHOUT ROWID;

      -- Tags (docker.io/library/busybox:latest) and, after a pull or push, what a registry calls it (docker.io/library/busybox@sha256:…).
      CREATE TABLE image_references (
        reference       TEXT PRIMARY KEY,
        image_id        TEXT NOT NULL,
        target          TEXT NOT NULL,
        FOREIGN KEY (image_id, target) REFERENCES image_targets (image_id, digest) ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_references_by_image ON image_references (image_id, target);

      CREATE TABLE containers (
        id              TEXT PRIMARY KEY,
        name            TEXT NOT NULL UNIQUE,
        created_at      INTEGER NOT NULL,
        record          TEXT NOT NULL                 -- JSON, owned by containers
      ) STRICT;
    `,
  },
  {
    version: 2,
    sql: `
      CREATE TABLE volumes (
        name            TEXT PRIMARY KEY,
        driver          TEXT NOT NULL,
        options         TEXT NOT NULL,                -- JSON
        labels          TEXT NOT NULL,                -- JSON
        created_at      INTEGER NOT NULL,             -- milliseconds
        renaming_to     TEXT                          -- its directory may have this name already
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    version: 3,
    sql: `
      CREATE TABLE networks (
        id              TEXT PRIMARY KEY,
        name            TEXT NOT NULL UNIQUE,
        created_at      INTEGER NOT NULL,             -- milliseconds
        record          TEXT NOT NULL                 -- JSON, owned by network
      ) STRICT, WITHOUT ROWID;

      -- Of containers that run: what a daemon that starts needs to take over their networks. One row each, so that a change is atomic.
      CREATE TABLE network_sandboxes (
        container_id    TEXT PRIMARY KEY,
        record          TEXT NOT NULL                 -- JSON, owned by network
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    version: 4,
    sql: `
      -- Until now \`runc\` was what the default runtime was called; from here on it is the program of that name.
      UPDATE containers SET record = json_set(record, '$.hostConfig.Runtime', 'native') WHERE json_extract(record, '$.hostConfig.Runtime') = 'runc';
    `,
  },
  {
    version: 5,
    sql: `
      -- What builds made: one layer and its blob under the key of the operation. Written lazily; a row that is lost is a step that runs again.
      CREATE TABLE build_cache (
        key             TEXT PRIMARY KEY,
        kind            TEXT NOT NULL,
        description     TEXT NOT NULL,
        diff_id         TEXT NOT NULL,
        directory       TEXT NOT NULL,                -- in the layer store
        size_bytes      INTEGER NOT NULL,
        blob            TEXT NOT NULL,
        blob_size_bytes INTEGER NOT NULL,
        below           TEXT,                         -- diffID of the topmost layer below
        created_at      INTEGER NOT NULL,             -- milliseconds
        last_used_at    INTEGER NOT NULL,
        use_count       INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      -- Directories below build/mounts, for RUN --mount=type=cache.
      CREATE TABLE build_cache_mounts (
        name            TEXT PRIMARY KEY,             -- of the directory: 64 hex digits / number of the instance
        id              TEXT NOT NULL,                -- as the Dockerfile says it
        created_at      INTEGER NOT NULL,
        last_used_at    INTEGER NOT NULL,
        use_count       INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      -- What the key of a step was made of in the last build, for --explain.
      CREATE TABLE build_places (
        place           TEXT PRIMARY KEY,
        key             TEXT NOT NULL,
        parts           TEXT NOT NULL,                -- JSON: [name, value] …, no secrets
        built_at        INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX build_places_by_time ON build_places (built_at);
    `,
  },
];

export const newestVersion = migrations.at(-1)?.version ?? 0;
