import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CliError } from '../../cli-error.ts';

/** Seconds since 1970 of the commit that is checked out. */
export async function commitTime(directory: string): Promise<number> {
  try {
    const { stdout } = await promisify(execFile)('git', ['-C', directory, 'log', '-1', '--format=%ct']);
    const latest = stdout.trim();
    if (!/^\d+$/.test(latest)) throw new Error('it has no commit');
    return Number(latest);
  } catch (error) {
    const why =
      error instanceof Error && 'stderr' in error && String(error.stderr) !== ''
        ? String(error.stderr).trim()
        : String(error instanceof Error ? error.message : error);
    throw new CliError(`--timestamp=git: the time of the last commit of ${directory} cannot be found: ${why}`, 1, { cause: error });
  }
}
