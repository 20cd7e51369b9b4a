import { readdir } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';

/** None where there is no such directory. */
export async function namesInDirectory(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return [];
    throw error;
  }
}
