/**
 * Recognises compressed streams by their first bytes and undoes them. gzip and zstd run in Node's zlib (its thread pool, so hashing and unpacking
 * overlap). bzip2 and xz, which Docker unpacks by programs of the host, are undone here (bzip2.ts, xz.ts), by 5 to 30 MB/s.
 */
import { pipeline, Readable, type Transform } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { invalid } from '../base/errors.ts';
import { createBunzip2 } from './bzip2.ts';
import { createUnxz } from './xz.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

export interface DecompressLimits {
  /** zstd keeps a window of 2^this bytes in memory. 27 is the most that `zstd --ultra -22` makes without `--long`. */
  readonly zstdWindowLog: number;
}

export const defaultDecompressLimits: DecompressLimits = { zstdWindowLog: 27 };

/** How many first bytes `detectCompression` wants to see. */
export const MAGIC_BYTES = 6;

/** Measured for gunzip: 418 MB/s against 182 with Node's default of 16 KiB. */
const OUTPUT_CHUNK_BYTES = 256 * 1024;

export function detectCompression(start: Uint8Array): Compression {
  const is = (...magic: readonly number[]) => start.length >= magic.length && magic.every((byte, index) => start[index] === byte);
  if (is(0x1f, 0x8b)) return 'gzip';
  if (is(0x28, 0xb5, 0x2f, 0xfd) || isSkippableZstdFrame(start)) return 'zstd';
  if (is(0x42, 0x5a, 0x68)) return 'bzip2';
  if (is(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz';
  return 'none';
}

/** Streams made in parallel start with one (magic 0x184D2A50 … 5F, little endian). */
function isSkippableZstdFrame(start: Uint8Array): boolean {
  return start.length >= 4 && ((start[0] ?? 0) & 0xf0) === 0x50 && start[1] === 0x2a && start[2] === 0x4d && start[3] === 0x18;
}

/** Null: the bytes are plain already. */
export function createDecompressor(compression: Compression, limits: Partial<DecompressLimits> = {}): Transform | null {
  const { zstdWindowLog } = { ...defaultDecompressLimits, ...limits };
  switch (compression) {
    case 'none':
      return null;
    case 'gzip':
      return createGunzip({ chunkSize: OUTPUT_CHUNK_BYTES });
    case 'zstd':
      return createZstdDecompress({ chunkSize: OUTPUT_CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } });
    case 'bzip2':
      return createBunzip2();
    case 'xz':
      return createUnxz();
  }
}

/** The plain bytes of a stream, whatever it is compressed with. Concatenated gzip members and zstd frames count as one stream. */
export async function* decompress(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: Partial<DecompressLimits> = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { start, all } = await peek(source);
  const compression = detectCompression(start);
  const decompressor = createDecompressor(compression, limits);
  if (decompressor === null) return yield* all;
  // Errors arrive through the iteration below; the callback only keeps them from being unhandled.
  pipeline(Readable.from(all), decompressor, () => {});
  try {
    yield* decompressor as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw damagedStream(error, compression);
  }
}

async function peek(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{ start: Uint8Array; all: AsyncGenerator<Uint8Array, void, undefined> }> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < MAGIC_BYTES) {
    const next = await iterator.next();
    if (next.done === true) break;
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
  }
  return { start, all: rest(start, iterator) };
}

async function* rest(
  start: Uint8Array,
  iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (start.length > 0) yield start;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  } finally {
    await iterator.return?.();
  }
}

/** zlib's own errors become `invalid`; those of the source pass as they are. */
function damagedStream(error: unknown, compression: Compression): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const code = error.code;
  if (code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return invalid('the zstd stream asks for a larger window than the limit: compress it without --long', { cause: error });
  }
  if (!/^(Z_|ZSTD_|ERR_ZSTD|ERR_BUFFER_TOO_LARGE)/.test(code)) return error;
  return invalid(`the ${compression} stream is damaged: ${error.message}`, { cause: error });
}
