/** Budgets of unpacking: an archive from anywhere must not fill memory or disk. Going beyond ends in an `invalid` error that names the limit. */
import type { TarLimits } from '../archive/tar-entry.ts';
import { defaultTarLimits } from '../archive/tar-entry.ts';

export interface UnpackLimits extends TarLimits {
  /** Of one layer, uncompressed; holes of sparse files count. */
  readonly layerBytes: number;
  /** Uncompressed to compressed bytes, looked at only beyond `ratioFromBytes`: a few large empty files are honest. gzip reaches 1,030 at most. */
  readonly ratio: number;
  readonly ratioFromBytes: number;
  /** Paths of directories are kept until their times are set at the end. */
  readonly directoryNameBytes: number;
  readonly zstdWindowLog: number;
}

export const defaultUnpackLimits: UnpackLimits = {
  ...defaultTarLimits,
  // Room for the host's own directories in front, as the kernel takes no longer path.
  nameBytes: 3840,
  layerBytes: 128 * 1024 ** 3,
  ratio: 200,
  ratioFromBytes: 4 * 1024 ** 3,
  directoryNameBytes: 64 * 1024 ** 2,
  zstdWindowLog: 27,
};
