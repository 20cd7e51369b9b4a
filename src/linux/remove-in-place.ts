/**
 * Removes a directory tree where it is, by descriptors and one name at a time: for trees that others can see and write to (a container's), where nothing may
 * be moved elsewhere first. Symbolic links are removed, never followed. Something mounted inside ends it: from another mount namespace
 * the kernel would let us remove a mount point, and its mount with it.
 */
import { printableName } from '../base/byte-name.ts';
import { conflict } from '../base/errors.ts';
import { DirectoryChain } from './directory-chain.ts';
import { isMountPoint } from './file-calls.ts';
import { readNames } from './read-names.ts';
import { removeOne } from './remove-one.ts';

/** Somebody who keeps making files must not keep us here. */
const MAXIMUM_ROUNDS = 1000;

/** `parent` is an open directory; `name` need not exist. */
export function removeInPlace(parent: number, name: string, checkpoint: () => void): void {
  refuseMountPoint(parent, name);
  if (removeOne(parent, name)) return;
  const chain = new DirectoryChain(parent);
  const names: string[] = [name];
  let rounds = 0;
  try {
    chain.enter(name);
    while (names.length > 0) {
      checkpoint();
      const below = readNames(chain.fd).find((child) => {
        refuseMountPoint(chain.fd, child);
        return !removeOne(chain.fd, child);
      });
      if (below !== undefined) {
        chain.enter(below);
        names.push(below);
        continue;
      }
      const last = names.pop() ?? '';
      chain.leave();
      if (removeOne(chain.fd, last)) continue;
      if (++rounds > MAXIMUM_ROUNDS) throw conflict(`the directory ${printableName(name)} can't be removed: something keeps writing to it`);
      chain.enter(last);
      names.push(last);
    }
  } finally {
    chain.close();
  }
}

function refuseMountPoint(parent: number, name: string): void {
  if (isMountPoint(parent, name)) throw conflict(`${printableName(name)} can't be removed: something is mounted there`);
}
