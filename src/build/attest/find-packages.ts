/**
 * Which packages a root file system holds, from the databases of dpkg, apk, npm and pip. Reads the directories of its layers, mounts nothing, follows no link out of them. In a worker thread.
 */
import { AT_FDCWD, closeDescriptor, O_NOFOLLOW, O_PATH, openAt } from '../../linux/file-calls.ts';
import { readPinned } from '../../linux/path-in-root.ts';
import { childrenOf, type Found, LayerStack } from '../../store/layer-stack.ts';
import type { FoundPackage } from './found-package.ts';
import { apkPackages, type Distribution, dpkgPackages, npmPackage, parseOsRelease, pythonPackage } from './package-databases.ts';

export interface FindPackagesJob {
  readonly kind: 'find-packages';
  /** Host paths, topmost first. */
  readonly directories: readonly string[];
}

const databaseLimitBytes = 64 * 1024 * 1024;
const descriptionLimitBytes = 1024 * 1024;

/** Never entered: whatever lies there is the kernel's, or gone at the next start. */
const skipped = new Set(['/proc', '/sys', '/dev']);

/** Sorted, each once. */
export function findPackages({ directories }: FindPackagesJob, checkpoint: () => void): readonly FoundPackage[] {
  const stack = new LayerStack(directories);
  const distribution = parseOsRelease(textOf(stack.resolve('/etc/os-release'), descriptionLimitBytes) ?? '');
  const found = [...systemPackages(stack, distribution), ...describedPackages(stack, checkpoint)];
  const unique = new Map(found.map((each) => [`${each.purl} ${each.path}`, each]));
  return [...unique.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);
}

function* systemPackages(stack: LayerStack, distribution: Distribution): Generator<FoundPackage> {
  const status = '/var/lib/dpkg/status';
  yield* dpkgPackages(textOf(stack.resolve(status), databaseLimitBytes) ?? '', status, distribution);
  // Images without dpkg itself keep a file for each package.
  const folder = stack.resolve('/var/lib/dpkg/status.d');
  for (const { name, found } of folder === null || !folder.stats.isDirectory() ? [] : childrenOf(folder)) {
    if (!name.endsWith('.md5sums')) yield* dpkgPackages(textOf(found, descriptionLimitBytes) ?? '', `${status}.d/${name}`, distribution);
  }
  const installed = '/lib/apk/db/installed';
  yield* apkPackages(textOf(stack.resolve(installed), databaseLimitBytes) ?? '', installed, distribution);
}

/** Packages that lie anywhere, each with a file that describes it. */
function* describedPackages(stack: LayerStack, checkpoint: () => void): Generator<FoundPackage> {
  const root = stack.lookup([]);
  const pending = root === null ? [] : [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    checkpoint();
    for (const { name, found } of childrenOf(directory)) {
      const path = `/${found.resolved.join('/')}`;
      if (found.stats.isDirectory()) {
        if (!skipped.has(path)) pending.push(found);
        continue;
      }
      const described = describedBy(name, found, path);
      if (described !== null) yield described;
    }
  }
}

function describedBy(name: string, found: Found, path: string): FoundPackage | null {
  const folders = found.resolved.slice(0, -1);
  if (name === 'package.json' && isNpmPackage(folders)) return npmPackage(textOf(found, descriptionLimitBytes) ?? '', path);
  const folder = folders.at(-1) ?? '';
  const isPython = (name === 'METADATA' && folder.endsWith('.dist-info')) || (name === 'PKG-INFO' && folder.endsWith('.egg-info'));
  return isPython ? pythonPackage(textOf(found, descriptionLimitBytes) ?? '', path) : null;
}

/** `node_modules/NAME` or `node_modules/@SCOPE/NAME`: deeper ones belong to a package. */
function isNpmPackage(folders: readonly string[]): boolean {
  const scope = folders.at(-2) ?? '';
  return scope === 'node_modules' || (scope.startsWith('@') && folders.at(-3) === 'node_modules');
}

/** Null: there is none, it is no regular file, or far larger than a real one. */
function textOf(found: Found | null, limitBytes: number): string | null {
  if (found === null || !found.stats.isFile() || found.stats.size > limitBytes) return null;
  const pinned = openAt(AT_FDCWD, found.path, O_PATH | O_NOFOLLOW);
  try {
    return readPinned(pinned, found.path, limitBytes).toString('utf8');
  } finally {
    closeDescriptor(pinned);
  }
}
