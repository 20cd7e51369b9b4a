/**
 * Walks a directory tree of any depth by descriptors, following no symbolic link, in the order of names, parents before children. Others may write to the
 * tree meanwhile: what vanishes or turns into something else between two looks is left out.
 */
import { type BigIntStats, fstatSync, lstatSync } from 'node:fs';
import { DirectoryChain } from './directory-chain.ts';
import { isErrno } from './ffi.ts';
import { pathAt } from './file-calls.ts';
import { readNames } from './read-names.ts';

export interface TreeVisitor {
  /** Asked before each name. True: the visitor deals with it itself (something else is to be seen in its place), the walk goes on behind it. */
  takes?(parent: number, name: string, stats: BigIntStats): boolean;
  /** Anything but a directory; `parent` is open. */
  entry(parent: number, name: string, stats: BigIntStats): void;
  /** A directory, before what is in it; `directory` is open. */
  enter(directory: number, name: string, stats: BigIntStats): void;
  leave(): void;
}

/** `root` is an open directory, and is itself not visited. */
export function walkTree(root: number, visitor: TreeVisitor): void {
  const chain = new DirectoryChain(root);
  const pending = [readNames(root).reverse()];
  try {
    for (let names = pending.at(-1); names !== undefined; names = pending.at(-1)) {
      const name = names.pop();
      if (name !== undefined) {
        visit(chain, name, visitor, pending);
        continue;
      }
      pending.pop();
      if (pending.length === 0) return;
      visitor.leave();
      chain.leave();
    }
  } finally {
    chain.close();
  }
}

function visit(chain: DirectoryChain, name: string, visitor: TreeVisitor, pending: string[][]): void {
  const stats = statsOf(chain.fd, name);
  if (stats === null || visitor.takes?.(chain.fd, name, stats) === true) return;
  if (!stats.isDirectory()) {
    visitor.entry(chain.fd, name, stats);
    return;
  }
  if (!tryEnter(chain, name)) return;
  visitor.enter(chain.fd, name, fstatSync(chain.fd, { bigint: true }));
  pending.push(readNames(chain.fd).reverse());
}

function statsOf(directory: number, name: string): BigIntStats | null {
  return lstatSync(pathAt(directory, name), { bigint: true, throwIfNoEntry: false }) ?? null;
}

function tryEnter(chain: DirectoryChain, name: string): boolean {
  try {
    chain.enter(name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return false;
    throw error;
  }
}
