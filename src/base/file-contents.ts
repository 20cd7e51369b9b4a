/**
 * Contents of many files as one stream of bytes, in pieces. A small file is one piece; files follow one another, or take turns.
 *
 *     u32 file │ u32 length of the piece; the highest bit: it is the file's last │ bytes
 *
 * `file` is its index in a list (`file-list.ts`).
 */
import { invalid } from './errors.ts';

const HEADER_BYTES = 8;
const LAST = 0x80000000;
/** Of one piece. */
export const MAXIMUM_PIECE_BYTES = 256 * 1024;

/** In front of a piece. */
export function pieceHeader(file: number, length: number, isLast: boolean): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(file, 0);
  header.writeUInt32BE((length | (isLast ? LAST : 0)) >>> 0, 4);
  return header;
}

export interface PieceHandler {
  /** A piece, or a part of one that came in several. `bytes` is valid during the call only. */
  piece(file: number, bytes: Buffer, isLast: boolean): void;
}

export class FileContentsDecoder {
  readonly #handler: PieceHandler;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFill = 0;
  #left = 0;

  constructor(handler: PieceHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerFill < HEADER_BYTES) {
        const copied = chunk.copy(this.#header, this.#headerFill, at, at + HEADER_BYTES - this.#headerFill);
        this.#headerFill += copied;
        at += copied;
        if (this.#headerFill < HEADER_BYTES) return;
        this.#left = this.#lengthOfPiece();
        if (this.#left > 0) continue;
      }
      const part = chunk.subarray(at, at + this.#left);
      at += part.length;
      this.#left -= part.length;
      const isWhole = this.#left === 0;
      this.#handler.piece(this.#header.readUInt32BE(0), part, isWhole && this.#header.readUInt32BE(4) >= LAST);
      if (isWhole) this.#headerFill = 0;
    }
  }

  end(): void {
    if (this.#headerFill > 0) throw invalid('the contents of the files end within a piece');
  }

  #lengthOfPiece(): number {
    const length = this.#header.readUInt32BE(4) & ~LAST;
    if (length > MAXIMUM_PIECE_BYTES) throw invalid(`a piece of a file has ${length} bytes, more than ${MAXIMUM_PIECE_BYTES}, the limit`);
    return length;
  }
}
