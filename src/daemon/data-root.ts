/**
 * The data root and the run root: made, checked and held. One daemon has a data root at a time, by a lock on `daemon.lock` that the kernel gives back
 * however the daemon ends; the file names the holder for people.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { conflict, EngineError, errorText, hasErrnoCode, invalid } from '../base/errors.ts';
import { tryLockFile } from '../linux/file-lock.ts';
import { type DaemonOptions, defaultDataRoot } from './daemon-options.ts';

export interface DataRoot {
  /** Without symbolic links. */
  readonly path: string;
  readonly execRoot: string;
  /** Kept in the data root; never changes. */
  readonly daemonId: string;
  /** Names of global things (cgroup, later bridge and table): `gantry`, or with a short id for another data root than the default. */
  readonly globalName: string;
  readonly backingFilesystem: string;
  release(): void;
}

export function openDataRoot(options: Pick<DaemonOptions, 'dataRoot' | 'execRoot'>): DataRoot {
  makeDirectory(options.dataRoot, 0o700, '--data-root');
  makeDirectory(options.execRoot, 0o711, '--exec-root');
  const path = realpathSync(options.dataRoot);
  const lock = lockDirectory(path, 'data root');
  try {
    const execLock = lockDirectory(realpathSync(options.execRoot), 'exec root');
    return {
      path,
      execRoot: realpathSync(options.execRoot),
      daemonId: readDaemonId(path),
      globalName: path === defaultDataRoot ? 'gantry' : `gantry-${shortId(path)}`,
      backingFilesystem: requireUpperDirectories(path),
      release() {
        closeSync(lock);
        closeSync(execLock);
      },
    };
  } catch (thrown) {
    closeSync(lock);
    throw thrown;
  }
}

function makeDirectory(path: string, mode: number, flag: string): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (cause) {
    throw invalid(`cannot make ${flag} ${path}: ${errorText(cause)}`, { cause });
  }
}

function lockDirectory(path: string, what: string): number {
  const file = join(path, 'daemon.lock');
  const descriptor = openSync(file, 'a+', 0o600);
  if (!tryLockFile(descriptor, file)) {
    const holder = readFileSync(file, 'utf8').trim();
    closeSync(descriptor);
    const by = holder === '' ? 'another daemon' : `the daemon with process id ${holder}`;
    throw conflict(`the ${what} ${path} is in use by ${by}: stop that one, or give this one its own --data-root and --exec-root`);
  }
  ftruncateSync(descriptor, 0);
  writeSync(descriptor, `${process.pid}\n`, 0);
  return descriptor;
}

function readDaemonId(path: string): string {
  const file = join(path, 'engine-id');
  try {
    const id = readFileSync(file, 'utf8').trim();
    if (id !== '') return id;
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT')) throw error;
  }
  const id = randomUUID();
  writeFileSync(`${file}.new`, `${id}\n`, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
  return id;
}

function shortId(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 8);
}

/** statfs magics (linux/magic.h) of what data roots lie on. */
const filesystemNames: ReadonlyMap<number, string> = new Map([
  [0xef53, 'extfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0x794c7630, 'overlayfs'],
  [0x6969, 'nfs'],
]);

function requireUpperDirectories(path: string): string {
  const magic = statfsSync(path).type;
  const name = filesystemNames.get(magic) ?? `0x${magic.toString(16)}`;
  if (name === 'overlayfs') {
    throw new EngineError(
      'invalid',
      `the data root ${path} lies on overlayfs, where the kernel can keep no container's files: give --data-root a directory on another file ` +
        'system, for example a volume or a tmpfs (mount -t tmpfs tmpfs /var/lib/gantry)',
    );
  }
  return name;
}
