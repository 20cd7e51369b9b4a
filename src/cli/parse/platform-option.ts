/** `--platform os[/architecture[/variant]]` → the full form that is sent: what the daemon's machine would be is filled in by our own. */
import { formatPlatform, parsePlatform } from '../../oci/platform.ts';
import type { CliIo } from '../cli-io.ts';
import type { FlagValues } from '../flags/flag-values.ts';

/** `--platform`, or what DOCKER_DEFAULT_PLATFORM says for all commands that take an image from somewhere. */
export function wantedPlatform(flags: FlagValues, env: CliIo['env']): string {
  return flags.has('platform') ? flags.string('platform') : (env.DOCKER_DEFAULT_PLATFORM ?? '');
}

const SYSTEMS = ['aix', 'android', 'darwin', 'dragonfly', 'freebsd', 'illumos', 'ios', 'js', 'linux', 'macos', 'netbsd', 'openbsd', 'plan9', 'solaris', 'windows']; // biome-ignore format: a list of words

const ARCHITECTURES = [
  '386', 'amd64', 'arm', 'armbe', 'arm64', 'arm64be', 'ppc64', 'ppc64le', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le', 'ppc', 'riscv', 'riscv64', 's390', 's390x', 'sparc', 'sparc64', 'wasm',
]; // biome-ignore format: a list of words

export function parsePlatformOption(text: string): string {
  if (text === '') return '';
  const complaint = (reason: string): Error =>
    new Error(`error parsing specified platform: ${JSON.stringify(text)}: ${reason}: invalid argument`);
  const parts = text.split('/');
  if (parts.length > 3) throw complaint('cannot parse platform specifier');
  const odd = parts.find((part) => !/^[A-Za-z0-9_.-]+$/.test(part));
  if (odd !== undefined)
    throw complaint(
      `${JSON.stringify(odd)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_-]+$"`,
    );
  if (parts.length > 1) return formatPlatform(parsePlatform(text));
  const word = text.toLowerCase();
  const own = parsePlatform('linux');
  if (SYSTEMS.includes(word)) return formatPlatform({ ...own, os: word === 'macos' ? 'darwin' : word });
  const platform = parsePlatform(word);
  if (!ARCHITECTURES.includes(platform.architecture)) throw complaint('unknown operating system or architecture');
  return formatPlatform(platform);
}
