/** The builder's tar as files, for clients that do not take archives. Paths are relative and clean: the archive is ours. */
import type { TarEntry } from '../../archive/tar-entry.ts';
import { readTar } from '../../archive/tar-stream.ts';

export type ArchiveFile = Omit<TarEntry, 'extents' | 'userName' | 'groupName'>;

export interface ReadArchiveFile {
  /** Its path is empty for the root. */
  readonly file: ArchiveFile;
  /** Good until the next one is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

export async function* readArchiveFiles(archive: AsyncIterable<Uint8Array>): AsyncGenerator<ReadArchiveFile, void, undefined> {
  for await (const { entry, content } of readTar(archive)) {
    const linkTarget = entry.type === 'hard-link' ? relative(entry.linkTarget) : entry.linkTarget;
    yield { file: { ...entry, path: relative(entry.path), linkTarget }, content };
  }
}

function relative(path: string): string {
  return path.replace(/^(?:\.?\/)+/, '').replace(/^\.$/, '');
}
