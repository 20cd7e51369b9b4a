/**
 * A Dockerfile's physical lines, read as logical ones:
 *
 *     RUN wh\        ─┐
 *     # a comment     ├─▶  text "RUN whoami", range 1-3, pieces that lead every character back to its line and column
 *     oami           ─┘
 *
 * Joining inserts nothing. Leading blanks go from the first line only; comments inside are dropped, empty lines too (with a warning later). A heredoc's body is not part of
 * the logical line: whoever knows that the instruction may have one asks for it line by line (`takeRaw`).
 */
import type { LineRange, Position } from './source-range.ts';

export interface LogicalLine extends LineRange {
  readonly text: string;
  readonly pieces: readonly Piece[];
  /** Comment lines directly above, without `#`; a blank line does not separate them, an empty comment does. */
  readonly comments: readonly string[];
  /** Empty lines inside a continuation. */
  readonly emptyLines: readonly number[];
}

interface Piece {
  /** Where it starts in the text. */
  readonly offset: number;
  readonly position: Position;
}

export function splitLines(source: string): readonly string[] {
  const lines = source.replace(/^\uFEFF/, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

export function positionAt(line: LogicalLine, offset: number): Position {
  const piece = line.pieces.findLast((candidate) => candidate.offset <= offset) ?? line.pieces[0];
  if (piece === undefined) return { line: line.startLine, column: 1 };
  return { line: piece.position.line, column: piece.position.column + offset - piece.offset };
}

export class LineReader {
  readonly #lines: readonly string[];
  readonly #escape: string;
  #next: number;
  #comments: string[] = [];

  /** From behind the directives. */
  constructor(lines: readonly string[], directives: { readonly escape: string; readonly lineCount: number }) {
    this.#lines = lines;
    this.#escape = directives.escape;
    this.#next = directives.lineCount;
  }

  /** Null at the end. */
  next(): LogicalLine | null {
    for (;;) {
      const raw = this.#lines[this.#next];
      if (raw === undefined) return null;
      const line = withoutReturn(raw);
      const text = line.trimStart();
      if (text !== '' && !text.startsWith('#')) {
        const line = this.#logical();
        if (line.text !== '') return line;
        continue;
      }
      if (text !== '') this.#comment(text);
      this.#next++;
    }
  }

  /** The next physical line as it is, `\r` included; null at the end. */
  takeRaw(): string | null {
    const raw = this.#lines[this.#next];
    if (raw === undefined) return null;
    this.#next++;
    return raw;
  }

  /** Number of the line that was taken last. */
  get lastLine(): number {
    return this.#next;
  }

  #comment(text: string): void {
    const words = text.slice(1).trim();
    if (words === '') this.#comments = [];
    else this.#comments.push(words);
  }

  #logical(): LogicalLine {
    const startLine = this.#next + 1;
    const comments = this.#comments;
    this.#comments = [];
    const pieces: Piece[] = [];
    const emptyLines: number[] = [];
    let text = '';
    for (let first = true; ; first = false) {
      const raw = this.takeRaw();
      if (raw === null) break;
      const line = withoutReturn(raw);
      if (!first && /^\s*#/.test(line)) continue;
      if (!first && line.trim() === '') {
        emptyLines.push(this.#next);
        continue;
      }
      const skipped = first ? line.length - line.trimStart().length : 0;
      const { content, continues } = this.#continuation(line.slice(skipped));
      pieces.push({ offset: text.length, position: { line: this.#next, column: skipped + 1 } });
      text += content;
      if (!continues) break;
    }
    return { text: text.trimEnd(), pieces, comments, emptyLines, startLine, endLine: this.#next };
  }

  /** The escape character at the end, blanks allowed behind it, another one not in front of it. */
  #continuation(line: string): { readonly content: string; readonly continues: boolean } {
    const trimmed = withoutTail(line, ' \t');
    const escaped = trimmed.at(-1) === this.#escape && trimmed.at(-2) !== this.#escape;
    return escaped ? { content: trimmed.slice(0, -1), continues: true } : { content: line, continues: false };
  }
}

export function withoutReturn(line: string): string {
  return withoutTail(line, '\r');
}

/** By hand: an expression that ends in `+$` tries every run of a long line, and takes hours for megabytes of blanks. */
function withoutTail(line: string, chars: string): string {
  let end = line.length;
  while (end > 0 && chars.includes(line.charAt(end - 1))) end--;
  return line.slice(0, end);
}
