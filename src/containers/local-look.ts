/**
 * A look at a path that is sure to lie on a disk or in the memory of this machine: such a look comes back, and needs no thread of its own. Any link on the way may lead
 * elsewhere, so a path with one is not.
 */
import { lstat } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';
import { findMount } from '../linux/mount-of-path.ts';
import type { HostPathLook } from './host-path-worker.ts';

const localFileSystems: ReadonlySet<string> = new Set([
  'btrfs',
  'devtmpfs',
  'erofs',
  'ext2',
  'ext3',
  'ext4',
  'f2fs',
  'overlay',
  'ramfs',
  'squashfs',
  'tmpfs',
  'vfat',
  'xfs',
  'zfs',
]);

/** `elsewhere`: it may hang. Null: there is nothing. */
export async function lookLocally(mountinfo: string, path: string): Promise<HostPathLook | null | 'elsewhere'> {
  if (!path.startsWith('/')) return 'elsewhere';
  let reached = '';
  let stats = null;
  for (const name of ['', ...path.split('/').filter((part) => part !== '' && part !== '.')]) {
    if (name === '..') return 'elsewhere';
    reached = reached === '/' || reached === '' ? `/${name}` : `${reached}/${name}`;
    if (!localFileSystems.has(findMount(mountinfo, reached).fileSystem)) return 'elsewhere';
    try {
      stats = await lstat(reached);
    } catch (error) {
      if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
      return 'elsewhere';
    }
    if (stats.isSymbolicLink()) return 'elsewhere';
  }
  return stats === null ? null : { uid: stats.uid, gid: stats.gid };
}
