/** A directory of merged image layers, without a mount, into an empty directory: what a container finds there goes into its new volume. */
import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { type CopyRules, type CopyTarget, TreeCopier } from '../linux/copy-tree.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, openAt, pathAt } from '../linux/file-calls.ts';
import { childrenOf, type Found, layerStackOf } from '../store/layer-stack.ts';
import type { PopulateSource } from './volumes.ts';

/** False: the layers have nothing at that path. */
export function copyLayers(source: PopulateSource, target: CopyTarget, checkpoint: () => void): boolean {
  if (source.path.includes('\0')) throw invalid(`the path ${printableName(source.path)} holds a NUL byte`);
  const found = layerStackOf(source.base, source.lowers).resolve(source.path);
  if (found === null) return false;
  if (!found.stats.isDirectory()) throw invalid(`cannot mount volume over existing file, file exists ${source.path}`);
  const rules: CopyRules = { keepAttribute: isOfTheImage, toleratesMissingAttributes: true, checkpoint };
  const copier = new TreeCopier(target, rules);
  try {
    copyChildren(found, copier);
    withDirectory(found.path, (directory) => copier.finish(directory));
  } finally {
    copier.close();
  }
  return true;
}

/** Not by recursion: an image may be as deep as a path can be long. */
function copyChildren(root: Found, copier: TreeCopier): void {
  const pending = [[...childrenOf(root)].reverse()];
  for (let children = pending.at(-1); children !== undefined; children = pending.at(-1)) {
    const child = children.pop();
    if (child === undefined) {
      pending.pop();
      if (pending.length > 0) copier.leave();
    } else if (child.found.stats.isDirectory()) {
      withDirectory(child.found.path, (directory) => copier.enter(directory, child.name, exactStats(directory, '.')));
      pending.push([...childrenOf(child.found)].reverse());
    } else {
      copyOne(child.name, child.found, copier);
    }
  }
}

function copyOne(name: string, found: Found, copier: TreeCopier): void {
  const parent = openAt(AT_FDCWD, dirname(found.path), O_PATH | O_DIRECTORY);
  try {
    copier.entry(parent, name, exactStats(parent, name));
  } finally {
    closeDescriptor(parent);
  }
}

function exactStats(directory: number, name: string) {
  return lstatSync(pathAt(directory, name), { bigint: true });
}

function withDirectory(path: string, use: (directory: number) => void): void {
  const directory = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    use(directory);
  } finally {
    closeDescriptor(directory);
  }
}

/** How overlay keeps its books is no business of a volume. */
function isOfTheImage(name: string): boolean {
  return !name.startsWith('trusted.overlay.');
}
