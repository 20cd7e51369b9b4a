/** The latest usage of several containers, one stream each, in the order in which they were added. */
import type { GantryClient } from '../../client/gantry-client.ts';
import type { StatsAnswer } from '../../client/usage-types.ts';

export interface WatchedContainer {
  /** As typed, or the short id. */
  readonly name: string;
  /** Null: nothing came yet. */
  readonly latest: StatsAnswer | null;
  readonly error: unknown;
}

interface Entry {
  readonly name: string;
  readonly abort: AbortController;
  readonly first: Promise<void>;
  latest: StatsAnswer | null;
  error: unknown;
}

export class UsageWatch implements Disposable {
  readonly #client: GantryClient;
  readonly #stream: boolean;
  readonly #entries = new Map<string, Entry>();

  constructor(client: GantryClient, stream: boolean) {
    this.#client = client;
    this.#stream = stream;
  }

  get containers(): readonly WatchedContainer[] {
    return [...this.#entries.values()];
  }

  add(name: string): void {
    if (this.#entries.has(name)) return;
    const first = Promise.withResolvers<void>();
    const entry: Entry = { name, abort: new AbortController(), first: first.promise, latest: null, error: null };
    this.#entries.set(name, entry);
    void this.#collect(entry, first.resolve);
  }

  remove(name: string): void {
    this.#entries.get(name)?.abort.abort();
    this.#entries.delete(name);
  }

  /** Everybody has an answer, or an error. */
  async ready(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ first }) => first));
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#entries.keys()]) this.remove(name);
  }

  async #collect(entry: Entry, tellFirst: () => void): Promise<void> {
    try {
      const answers = await this.#client.containers.stats(entry.name, { stream: this.#stream }, entry.abort.signal);
      for await (const answer of answers) {
        entry.latest = answer;
        entry.error = null;
        tellFirst();
      }
    } catch (error) {
      if (!entry.abort.signal.aborted) entry.error = error;
    }
    // Its container is gone: what was last known is not true any more.
    if (this.#stream) entry.latest = null;
    tellFirst();
  }
}
