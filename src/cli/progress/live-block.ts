/**
 * Lines at the end of a terminal that are drawn again in place, while others scroll past above them. All of the cursor's movements are here.
 *
 *     …lines that scroll…
 *     ┌ the block: at most as high as the terminal, no line as wide as it
 *     └
 *     cursor
 *
 * A terminal that became narrower has wrapped what was drawn: how far up the block begins is reckoned with the width of now.
 */
import type { CliOutput } from '../cli-io.ts';
import { writeText } from '../output.ts';
import { clipText, visibleWidth } from './visible-text.ts';

const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export class LiveBlock {
  readonly #output: CliOutput;
  #drawn: readonly string[] = [];

  constructor(output: CliOutput) {
    this.#output = output;
  }

  /** One less than there are: a line that fills the last column wraps on some terminals. */
  get columns(): number {
    return Math.max(1, (this.#output.columns || DEFAULT_COLUMNS) - 1);
  }

  /** The last row is the cursor's. */
  get rows(): number {
    return Math.max(1, (this.#output.rows || DEFAULT_ROWS) - 1);
  }

  draw(lines: readonly string[]): void {
    const fitting = lines.slice(0, this.rows).map((line) => clipText(line, this.columns));
    if (fitting.length === this.#drawn.length && fitting.every((line, at) => line === this.#drawn[at])) return;
    this.#write(fitting);
    this.#drawn = fitting;
  }

  /** Above the block. `text` ends its lines. */
  print(text: string): void {
    const lines = this.#drawn;
    writeText(this.#output, `${this.#toTop()}${CLEAR_BELOW}${text}`);
    this.#drawn = [];
    this.#write(lines);
    this.#drawn = lines;
  }

  /** What is drawn stays; the next block begins below it. */
  leave(): void {
    this.#drawn = [];
  }

  #write(lines: readonly string[]): void {
    writeText(this.#output, `${this.#toTop()}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`);
  }

  #toTop(): string {
    const width = this.#output.columns || DEFAULT_COLUMNS;
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / width)), 0);
    return rows === 0 ? '' : `\x1b[${Math.min(rows, this.rows)}A\r`;
  }
}
