/**
 * Hooks that are still to be run, in the container's runtime directory: a daemon that starts later has to know them. Written before anything of the container exists;
 * an entry goes when its hooks have been run. A crash in between runs them again rather than never.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrnoCode } from '../base/errors.ts';
import type { Hook } from '../oci/runtime-spec.ts';
import type { HookState } from './hooks.ts';

export interface PendingHooks {
  readonly state: Pick<HookState, 'ociVersion' | 'id' | 'bundle' | 'annotations'>;
  readonly poststart: readonly Hook[];
  readonly poststop: readonly Hook[];
}

export async function readPendingHooks(directory: string): Promise<PendingHooks | null> {
  try {
    return JSON.parse(await readFile(hooksFile(directory), 'utf8')) as PendingHooks;
  } catch (thrown) {
    if (hasErrnoCode(thrown, 'ENOENT')) return null;
    throw thrown;
  }
}

/** Null: none are left. */
export async function writePendingHooks(directory: string, pending: PendingHooks | null): Promise<void> {
  const file = hooksFile(directory);
  if (pending === null || pending.poststart.length + pending.poststop.length === 0) return await rm(file, { force: true });
  await writeFile(`${file}.new`, JSON.stringify(pending), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

function hooksFile(directory: string): string {
  return join(directory, 'hooks.json');
}
