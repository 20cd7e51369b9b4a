/** Entry of a thread that looks at a path of the host (`host-paths.ts`). It may hang in the kernel for as long as a file server is gone. */
import { mkdirSync, statSync } from 'node:fs';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import { serveJobs } from '../base/job-thread.ts';

export type HostPathJob = { readonly kind: 'look' | 'make'; readonly path: string };

/** Null: there is no such path. */
export interface HostPathLook {
  readonly uid: number;
  readonly gid: number;
}

serveJobs(run);

function run({ kind, path }: HostPathJob): HostPathLook | null {
  if (kind === 'look') return look(path);
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    return null;
  } catch (error) {
    throw new EngineError('system', `error while creating mount source path '${path}': ${errorText(error)}`);
  }
}

function look(path: string): HostPathLook | null {
  try {
    const { uid, gid } = statSync(path);
    return { uid, gid };
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw new EngineError('system', `cannot use bind source ${path}: ${errorText(error)}`);
  }
}
