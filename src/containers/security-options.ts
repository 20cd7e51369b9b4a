/** `--security-opt`: what each one asks for. Unknown ones are refused with Docker's text, known ones that we lack by name. Pure. */
import { invalid, notImplemented } from '../base/errors.ts';
import { parseProfileText } from '../runtime/seccomp/parse-profile.ts';
import type { Profile } from '../runtime/seccomp/profile.ts';

export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** The daemon's default, our own, no filter at all, or the profile whose text the CLI sent. */
  readonly seccomp: 'default' | 'builtin' | 'unconfined' | Profile;
  /** The profile's name, or `unconfined`; null: not said. */
  readonly appArmor: string | null;
  /** `systempaths=unconfined`: nothing masked, nothing read-only. */
  readonly systemPathsUnconfined: boolean;
  readonly warnings: readonly string[];
}

export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let parsed: SecurityOptions = { noNewPrivileges: false, seccomp: 'default', appArmor: null, systemPathsUnconfined: false, warnings: [] };
  for (const option of options) {
    if (option === 'no-new-privileges') parsed = { ...parsed, noNewPrivileges: true };
    else if (option === 'disable') parsed = { ...parsed };
    else parsed = { ...parsed, ...parsePair(option) };
  }
  return parsed;
}

function parsePair(option: string): Partial<SecurityOptions> {
  // `key:value` is the old form that Docker still takes.
  const at = option.search(/[=:]/);
  if (at === -1) throw invalid(`invalid --security-opt 1: "${option}"`);
  const [key, value] = [option.slice(0, at), option.slice(at + 1)];
  switch (key) {
    case 'hardened':
      // Spelled out into the other fields when the container is created (hardened.ts).
      return {};
    case 'no-new-privileges':
      return { noNewPrivileges: parseBoolean(option, value) };
    case 'seccomp':
      return parseSeccomp(value);
    case 'systempaths':
      if (value !== 'unconfined') throw invalid(`invalid --security-opt 2: "${option}"`);
      return { systemPathsUnconfined: true };
    case 'apparmor':
      return value === '' ? {} : { appArmor: value };
    case 'label':
      if (value === 'disable') return {};
      throw notImplemented(`--security-opt label=${value} is not supported: SELinux labels are not set by Gantry`);
    default:
      throw invalid(`invalid --security-opt 2: "${option}"`);
  }
}

function parseBoolean(option: string, value: string): boolean {
  if (/^(1|t|T|true|True|TRUE)$/.test(value)) return true;
  if (/^(0|f|F|false|False|FALSE)$/.test(value)) return false;
  throw invalid(`invalid --security-opt 2: "${option}"`);
}

function parseSeccomp(value: string): Partial<SecurityOptions> {
  if (value === 'unconfined') return { seccomp: 'unconfined' };
  if (value === 'builtin') return { seccomp: 'builtin' };
  if (value === '') return { seccomp: 'default' };
  const { warnings, ...profile } = parseProfileText(value);
  return { seccomp: profile, warnings };
}
