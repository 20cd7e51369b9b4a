/** A text that is drawn again and again from the top left corner. Only what changed is touched, so that nothing flickers. */
import type { CliOutput } from '../cli-io.ts';
import { writeText } from '../output.ts';

const home = '\x1b[H';
const clearLine = '\x1b[K';
const clearBelow = '\x1b[J';

export class LiveScreen {
  readonly #output: CliOutput;
  #isFirst = true;

  constructor(output: CliOutput) {
    this.#output = output;
  }

  /** More lines than the terminal has are cut: they would scroll the top away. */
  show(text: string): void {
    const rows = this.#output.isTTY === true ? (this.#output.rows ?? 0) : 0;
    const lines = text.replace(/\n$/, '').split('\n');
    const shown = rows > 1 ? lines.slice(0, rows - 1) : lines;
    const start = this.#isFirst ? `\x1b[2J${home}` : home;
    this.#isFirst = false;
    writeText(this.#output, `${start}${shown.map((line) => `${line}${clearLine}\n`).join('')}${clearBelow}`);
  }
}
