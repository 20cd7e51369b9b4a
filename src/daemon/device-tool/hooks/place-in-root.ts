/** How a hook puts links and files into a container: made beside their place and moved there, so that nobody finds half of one, nor nothing in between. */
import { chmodSync, writeFileSync } from 'node:fs';
import { invalid } from '../../../base/errors.ts';
import { isErrno } from '../../../linux/ffi.ts';
import { makeSymbolicLinkAt, pathAt, renameAt, unlinkAt } from '../../../linux/file-calls.ts';
import { inParent } from './parents-in-root.ts';

/** In place of whatever file or link is there. */
export function placeLink(root: number, target: string, path: string): void {
  place(root, path, (parent, temporary) => makeSymbolicLinkAt(target, parent, temporary));
}

export function placeFile(root: number, content: Uint8Array | string, path: string): void {
  place(root, path, (parent, temporary) => {
    const file = pathAt(parent, temporary);
    // Exclusively, which follows no link.
    writeFileSync(file, content, { flag: 'wx' });
    chmodSync(file, 0o644);
  });
}

function place(root: number, path: string, make: (parent: number, temporary: string) => void): void {
  inParent(root, path, (parent, name) => {
    const temporary = `.gantry-hook-${process.pid}`;
    make(parent, temporary);
    try {
      renameAt(parent, temporary, parent, name);
    } catch (error) {
      unlinkAt(parent, temporary);
      if (isErrno(error, 'EISDIR', 'EBUSY'))
        throw invalid(`${path} cannot be made in the container: it has a directory or a mount there`, { cause: error });
      throw error;
    }
  });
}
