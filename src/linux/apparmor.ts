/** AppArmor of this host: whether the kernel has it, and how a profile gets into it. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';

const parsers = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'];
const loadPatienceMs = 20_000;

export function hasAppArmor(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}

/** Null: there is no program that could load a profile. */
export function appArmorParser(): string | null {
  return parsers.find((path) => existsSync(path)) ?? null;
}

/** Replaces a profile of the same name; what runs under it goes on under the new one. */
export async function loadAppArmorProfile(parser: string, text: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = execFile(
    parser,
    ['--replace', '--skip-cache'],
    { timeout: loadPatienceMs, killSignal: 'SIGKILL' },
    (error, _stdout, stderr) => {
      if (error === null) resolve();
      else
        reject(
          new EngineError('system', `cannot load the AppArmor profile: ${parser}: ${stderr.trim().split('\n').at(-1) || error.message}`),
        );
    },
  );
  // One that ends before it has read all says why itself.
  child.stdin?.on('error', () => {});
  child.stdin?.end(text);
  await promise;
}
