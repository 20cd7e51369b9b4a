/**
 * The audit log: a line of JSON for each write that was done, and for each that was refused; who, from where, what, with which answer. Appended to one file, in order.
 * `reopen` (SIGHUP) goes on in a file that was put in its place, so logrotate can move it away. No value of a client can make a second line or reach a terminal as
 * anything but text (SECURITY.md row 32); none is a secret.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { errorText, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

export interface AuditLine {
  readonly time: Date;
  readonly user: string | null;
  readonly address: string;
  readonly userAgent: string;
  /** `push`, `upload`, `mount`, `delete`, `tag-delete`, `refused`. */
  readonly action: string;
  readonly repository: string | null;
  readonly digest: string | null;
  readonly tag: string | null;
  readonly bytes: number | null;
  /** Null: no request's, or its client went before the answer. */
  readonly status: number | null;
  /** Of what was refused. */
  readonly method?: string;
}

const maxUserAgent = 200;

export class AuditLog {
  readonly #logger: Logger;
  #path: string;
  #file: FileHandle;
  #pending: string[] = [];
  #writing: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, logger: Logger) {
    this.#path = path;
    this.#file = file;
    this.#logger = logger;
  }

  static async open(path: string, logger: Logger): Promise<AuditLog> {
    return new AuditLog(path, await openFile(path), logger);
  }

  write(line: AuditLine): void {
    this.#pending.push(formatAuditLine(line));
    this.#writing ??= this.#drain();
  }

  async reopen(path: string = this.#path): Promise<void> {
    const file = await openFile(path);
    await this.#writing;
    const before = this.#file;
    [this.#file, this.#path] = [file, path];
    await before.close();
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0) {
      const lines = this.#pending.join('');
      this.#pending = [];
      try {
        await this.#file.appendFile(lines);
      } catch (error) {
        this.#logger.error(
          { path: this.#path, error: errorText(error), lines: lines.split('\n').length - 1 },
          'lines of the audit log could not be written',
        );
      }
    }
    this.#writing = null;
  }
}

/** Controls beyond those that JSON escapes (DEL, C1, line separators) are escaped, too. */
export function formatAuditLine({ time, userAgent, ...rest }: AuditLine): string {
  const text = JSON.stringify({ time: time.toISOString(), ...rest, userAgent: userAgent.slice(0, maxUserAgent) });
  return `${text.replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'a', 0o640);
  } catch (cause) {
    throw invalid(`cannot write the audit log ${path}: ${errorText(cause)}`, { cause });
  }
}
