/** Which cgroups lie below one of ours, in any hierarchy. */
import { readdir } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';
import { cgroupPlacement } from './cgroups.ts';

/** Names, each once. A parent that does not exist has none. */
export async function childCgroups(parent: string): Promise<readonly string[]> {
  const names = await Promise.all(cgroupPlacement(parent).directories.map(subdirectories));
  return [...new Set(names.flat())].sort();
}

async function subdirectories(path: string): Promise<readonly string[]> {
  try {
    return (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return [];
    throw error;
  }
}
