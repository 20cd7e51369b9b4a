/**
 * Several sources of lines as one, in the order of time. A source that has nothing to say is waited for only as long as `patienceMs` after it last said something:
 * then the others go on without it, and what it says later comes when it comes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { LogLine } from './log-source.ts';

export interface NamedLine extends LogLine {
  readonly name: string;
}

interface Source {
  readonly name: string;
  readonly lines: AsyncIterator<LogLine>;
  /** Null: asked, and no answer yet. */
  head: LogLine | null;
  silent: boolean;
}

export class LineMerge {
  readonly #sources = new Set<Source>();
  readonly #patienceMs: number;
  #changed = Promise.withResolvers<void>();
  #failure: unknown = null;
  #open = true;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  add(name: string, lines: AsyncIterable<LogLine>): void {
    const source: Source = { name, lines: lines[Symbol.asyncIterator](), head: null, silent: false };
    this.#sources.add(source);
    void this.#ask(source);
    this.#tell();
  }

  /** No source will be added any more: the last one's end is the end. */
  close(): void {
    this.#open = false;
    this.#tell();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<NamedLine> {
    while (this.#open || this.#sources.size > 0) {
      if (this.#failure !== null) throw this.#failure;
      if (!(await this.#settled())) continue;
      const next = this.#earliest();
      if (next === null) continue;
      const line = next.head as LogLine;
      next.head = null;
      void this.#ask(next);
      yield { ...line, name: next.name };
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** Whether every source that is not silent has a line to show. If not: once something has changed, or patience has ended. */
  async #settled(): Promise<boolean> {
    const waited = [...this.#sources].filter(({ head, silent }) => head === null && !silent);
    if (waited.length === 0 && this.#earliest() !== null) return true;
    const change = this.#changed.promise;
    if (waited.length === 0) {
      await change;
      return false;
    }
    const stop = new AbortController();
    const patience = delay(this.#patienceMs, 'late', { signal: stop.signal }).catch(() => 'stopped');
    const late = (await Promise.race([change.then(() => 'news'), patience])) === 'late';
    stop.abort();
    if (late) for (const source of waited) source.silent = true;
    return false;
  }

  #earliest(): Source | null {
    let earliest: Source | null = null;
    for (const source of this.#sources) {
      if (source.head !== null && (earliest?.head == null || source.head.time < earliest.head.time)) earliest = source;
    }
    return earliest;
  }

  async #ask(source: Source): Promise<void> {
    try {
      const { value, done } = await source.lines.next();
      if (done === true) this.#sources.delete(source);
      else source.head = value;
      source.silent = false;
    } catch (error) {
      this.#sources.delete(source);
      this.#failure = error;
    }
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
