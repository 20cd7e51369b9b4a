/**
 * A tar archive as an async sequence of entries, for consumers that wait between chunks (a socket, a blob store). Bytes are pulled from the source only
 * as fast as the consumer takes them, so nothing piles up. `TarReader` is the faster way where the consumer is synchronous.
 */

import type { TarEntry, TarLimits } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';

export interface StreamedEntry {
  readonly entry: TarEntry;
  /** The file's bytes, holes of sparse files as zeros. Good until the next entry is asked for; what was not read is skipped then. */
  readonly content: AsyncIterable<Uint8Array>;
}

type Event =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'content'; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: 'end-of-entry' };

const ZEROS = new Uint8Array(64 * 1024);

/** Reads the source to its end, also behind the archive's end marker, so that a digest over the source is complete. */
export async function* readTar(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: Partial<TarLimits> = {},
): AsyncGenerator<StreamedEntry, void, undefined> {
  const events = readEvents(source, limits);
  try {
    for (;;) {
      const next = await events.next();
      if (next.done === true) return;
      if (next.value.kind !== 'entry') continue;
      const content = readContent(events, next.value.entry);
      yield { entry: next.value.entry, content };
      // Whatever the consumer left is skipped; a generator that it has already ended makes this a no-op, and the loop skips the rest itself.
      await content.return();
    }
  } finally {
    await events.return(undefined);
  }
}

async function* readEvents(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: Partial<TarLimits>,
): AsyncGenerator<Event, void, undefined> {
  let events: Event[] = [];
  const reader = new TarReader(
    {
      entry: (entry) => events.push({ kind: 'entry', entry }),
      content: (bytes, offset) => events.push({ kind: 'content', bytes, offset }),
      endOfEntry: () => events.push({ kind: 'end-of-entry' }),
    },
    limits,
  );
  for await (const chunk of source) {
    reader.push(chunk);
    const ready = events;
    events = [];
    yield* ready;
  }
  reader.end();
}

async function* readContent(events: AsyncGenerator<Event, void, undefined>, entry: TarEntry): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  for (;;) {
    const next = await events.next();
    if (next.done === true || next.value.kind !== 'content') break;
    yield* zeros(next.value.offset - position);
    yield next.value.bytes;
    position = next.value.offset + next.value.bytes.length;
  }
  yield* zeros(entry.sizeBytes - position);
}

function* zeros(count: number): Generator<Uint8Array, void, undefined> {
  for (let left = count; left > 0; left -= ZEROS.length) yield left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left);
}
