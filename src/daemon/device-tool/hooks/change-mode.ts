/** `chmod`: permission bits of directories that a mount made (`/dev/dri`), where other users than root are to pass. */
import { invalid } from '../../../base/errors.ts';
import { isErrno } from '../../../linux/ffi.ts';
import { changeModeOfPinned, closeDescriptor, O_PATH } from '../../../linux/file-calls.ts';
import { openInRoot } from '../../../linux/path-in-root.ts';
import type { ContainerRoot } from '../container-root.ts';

/** What is not there needs none. */
export function changeMode({ root }: Pick<ContainerRoot, 'root'>, mode: string, paths: readonly string[]): void {
  if (!/^0?[0-7]{3}$/.test(mode)) throw invalid(`--mode wants three octal digits, as 755, not ${JSON.stringify(mode)}`);
  for (const path of paths) {
    const pinned = pin(root, path);
    if (pinned === null) continue;
    try {
      changeModeOfPinned(pinned, Number.parseInt(mode, 8));
    } finally {
      closeDescriptor(pinned);
    }
  }
}

function pin(root: number, path: string): number | null {
  try {
    return openInRoot(root, path, O_PATH);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}
