/** `--platform os[/architecture[/variant]]` → the full form that is sent: what the daemon's machine would be is filled in by our own. */
import { errorText } from '../../base/errors.ts';
import { formatPlatform } from '../../oci/platform.ts';
import { parsePlatformSpecifier } from '../../oci/platform-specifier.ts';
import type { CliIo } from '../cli-io.ts';
import type { FlagValues } from '../flags/flag-values.ts';

/** `--platform`, or what DOCKER_DEFAULT_PLATFORM says for all commands that take an image from somewhere. */
export function wantedPlatform(flags: FlagValues, env: CliIo['env']): string {
  return flags.has('platform') ? flags.string('platform') : (env.DOCKER_DEFAULT_PLATFORM ?? '');
}

export function parsePlatformOption(text: string): string {
  if (text === '') return '';
  try {
    return formatPlatform(parsePlatformSpecifier(text));
  } catch (cause) {
    throw new Error(`error parsing specified platform: ${errorText(cause)}`, { cause });
  }
}
