/** A sync that answers file by file, as one list and one stream: what the worker threads take. Many files are asked for at once, so that no question waits for the answer before. */
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { MAXIMUM_PIECE_BYTES, pieceHeader } from '../../base/file-contents.ts';
import { encodeFileList } from '../../base/file-list.ts';
import type { FileListTransfer, FileSync } from '../build-client.ts';

const FILES_AT_ONCE = 64;

export function fileListOf(sync: FileSync): FileListTransfer {
  return {
    sharedKey: sync.sharedKey,
    async *entries() {
      for await (const batch of sync.entries()) yield encodeFileList(batch);
    },
    contents: (wanted) => contentsOf(sync, wanted),
    finish: () => sync.finish(),
  };
}

function contentsOf(sync: FileSync, wanted: readonly number[]): Readable {
  const stream = new PassThrough({ highWaterMark: 1024 * 1024 });
  const pending = wanted.values();
  const readers = Array.from({ length: Math.min(FILES_AT_ONCE, wanted.length) }, async () => {
    for (const index of pending) await relay(sync, index, stream);
  });
  Promise.all(readers).then(
    () => stream.end(),
    (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return stream;
}

/** One chunk is held back, as only the next one tells whether it was the last. */
async function relay(sync: FileSync, index: number, stream: PassThrough): Promise<void> {
  let held: Uint8Array = new Uint8Array(0);
  for await (const chunk of sync.read(index)) {
    if (stream.destroyed) return;
    if (held.length > 0) await write(stream, index, held, false);
    held = chunk;
  }
  await write(stream, index, held, true);
}

async function write(stream: PassThrough, index: number, bytes: Uint8Array, isLast: boolean): Promise<void> {
  let at = 0;
  do {
    const piece = bytes.subarray(at, at + MAXIMUM_PIECE_BYTES);
    at += piece.length;
    stream.write(pieceHeader(index, piece.length, isLast && at === bytes.length));
    if (!stream.write(piece)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
  } while (at < bytes.length && !stream.destroyed);
}
