/**
 * The output of a step as lines, each with its time. What a program draws over by carriage returns counts once, as it stood at the end of the line.
 *
 *     add(bytes) ─▶ take(): lines that nobody has taken yet
 *                └▶ tail(n): the last ones, the one that is being written included
 */
export interface LogLine {
  readonly at: Date;
  readonly text: string;
}

const KEPT_LINES = 16;
/** A line without end is cut into pieces, so that it cannot fill the memory. */
const LONGEST_LINE = 64 * 1024;

export class LogLines {
  readonly #decoder = new TextDecoder();
  readonly #last: LogLine[] = [];
  #fresh: LogLine[] = [];
  #partial = '';
  #partialAt = new Date(0);

  add(bytes: Uint8Array, at: Date): void {
    const pieces = this.#decoder.decode(bytes, { stream: true }).split('\n');
    for (const [index, piece] of pieces.entries()) {
      if (this.#partial === '') this.#partialAt = at;
      this.#partial += piece;
      if (index < pieces.length - 1 || this.#partial.length > LONGEST_LINE) this.#endLine();
    }
  }

  /** Since the last call. `all`: nothing comes any more, a line without end is one too. */
  take(all: boolean): readonly LogLine[] {
    if (all && this.#partial !== '') this.#endLine();
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  get hasFresh(): boolean {
    return this.#fresh.length > 0;
  }

  tail(count: number): readonly string[] {
    const lines = this.#last.map(({ text }) => text);
    const partial = shownPart(this.#partial);
    return (partial === '' ? lines : [...lines, partial]).slice(-count);
  }

  #endLine(): void {
    const line = { at: this.#partialAt, text: shownPart(this.#partial) };
    this.#partial = '';
    this.#fresh.push(line);
    this.#last.push(line);
    if (this.#last.length > KEPT_LINES) this.#last.shift();
  }
}

/** What a terminal would show of it. */
function shownPart(line: string): string {
  if (!line.includes('\r')) return line;
  return line.split('\r').findLast((piece) => piece !== '') ?? '';
}
