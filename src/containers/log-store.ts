/** A container's log on disk: its limits, and when its rotated files are compressed. */
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { archiveRotated } from './log-archive.ts';
import { type LogFiles, LogUsers } from './log-chain.ts';

export class LogStore implements LogFiles {
  readonly path: string;
  readonly maxFiles: number;
  readonly users = new LogUsers();
  readonly #stop = new AbortController();
  #archiving: Promise<void> | null = null;
  #again = false;

  constructor(path: string, maxFiles: number) {
    this.path = path;
    this.maxFiles = maxFiles;
  }

  /** Compresses now, and whenever a reader that was in the way has left. Returns at once; a failure is told to the daemon's log and tried again next time. */
  archive(logger: Logger): void {
    this.users.onFreed = () => this.#pass(logger);
    this.#pass(logger);
  }

  /** The files are about to be removed. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.users.onFreed = () => {};
    await this.#archiving;
  }

  #pass(logger: Logger): void {
    this.#again = true;
    this.#archiving ??= this.#passes(logger).finally(() => {
      this.#archiving = null;
    });
  }

  async #passes(logger: Logger): Promise<void> {
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false;
      try {
        await archiveRotated(this, this.#stop.signal);
      } catch (error) {
        logger.warn({ log: this.path, error: errorText(error) }, 'cannot compress the rotated log of a container');
      }
    }
  }
}
