/** The daemon's options for the security of containers: what holds for those that do not say it themselves. */
import { readFileSync } from 'node:fs';
import { errorText, invalid } from '../base/errors.ts';
import type { IdPool } from '../containers/id-ranges.ts';
import { defaultIdPool, type SecurityDefaults } from '../containers/security-defaults.ts';
import { parseProfileText } from '../runtime/seccomp/parse-profile.ts';
import type { Setting } from './setting.ts';
import { parseSwitch } from './switch-text.ts';

export const securitySettings: readonly Setting[] = [
  { flag: 'hardened', key: 'hardened', kind: 'switch', help: 'every container as with --security-opt hardened (false)' },
  { flag: 'no-new-privileges', key: 'no-new-privileges', kind: 'switch', help: 'every container with no-new-privileges (false)' },
  {
    flag: 'userns-pool',
    key: 'userns-pool',
    kind: 'text',
    help: 'FIRST:COUNT host ids for --userns auto (those of user gantry in /etc/subuid, else 524288:1878523904)',
  },
  { flag: 'default-ipc-mode', key: 'default-ipc-mode', kind: 'text', help: 'private or shareable (private)' },
  {
    flag: 'default-cgroupns-mode',
    key: 'default-cgroupns-mode',
    kind: 'text',
    help: 'private or host (private with cgroup v2, else host)',
  },
  { flag: 'seccomp-profile', key: 'seccomp-profile', kind: 'text', help: 'file with a seccomp profile, builtin or unconfined (builtin)' },
];

export function securityOptions(values: ReadonlyMap<string, readonly string[]>): SecurityDefaults {
  const one = (flag: string) => values.get(flag)?.at(-1) ?? '';
  const pool = one('userns-pool');
  return {
    hardened: parseSwitch(one('hardened') || 'false', '--hardened'),
    noNewPrivileges: parseSwitch(one('no-new-privileges') || 'false', '--no-new-privileges'),
    idPool: pool === '' ? (subordinateIds() ?? defaultIdPool) : parsePool(pool),
    ipcMode: oneOf(one('default-ipc-mode'), ['', 'private', 'shareable'], '--default-ipc-mode'),
    cgroupnsMode: oneOf(one('default-cgroupns-mode'), ['', 'private', 'host'], '--default-cgroupns-mode'),
    seccomp: seccompProfile(one('seccomp-profile')),
  };
}

function oneOf<T extends string>(text: string, allowed: readonly T[], name: string): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined)
    throw invalid(`invalid value for ${name}: ${JSON.stringify(text)}. One of ${allowed.filter(Boolean).join(', ')}`);
  return found;
}

function seccompProfile(value: string): SecurityDefaults['seccomp'] {
  if (value === '' || value === 'builtin') return null;
  if (value === 'unconfined') return 'unconfined';
  try {
    const { warnings: _warnings, ...profile } = parseProfileText(readFileSync(value, 'utf8'));
    return profile;
  } catch (cause) {
    throw invalid(`cannot use the seccomp profile ${value} (--seccomp-profile): ${errorText(cause)}`, { cause });
  }
}

/** 4294967295 is no id. */
const maxIds = 2 ** 32 - 1;

function parsePool(text: string): IdPool {
  const match = /^(\d{1,10}):(\d{1,10})$/.exec(text);
  const [base, size] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || base < 1 || size < 1 || base + size > maxIds)
    throw invalid(`invalid value for --userns-pool: ${JSON.stringify(text)}. Write FIRST:COUNT, within 1-${maxIds - 1}`);
  return { base, size };
}

/** `gantry:FIRST:COUNT`, the same in both files. */
function subordinateIds(): IdPool | null {
  const [users, groups] = ['/etc/subuid', '/etc/subgid'].map(rangeIn);
  if (users === undefined || users === null || users !== groups) return null;
  return parsePool(users);
}

function rangeIn(path: string): string | null {
  try {
    return /^gantry:(\d+:\d+)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? null;
  } catch {
    return null;
  }
}
