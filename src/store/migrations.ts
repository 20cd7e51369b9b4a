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
      -- An image is its config; what a tag points to (manifest or index) is kept byte for byte in the blob store.
      CREATE TABLE images (
        id              TEXT PRIMARY KEY,             -- digest of the config
        manifest        TEXT NOT NULL,                -- descriptor (JSON) of the manifest that was unpacked
        target          TEXT NOT NULL,                -- descriptor (JSON) of what came: that manifest, or the index it was chosen from
        parent          TEXT,
        created_at      INTEGER NOT NULL,             -- when it got here, milliseconds
        last_tag_at     INTEGER
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE image_layers (
        image_id        TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        position        INTEGER NOT NULL,             -- 0: bottom
        diff_id         TEXT NOT NULL,
        blob            TEXT NOT NULL,                -- compressed as it came
        directory       TEXT NOT NULL,                -- in the layer store
        size_bytes      INTEGER NOT NULL,
        PRIMARY KEY (image_id, position)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE image_tags (
        reference       TEXT PRIMARY KEY,             -- canonical: docker.io/library/busybox:latest
        image_id        TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_tags_by_image ON image_tags (image_id);

      -- What a registry called it (docker.io/library/busybox@sha256:…), after a pull or push.
      CREATE TABLE image_digests (
        reference       TEXT PRIMARY KEY,
        image_id        TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_digests_by_image ON image_digests (image_id);

      CREATE TABLE containers (
        id              TEXT PRIMARY KEY,
        name            TEXT NOT NULL UNIQUE,
        created_at      INTEGER NOT NULL,
        record          TEXT NOT NULL                 -- JSON, owned by containers
      ) STRICT;
    `,
  },
];

export const newestVersion = migrations.at(-1)?.version ?? 0;
