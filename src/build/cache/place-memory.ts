/**
 * What the key of each step was made of in the last build of the same project: what `--explain` compares with, by the instruction (`= …`) and by where it stood (`# …`). The latest places only, in
 * the database and in memory.
 *
 * Losing one costs an explanation, so writes are gathered and may be lost.
 */
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Database } from '../../store/database.ts';
import type { CacheKey } from './build-cache.ts';
import { LazyWrites } from './lazy-writes.ts';

export interface RememberedStep {
  readonly key: string;
  readonly parts: ReadonlyMap<string, string>;
}

const placesKept = 2000;
const placesInMemory = 400;

export class PlaceMemory {
  readonly #database: Database;
  readonly #log: Logger;
  readonly #recent = new Map<string, RememberedStep | null>();
  readonly #writes: LazyWrites;

  constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
    this.#writes = new LazyWrites(database, log);
  }

  /** What was there before; null: nothing. `isOther`: the instruction was another one. */
  async exchange({
    place,
    position,
    digest,
    parts,
  }: CacheKey): Promise<{ readonly before: RememberedStep; readonly isOther: boolean } | null> {
    const same = await this.#swap(`= ${place}`, { key: digest, parts });
    const there = position === null ? null : await this.#swap(`# ${position}`, { key: digest, parts });
    const before = same ?? there;
    return before === null ? null : { before, isOther: same === null };
  }

  close(): Promise<void> {
    return this.#writes.close();
  }

  async #swap(place: string, now: RememberedStep): Promise<RememberedStep | null> {
    const before = await this.#read(place);
    if (before?.key === now.key) return before;
    this.#keep(place, now);
    this.#writes.add(place, [
      {
        sql: `INSERT INTO build_places (place, key, parts, built_at) VALUES (?, ?, ?, ?)
          ON CONFLICT (place) DO UPDATE SET key = excluded.key, parts = excluded.parts, built_at = excluded.built_at`,
        params: [place, now.key, JSON.stringify([...now.parts]), Date.now()],
      },
      {
        sql: 'DELETE FROM build_places WHERE built_at < (SELECT built_at FROM build_places ORDER BY built_at DESC LIMIT 1 OFFSET ?)',
        params: [placesKept],
      },
    ]);
    return before;
  }

  async #read(place: string): Promise<RememberedStep | null> {
    const recent = this.#recent.get(place);
    if (recent !== undefined) return recent;
    const found = await this.#query(place);
    // Another step of the same place may have come meanwhile; it is the later one.
    const meanwhile = this.#recent.get(place);
    if (meanwhile !== undefined) return meanwhile;
    this.#keep(place, found);
    return found;
  }

  async #query(place: string): Promise<RememberedStep | null> {
    try {
      await this.#writes.flush();
      const [row] = await this.#database.query<{ key: string; parts: string }>(
        'SELECT key, parts FROM build_places WHERE place = ?',
        place,
      );
      return row === undefined ? null : { key: row.key, parts: new Map(JSON.parse(row.parts) as [string, string][]) };
    } catch (cause) {
      this.#log.warn({ place, cause: errorText(cause) }, 'what the last build was made of cannot be read');
      return null;
    }
  }

  #keep(place: string, step: RememberedStep | null): void {
    this.#recent.delete(place);
    this.#recent.set(place, step);
    if (this.#recent.size > placesInMemory) for (const oldest of this.#recent.keys().take(1)) this.#recent.delete(oldest);
  }
}
