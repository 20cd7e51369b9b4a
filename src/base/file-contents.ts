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
/** What a decoder takes in one piece: it holds no more than that of a small file before it knows its end. */
export const MAXIMUM_PIECE_BYTES = 256 * 1024;

/** In front of a piece. */
export function pieceHeader(file: number, length: number, isLast: boolean): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(file, 0);
  header.writeUInt32BE((length | (isLast ? LAST : 0)) >>> 0, 4);
  return header;
}

export interface PieceHandler {
  /** `bytes` is valid during the call only. */
  piece(file: number, bytes: Buffer, isLast: boolean): void;
}

export class FileContentsDecoder {
  readonly #handler: PieceHandler;
  #rest: Buffer = Buffer.alloc(0);

  constructor(handler: PieceHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      const missing = this.#missing();
      if (missing > chunk.length) {
        this.#rest = Buffer.concat([this.#rest, chunk]);
        if (missing > 0 && this.#rest.length >= HEADER_BYTES) this.#missing();
        return;
      }
      // The piece that was begun is completed; what follows it is not copied.
      const joined = Buffer.concat([this.#rest, chunk.subarray(0, missing)]);
      this.#rest = joined.subarray(this.#take(joined));
      bytes = chunk.subarray(missing);
      if (this.#rest.length > 0) {
        this.push(bytes);
        return;
      }
    }
    this.#rest = Buffer.from(bytes.subarray(this.#take(bytes)));
  }

  end(): void {
    if (this.#rest.length > 0) throw invalid('the contents of the files end within a piece');
  }

  /** Until the end of the header, or of the piece, that was begun. */
  #missing(): number {
    if (this.#rest.length < HEADER_BYTES) return HEADER_BYTES - this.#rest.length;
    return HEADER_BYTES + lengthOf(this.#rest, 0) - this.#rest.length;
  }

  /** Hands out whole pieces; gives where the rest begins. */
  #take(bytes: Buffer): number {
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = lengthOf(bytes, at);
      const end = at + HEADER_BYTES + length;
      if (end > bytes.length) break;
      this.#handler.piece(bytes.readUInt32BE(at), bytes.subarray(at + HEADER_BYTES, end), bytes.readUInt32BE(at + 4) >= LAST);
      at = end;
    }
    return at;
  }
}

function lengthOf(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at + 4) & ~LAST;
  if (length > MAXIMUM_PIECE_BYTES) throw invalid(`a piece of a file has ${length} bytes, more than ${MAXIMUM_PIECE_BYTES}, the limit`);
  return length;
}
