/** Lines that a person types, shown or hidden. What was typed or pasted ahead belongs to the next line. */
import type { CliInput } from '../cli-io.ts';
import { enterRawMode } from './raw-mode.ts';

export class LineInput implements Disposable {
  readonly #stdin: CliInput;
  readonly #chunks: AsyncIterator<Buffer | string>;
  #ahead = '';

  constructor(stdin: CliInput) {
    this.#stdin = stdin;
    this.#chunks = stdin.iterator({ destroyOnReturn: false });
  }

  /** Null: the input has ended. */
  async readLine(): Promise<string | null> {
    let line = '';
    for (let next = await this.#nextCharacter(); next !== null; next = await this.#nextCharacter()) {
      if (next === '\n') return line.replace(/\r$/, '');
      line += next;
    }
    return line === '' ? null : line;
  }

  /** Raw mode does not echo; so the keys that a terminal would handle are handled here. Null: Ctrl-C, or Ctrl-D on an empty line. */
  async readHiddenLine(): Promise<string | null> {
    using _raw = enterRawMode(this.#stdin, 'input');
    let line: string[] = [];
    for (let next = await this.#nextCharacter(); next !== null; next = await this.#nextCharacter()) {
      if (next === '\r' || next === '\n') return line.join('');
      if (next === '\x03' || (next === '\x04' && line.length === 0)) return null;
      if (next === '\x7f' || next === '\b') line.pop();
      else if (next === '\x15') line = [];
      else if (next >= ' ') line.push(next);
    }
    return line.join('');
  }

  async #nextCharacter(): Promise<string | null> {
    while (this.#ahead === '') {
      const { done, value } = await this.#chunks.next();
      if (done === true) return null;
      this.#ahead = String(value);
    }
    const [character = ''] = this.#ahead;
    this.#ahead = this.#ahead.slice(character.length);
    return character;
  }

  [Symbol.dispose](): void {
    this.#stdin.pause();
  }
}
