/**
 * The two files of a tar that its `.dockerignore` may name although the build reads them: the Dockerfile and `.dockerignore` itself. Whoever sends a tar leaves out what is ignored but for
 * these; they are taken out of the context here, so that no COPY sees them, and handed to the build beside it.
 */
import { readFileSync } from 'node:fs';
import { IgnorePatterns } from '../../archive/ignore-patterns.ts';
import { invalid } from '../../base/errors.ts';
import { closeDescriptor, openRegularFile } from '../../linux/file-calls.ts';
import type { ContextTree } from './context-tree.ts';

const ignoreFile = '.dockerignore';
const largestBytes = 4 * 1024 * 1024;

/** By path. `dockerfiles`: where the Dockerfile may be. */
export function withhold(tree: ContextTree, dockerfiles: readonly string[]): ReadonlyMap<string, Uint8Array> {
  const ignoreText = read(tree, ignoreFile);
  const withheld = new Map<string, Uint8Array>();
  if (ignoreText === null) return withheld;
  const patterns = IgnorePatterns.parse(ignoreText.toString('utf8'));
  for (const path of [ignoreFile, ...dockerfiles]) {
    const bytes = patterns.ignores(path) ? read(tree, path) : null;
    if (bytes === null) continue;
    const { parent, name } = placeOf(tree, path);
    if (parent !== null) tree.remove(parent, name);
    withheld.set(path, bytes);
  }
  return withheld;
}

/** Null: it is no file of the context. */
function read(tree: ContextTree, path: string): Buffer | null {
  const { parent, name } = placeOf(tree, path);
  const entry = tree.entry(path);
  if (parent === null || entry?.type !== 'file') return null;
  if (entry.sizeBytes > largestBytes) throw invalid(`${path} of the build context is larger than ${largestBytes} bytes`);
  const file = openRegularFile(parent.fd, name);
  if (file === null) return null;
  try {
    return readFileSync(file);
  } finally {
    closeDescriptor(file);
  }
}

function placeOf(tree: ContextTree, path: string) {
  const components = path.split('/');
  const name = components.pop() ?? '';
  return { parent: tree.exactParent(components), name };
}
