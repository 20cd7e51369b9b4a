/** A tar on its way through, the top of it called otherwise. */
import { readTar } from '../../archive/tar-stream.ts';
import { type WritableEntry, writeTar } from '../../archive/tar-writer.ts';
import { renamed } from './copy-paths.ts';

export function renameArchive(tar: AsyncIterable<Uint8Array>, from: string, to: string): AsyncIterable<Uint8Array> {
  return writeTar(renamedEntries(tar, from, to));
}

async function* renamedEntries(tar: AsyncIterable<Uint8Array>, from: string, to: string): AsyncGenerator<WritableEntry> {
  for await (const { entry, content } of readTar(tar)) {
    const { extents: _written, ...rest } = entry;
    const linkTarget = entry.type === 'hard-link' ? renamed(entry.linkTarget, from, to) : entry.linkTarget;
    yield { entry: { ...rest, path: renamed(entry.path, from, to), linkTarget }, content };
  }
}
