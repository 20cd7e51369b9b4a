/**
 * Which program a configured runtime is, by what it prints with `--version`, and whether its line of releases has the fixes that SECURITY.md asks for: those of
 * November 2025 (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: a container swaps what its set-up masks or writes to).
 */
import { execFile } from 'node:child_process';

export interface OciVersion {
  /** `runc`, `crun`, `runsc`, …; null: it does not say. */
  readonly family: string | null;
  /** As printed: `1.1.5+ds1`; null: it does not say. */
  readonly version: string | null;
  /** Null: has the fixes. Else what is wrong, as a sentence without the runtime's name. */
  readonly weakness: string | null;
}

const versionPatienceMs = 5000;

/** Never rejects: a program that cannot be run is told when a container wants it. */
export async function readOciVersion(program: string, args: readonly string[] = []): Promise<OciVersion> {
  const { promise, resolve } = Promise.withResolvers<string>();
  execFile(program, [...args, '--version'], { timeout: versionPatienceMs, killSignal: 'SIGKILL' }, (_error, stdout) => resolve(stdout));
  return parseOciVersion(await promise);
}

export function parseOciVersion(text: string): OciVersion {
  const [, family = null, version = null] = /^(\w[\w-]*) version:? v?(?:release-)?(\S+)/m.exec(text) ?? [];
  return { family, version, weakness: weaknessOf(family, version) };
}

/** Each line of releases with the first that has the fixes; a newer line than the last has them. */
const floors: Readonly<Record<string, readonly string[]>> = { runc: ['1.2.8', '1.3.3', '1.4.0'], crun: ['1.25'] };

function weaknessOf(family: string | null, version: string | null): string | null {
  const lines = floors[family ?? ''];
  if (lines === undefined || version === null) {
    return 'tells no version that Gantry knows: whether it has the fixes of November 2025 (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881) is for you to find out';
  }
  if (lines.some((floor, index) => hasReached(version, floor, index === lines.length - 1))) return null;
  return (
    `${family} ${version} is older than ${lines.slice(0, 2).join(' or ')} and lacks the fixes of CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881: ` +
    'a container made by it may break out to the host'
  );
}

/** In the floor's own line (`1.2`), or in the last line and beyond it. */
function hasReached(version: string, floor: string, isLastLine: boolean): boolean {
  const [major = 0, minor = 0, patch = 0] = numbersOf(version);
  const [floorMajor = 0, floorMinor = 0, floorPatch = 0] = numbersOf(floor);
  if (major === floorMajor && minor === floorMinor) return patch >= floorPatch;
  return isLastLine && (major > floorMajor || (major === floorMajor && minor > floorMinor));
}

function numbersOf(version: string): readonly number[] {
  return (/^[\d.]+/.exec(version)?.[0] ?? '').split('.').map(Number);
}
