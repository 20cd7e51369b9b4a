/** The few file operations that cgroups need, so that tests can put a made-up kernel behind them. Synchronous: each takes microseconds in kernfs. */
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { hasErrnoCode } from '../base/errors.ts';

export interface CgroupFiles {
  /** False: it existed. Throws ENOENT when the parent is missing. */
  mkdir(path: string): boolean;
  /** False: it did not exist. */
  rmdir(path: string): boolean;
  /** Null: no such file. */
  read(path: string): string | null;
  /** Never creates a file: ENOENT. */
  write(path: string, value: string): void;
  /** One write(2) for each value, as files that take one rule at a time need it. */
  writeEach(path: string, values: readonly string[]): void;
  subdirectories(path: string): readonly string[];
}

export const kernelFiles: CgroupFiles = {
  mkdir: (path) => unless('EEXIST', () => mkdirSync(path, 0o755)),
  rmdir: (path) => unless('ENOENT', () => rmdirSync(path)),
  read(path) {
    try {
      return readFileSync(path, 'latin1');
    } catch (error) {
      // ENODEV: the cgroup was removed while its file was open.
      if (hasErrnoCode(error, 'ENOENT', 'ENODEV')) return null;
      throw error;
    }
  },
  write(path, value) {
    kernelFiles.writeEach(path, [value]);
  },
  writeEach(path, values) {
    // Some of these files can be opened for writing only.
    const file = openSync(path, constants.O_WRONLY);
    try {
      for (const value of values) writeSync(file, value);
    } finally {
      closeSync(file);
    }
  },
  subdirectories: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name),
};

function unless(code: string, action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (hasErrnoCode(error, code)) return false;
    throw error;
  }
}
