/** The last lines that a step wrote, for the message when it fails. */
import { StringDecoder } from 'node:string_decoder';

const keptLines = 20;
const keptLineLength = 2000;

export class LastLines {
  readonly #lines: string[] = [];
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  #open = '';

  add(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const parts = (this.#open + this.#decoders[stream].write(bytes)).split('\n');
    this.#open = (parts.pop() ?? '').slice(-keptLineLength);
    for (const part of parts.slice(-keptLines)) this.#lines.push(part.replace(/\r$/, '').slice(-keptLineLength));
    if (this.#lines.length > keptLines) this.#lines.splice(0, this.#lines.length - keptLines);
  }

  get(): readonly string[] {
    return (this.#open === '' ? this.#lines : [...this.#lines, this.#open]).slice(-keptLines);
  }
}
