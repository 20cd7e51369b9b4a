/** Small archives for tests, hostile ones too: written as told. */

import { paddingBytes, type TarEntryType } from '../../../archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive } from '../../../archive/tar-writer.ts';

export interface TarFile {
  /** With a `/` at its end: a directory. */
  readonly path: string;
  readonly content?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly type?: TarEntryType;
  readonly linkTo?: string;
}

export function tarOf(files: readonly TarFile[], seconds = 1_600_000_000): Buffer {
  return Buffer.concat([...files.flatMap((file) => partsOf(file, seconds)), endOfArchive]);
}

function partsOf({ path, content = '', mode, uid = 0, type, linkTo = '' }: TarFile, seconds: number): readonly Uint8Array[] {
  const kind = type ?? (path.endsWith('/') ? 'directory' : 'file');
  const bytes = Buffer.from(content);
  const header = encodeTarHeader({
    type: kind,
    path: path.length > 1 ? path.replace(/\/$/, '') : path,
    sizeBytes: bytes.length,
    ...(mode === undefined ? {} : { mode }),
    uid,
    linkTarget: linkTo,
    modifiedAt: { seconds, nanoseconds: 0 },
  });
  return [header, bytes, endOfArchive.subarray(0, paddingBytes(bytes.length))];
}
