/** Copies one directory of a stack of layers. The stack is seen through a mount that only we hold; links in the way to `source` stay inside it. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { invalid } from '../../base/errors.ts';
import { copyTree } from '../../linux/copy-tree.ts';
import { openOverlay } from '../../linux/detached-overlay.ts';
import { isErrno } from '../../linux/ffi.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from '../../linux/file-calls.ts';
import { openInRoot } from '../../linux/path-in-root.ts';

export interface CacheFillJob {
  /** Topmost first. */
  readonly directories: readonly string[];
  readonly source: string;
  /** Empty; becomes like the source. */
  readonly directory: string;
  /** Empty, on the same file system; empty again at the end, but for directories. */
  readonly aside: string;
}

export function runCacheFill({ directories, source, directory, aside }: CacheFillJob, checkpoint: () => void): void {
  const [links, empty, mountPoint] = ['links', 'empty', 'mount'].map((name) => join(aside, name)) as [string, string, string];
  for (const path of [links, empty, mountPoint]) mkdirSync(path);
  const all = directories.length > 1 ? directories : [...directories, empty, ...(directories.length === 0 ? [links] : [])];
  const base = dirname(all[0] ?? empty);
  const lowers = all.map((path) => relative(base, path));
  using root = new Closing(openOverlay({ base, lowers, upper: null, work: null }, mountPoint));
  using from = new Closing(openSource(root.fd, source));
  using to = new Closing(openAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  using aside2 = new Closing(openAt(AT_FDCWD, links, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  copyTree(from.fd, { root: to.fd, links: aside2.fd }, { keepAttribute, toleratesMissingAttributes: true, checkpoint });
  rmdirSync(mountPoint);
}

function openSource(root: number, source: string): number {
  try {
    return openInRoot(root, source, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw invalid(`cannot fill the cache mount: "${source}": not found`);
    if (isErrno(error, 'ENOTDIR')) throw invalid(`cannot fill the cache mount: "${source}" is not a directory`);
    throw error;
  }
}

function keepAttribute(name: string): boolean {
  return name === 'security.capability' || name.startsWith('user.');
}

class Closing implements Disposable {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}
