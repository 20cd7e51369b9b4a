import { stat } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';

/** Links are followed. What cannot be looked at is an error, not an absence. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
