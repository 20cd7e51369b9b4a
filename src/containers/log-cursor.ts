/** How far a container's lines have been sent: kept in a small file beside its log, replaced by rename, at most five times a second. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { errorText, hasErrnoCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { LogCursor } from './log-files.ts';

const saveMs = 200;

export class StoredCursor {
  readonly #path: string;
  readonly #logger: Logger;
  #current: LogCursor | null = null;
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Null: nothing was sent yet, or nobody knows. */
  async load(): Promise<LogCursor | null> {
    if (this.#current !== null) return this.#current;
    try {
      const { file, offset } = JSON.parse(await readFile(this.#path, 'utf8')) as Partial<LogCursor>;
      this.#current = typeof file === 'string' && Number.isSafeInteger(offset) ? { file, offset: offset as number } : null;
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOENT'))
        this.#logger.warn({ path: this.#path, error: errorText(error) }, 'cannot read how much of a log was sent');
    }
    return this.#current;
  }

  advance(cursor: LogCursor): void {
    this.#current = cursor;
    this.#timer ??= setTimeout(() => void this.flush(), saveMs).unref();
  }

  async flush(): Promise<void> {
    if (this.#timer === null) return await this.#saving;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#saving = this.#saving.then(() => this.#save());
    await this.#saving;
  }

  async #save(): Promise<void> {
    try {
      await writeFile(`${this.#path}.tmp`, JSON.stringify(this.#current), { mode: 0o600 });
      await rename(`${this.#path}.tmp`, this.#path);
    } catch (error) {
      this.#logger.warn({ path: this.#path, error: errorText(error) }, 'cannot store how much of a log was sent: lines may be sent twice');
    }
  }
}
