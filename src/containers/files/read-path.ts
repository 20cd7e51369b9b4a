/** Out of a container: what a path is, and a tar of it. In worker threads. */
import type { BigIntStats } from 'node:fs';
import { paddingBytes } from '../../archive/tar-entry.ts';
import { printableName } from '../../base/byte-name.ts';
import { conflict, invalid, notFound } from '../../base/errors.ts';
import { isErrno } from '../../linux/ffi.ts';
import { closeDescriptor, fileTimeOf, pathAt, readPinnedLink } from '../../linux/file-calls.ts';
import { readPinned } from '../../linux/path-in-root.ts';
import { walkTree } from '../../linux/walk-tree.ts';
import { ArchivePipe, type ExportRules, TreeExporter } from '../../store/export-tree.ts';
import type { PathStat } from '../containers.ts';
import { shownIds } from './container-ids.ts';
import type { ContainerPath } from './container-path.ts';
import { ContainerTree, openDirectoryOf, type Place } from './container-tree.ts';
import type { FileJob } from './file-job.ts';
import { showsKernel } from './kernel-file-systems.ts';
import { pathStat } from './path-stat.ts';

const maxKernelFileBytes = 4 * 1024 * 1024;

type StatJob = Extract<FileJob, { kind: 'stat' }>;
type ReadJob = Extract<FileJob, { kind: 'read' }>;

export function statPath({ root, path, reference }: StatJob): PathStat {
  return withPlace(root, path, reference, (tree, { path: found, fd, stats }) => {
    const linkTarget = stats.isSymbolicLink() ? `/${tree.locate(readPinnedLink(fd), found.slice(0, -1)).join('/')}` : '';
    return pathStat(path.name, stats, linkTarget);
  });
}

export function readPath({ root, path, reference, writeEnd, mountPoints }: ReadJob, checkpoint: () => void): void {
  withPlace(root, path, reference, (tree, place) => {
    const archive = new ArchivePipe(writeEnd);
    const exporter = new ContainerExporter(archive, tree, place, {
      prefix: path.name,
      keepAttribute: () => true,
      shownId: shownIds(root),
      checkpoint,
    });
    if (place.stats.isDirectory()) readDirectory(place, exporter, path.name);
    else if (isMadeByKernel(place)) readWhole(place, archive, path.name);
    else exporter.pinned(place.fd, path.name);
    if (!tree.isComplete && mountPoints.some((destination) => isAbove(place.path, tree.locate(destination)))) {
      throw conflict('the container stopped while its files were being read, and what was mounted there is missing: try again');
    }
    archive.end();
  });
}

/** Files of /proc and /sys say that they are empty: what they hold is known when it is read. */
function isMadeByKernel({ fd, stats }: Place): boolean {
  return stats.isFile() && stats.size === 0n && showsKernel(`/proc/self/fd/${fd}`);
}

function readWhole({ fd, stats }: Place, archive: ArchivePipe, name: string): void {
  const bytes = readPinned(fd, name, maxKernelFileBytes);
  const modifiedAt = fileTimeOf(stats.mtimeNs);
  archive.header({ type: 'file', path: name, sizeBytes: bytes.length, mode: Number(stats.mode) & 0o7777, modifiedAt });
  archive.write(bytes);
  archive.write(new Uint8Array(paddingBytes(bytes.length)));
}

function readDirectory(place: Place, exporter: ContainerExporter, name: string): void {
  const directory = openDirectoryOf(place.fd);
  try {
    if (showsKernel(`/proc/self/fd/${directory}`)) {
      throw invalid(`cannot copy the directory /${place.path.join('/')}: it shows the kernel, it holds no files. Copy single files of it`);
    }
    exporter.directory(directory, name);
    walkTree(directory, exporter);
  } finally {
    closeDescriptor(directory);
  }
}

/** Leaves out what the kernel shows in a container, and the devices that Gantry puts there: a copy of `/` is a copy of files. */
class ContainerExporter extends TreeExporter {
  readonly #at: readonly string[];
  /** Device → whether it is such a file system. */
  readonly #judged: Map<bigint, boolean>;

  constructor(archive: ArchivePipe, tree: ContainerTree, place: Place, rules: ExportRules) {
    super(archive, { ...rules, standInFor: (path) => tree.mountedAt([...place.path, ...path])?.fd ?? null });
    this.#at = place.path;
    this.#judged = new Map([[place.stats.dev, false]]);
  }

  override takes(parent: number, name: string, stats: BigIntStats): boolean {
    if (super.takes(parent, name, stats)) return true;
    if (!stats.isDirectory()) return false;
    const ownDevices = this.#at.length === 0 && this.depth === 0 && name === 'dev';
    if (!ownDevices && !this.#showsKernel(parent, name, stats.dev)) return false;
    this.emptyDirectory(parent, name);
    return true;
  }

  #showsKernel(parent: number, name: string, device: bigint): boolean {
    const known = this.#judged.get(device);
    if (known !== undefined) return known;
    const judged = showsKernel(pathAt(parent, name));
    this.#judged.set(device, judged);
    return judged;
  }
}

function withPlace<T>(root: StatJob['root'], path: ContainerPath, reference: string, use: (tree: ContainerTree, place: Place) => T): T {
  const tree = ContainerTree.open(root);
  try {
    const place = find(tree, path, reference);
    try {
      return use(tree, place);
    } finally {
      closeDescriptor(place.fd);
    }
  } finally {
    tree.close();
  }
}

function find(tree: ContainerTree, { text, directory }: ContainerPath, reference: string): Place {
  const place = explaining(text, reference, () => tree.resolve(text, directory ? 'follow' : 'keep'));
  if (!directory || place.stats.isDirectory()) return place;
  closeDescriptor(place.fd);
  throw notDirectory(text);
}

/** What the kernel says of a path, in Docker's words. */
export function explaining<T>(path: string, reference: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw notFound(`Could not find the file ${path} in container ${reference}`, { cause: error });
    if (isErrno(error, 'ENOTDIR')) throw notDirectory(path);
    if (isErrno(error, 'ELOOP', 'ENAMETOOLONG')) throw invalid(`cannot open ${printableName(path)}: ${error.errnoName}`, { cause: error });
    throw error;
  }
}

function notDirectory(path: string): Error {
  return invalid(`${printableName(path)}: not a directory`);
}

function isAbove(path: readonly string[], other: readonly string[]): boolean {
  return path.every((name, index) => other[index] === name);
}
