/** `--security-opt`: the file of `seccomp=FILE` is read here and sent as its content, because the daemon may be elsewhere. */
import { readFileSync } from 'node:fs';
import { CliError } from '../cli-error.ts';
import { fileErrorText } from '../file-error.ts';

export interface SecurityOptions {
  readonly options: string[] | null;
  /** `systempaths=unconfined`: no masked and no read-only paths. */
  readonly unconfinedPaths: boolean;
}

export function collectSecurityOptions(given: readonly string[]): SecurityOptions {
  const options = given.filter((option) => option !== 'systempaths=unconfined').map(securityOption);
  return { options: options.length === 0 ? null : options, unconfinedPaths: given.includes('systempaths=unconfined') };
}

function securityOption(option: string): string {
  const [key = '', value] = splitOnce(option);
  if (value === undefined) {
    if (key === 'no-new-privileges') return option;
    // Gantry's own; with a value, since the API knows options as pairs.
    if (key === 'hardened') return 'hardened=true';
    throw new CliError(`Invalid --security-opt: "${option}"`, 125);
  }
  if (key !== 'seccomp' || value === 'unconfined' || value === 'builtin') return option;
  return `seccomp=${readProfile(value)}`;
}

/** `key=value`; the colon is Docker's older separator. */
function splitOnce(option: string): [string, string?] {
  const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
  return at === -1 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

function readProfile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(`opening seccomp profile (${path}) failed: ${fileErrorText(error)}`, 125, {
      cause: error,
    });
  }
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    throw new CliError(
      `compacting json for seccomp profile (${path}) failed: ${error instanceof Error ? error.message : String(error)}`,
      125,
      { cause: error },
    );
  }
}
