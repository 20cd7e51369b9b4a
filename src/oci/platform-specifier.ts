/** `os[/architecture[/variant]]` as people write it, strictly and in Docker's words: a single word must be a known system or architecture, as a slip would else be a platform that no image has. */
import { invalid } from '../base/errors.ts';
import { type Platform, parsePlatform } from './platform.ts';

const systems = ['aix', 'android', 'darwin', 'dragonfly', 'freebsd', 'illumos', 'ios', 'js', 'linux', 'macos', 'netbsd', 'openbsd', 'plan9', 'solaris', 'windows']; // biome-ignore format: a list of words

const architectures = [
  '386', 'amd64', 'arm', 'armbe', 'arm64', 'arm64be', 'ppc64', 'ppc64le', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le', 'ppc', 'riscv', 'riscv64', 's390', 's390x', 'sparc', 'sparc64', 'wasm',
]; // biome-ignore format: a list of words

export function parsePlatformSpecifier(text: string): Platform {
  const complaint = (reason: string): Error => invalid(`${JSON.stringify(text)}: ${reason}: invalid argument`);
  const parts = text.split('/');
  if (parts.length > 3) throw complaint('cannot parse platform specifier');
  const odd = parts.find((part) => !/^[A-Za-z0-9_.-]+$/.test(part));
  if (odd !== undefined)
    throw complaint(
      `${JSON.stringify(odd)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_-]+$"`,
    );
  if (parts.length > 1) return parsePlatform(text);
  const word = text.toLowerCase();
  if (systems.includes(word)) return { ...parsePlatform('linux'), os: word === 'macos' ? 'darwin' : word };
  const platform = parsePlatform(word);
  if (!architectures.includes(platform.architecture)) throw complaint('unknown operating system or architecture');
  return platform;
}
