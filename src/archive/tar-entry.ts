/** What one entry of a tar archive says, free of how it was encoded (ustar, PAX, GNU). Shared by the reader and the writer. */

export type TarEntryType = 'file' | 'hard-link' | 'symbolic-link' | 'character-device' | 'block-device' | 'directory' | 'fifo';

export interface Timestamp {
  /** Since 1970, negative before. */
  readonly seconds: number;
  /** 0 … 999,999,999, always counted forwards. */
  readonly nanoseconds: number;
}

export interface TarEntry {
  readonly type: TarEntryType;
  /** As the archive has it, a trailing `/` of directories taken off. Not normalised: may be absolute or hold `..`. See `base/byte-name.ts` for its encoding. */
  readonly path: string;
  /** Of hard and symbolic links; else empty. */
  readonly linkTarget: string;
  /** Of the file as a reader sees it: holes of sparse files included. 0 for everything that is not a file. */
  readonly sizeBytes: number;
  /** Permission, setuid, setgid and sticky bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: string;
  readonly groupName: string;
  readonly modifiedAt: Timestamp;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Full names (`user.x`, `security.capability`). */
  readonly extendedAttributes: ReadonlyMap<string, Uint8Array>;
  /** The file has holes: only these ranges are stored. Null: all of it is. */
  readonly extents: readonly Extent[] | null;
}

/** A range of a sparse file that holds data. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** What the reader refuses to go beyond; all of them end in an `invalid` error that names the limit. */
export interface TarLimits {
  /** Length of a path or link target. The kernel takes no more than 4,095 bytes. */
  readonly nameBytes: number;
  /** Of one PAX header or GNU long name. */
  readonly extendedHeaderBytes: number;
  readonly entries: number;
  readonly extentsPerFile: number;
  /** Of one file, as `sizeBytes` counts. */
  readonly fileBytes: number;
}

export const defaultTarLimits: TarLimits = {
  nameBytes: 4095,
  extendedHeaderBytes: 1024 * 1024,
  entries: 1_000_000,
  extentsPerFile: 100_000,
  fileBytes: 1024 ** 4,
};

export const BLOCK_BYTES = 512;

/** Bytes of padding after `sizeBytes` of content. */
export function paddingBytes(sizeBytes: number): number {
  const rest = sizeBytes % BLOCK_BYTES;
  return rest === 0 ? 0 : BLOCK_BYTES - rest;
}
