/**
 * The init layer: one constant directory that lies between an image's layers and a container's upper directory. Its entries win over the image's, so an image
 * can't turn a mount point into a link that leads a mount elsewhere (SEC-12): `/dev`, `/proc`, `/sys` and `/etc` are directories, the three files that each
 * container gets its own of are files. The same entries as Docker's init layer.
 */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Rises when the content changes: containers made before keep the directory they know. */
const NAME = 'init-1';

const directories = ['dev', 'dev/pts', 'dev/shm', 'proc', 'sys', 'etc'];
const emptyFiles = ['dev/console', 'etc/hosts', 'etc/hostname', 'etc/resolv.conf', '.dockerenv'];

/** Made once below the layer store's root; the result is the host path of its `fs` directory. */
export function ensureInitLayer(root: string): string {
  const directory = join(root, NAME);
  if (existsSync(directory)) return join(directory, 'fs');
  const temporary = join(root, `tmp-${NAME}-${process.pid}`);
  rmSync(temporary, { recursive: true, force: true });
  const fs = join(temporary, 'fs');
  mkdirSync(fs, { recursive: true });
  for (const path of directories) mkdirSync(join(fs, path), { mode: 0o755 });
  for (const path of emptyFiles)
    writeFileSync(join(fs, path), '', { mode: path === '.dockerenv' || path === 'dev/console' ? 0o755 : 0o644 });
  symlinkSync('/proc/mounts', join(fs, 'etc/mtab'));
  renameSync(temporary, directory);
  return join(directory, 'fs');
}
