/** What was said a short while ago, so that it need not be asked again: a bounded number of answers, each with its time. */
export class ShortMemory<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly until: number }>();
  readonly #limit: number;
  readonly #defaultMs: number;
  readonly #now: () => number;

  constructor(options: { readonly limit: number; readonly defaultMs: number; readonly now: () => number }) {
    this.#limit = options.limit;
    this.#defaultMs = options.defaultMs;
    this.#now = options.now;
  }

  get(key: string): T | null {
    const found = this.#entries.get(key);
    if (found === undefined) return null;
    if (found.until > this.#now()) return found.value;
    this.#entries.delete(key);
    return null;
  }

  set(key: string, value: T, forMs: number = this.#defaultMs): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.#now() + forMs });
    if (this.#entries.size > this.#limit) for (const oldest of this.#entries.keys().take(1)) this.#entries.delete(oldest);
  }
}
