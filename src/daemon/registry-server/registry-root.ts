/**
 * The registry's root: made, checked and held. One server, or one command that works on it without a server, has it at a time, by a lock that the kernel gives back however
 * its holder ends.
 *
 *     <root>/registry.lock     who holds it
 *     <root>/control.sock      for `gantry registry gc` and the like: whoever may write the root
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, realpathSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { conflict, errorText, invalid } from '../../base/errors.ts';
import { tryLockFile } from '../../linux/file-lock.ts';

export interface RegistryRoot extends Disposable {
  /** Without symbolic links. */
  readonly path: string;
}

export function openRegistryRoot(path: string): RegistryRoot {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw invalid(`cannot make the registry's root ${path}: ${errorText(cause)}. Name another with --root`, { cause });
  }
  const root = realpathSync(path);
  const lock = lockRoot(root);
  return { path: root, [Symbol.dispose]: () => closeSync(lock) };
}

function lockRoot(root: string): number {
  const file = join(root, 'registry.lock');
  let descriptor: number;
  try {
    descriptor = openSync(file, 'a+', 0o600);
  } catch (cause) {
    throw invalid(`cannot use the registry's root ${root}: ${errorText(cause)}`, { cause });
  }
  if (!tryLockFile(descriptor, file)) {
    const holder = readFileSync(file, 'utf8').trim();
    closeSync(descriptor);
    throw conflict(
      `the registry's root ${root} is in use by ${holder === '' ? 'another process' : `process ${holder}`}: stop that one, or name another with --root`,
    );
  }
  ftruncateSync(descriptor, 0);
  writeSync(descriptor, `${process.pid}\n`, 0);
  return descriptor;
}
