/** Writes that may be lost: gathered for a moment, the last one of a subject counts, a failure is logged only. */
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Database, Statement } from '../../store/database.ts';

const delayMs = 500;

export class LazyWrites {
  readonly #database: Database;
  readonly #log: Logger;
  #waiting = new Map<string, readonly Statement[]>();
  #timer: NodeJS.Timeout | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(database: Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  add(subject: string, statements: readonly Statement[]): void {
    this.#waiting.set(subject, statements);
    this.#timer ??= setTimeout(() => void this.flush(), delayMs).unref();
  }

  /** It is gone: nothing of it is to be written any more. */
  forget(subject: string): void {
    this.#waiting.delete(subject);
  }

  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const statements = [...this.#waiting.values()].flat();
    this.#waiting = new Map();
    if (statements.length > 0) this.#last = this.#write(statements);
    return this.#last;
  }

  async close(): Promise<void> {
    await this.flush();
  }

  async #write(statements: readonly Statement[]): Promise<void> {
    try {
      await this.#database.write('normal', statements);
    } catch (cause) {
      this.#log.warn({ cause: errorText(cause) }, 'when the build cache was used last cannot be written');
    }
  }
}
