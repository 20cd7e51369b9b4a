/** fsutil's Stat to what the builder knows of a file. Whether its paths can be trusted is looked at by whoever writes them to the disk. */
import { printableName } from '../../../base/byte-name.ts';
import { invalid } from '../../../base/errors.ts';
import type { SyncEntry } from '../../../build/build-client.ts';
import { goModes, type StatValue } from '../messages/session.ts';

/** Null: of a kind that no context holds (sockets). */
export function entryOf(stat: StatValue): SyncEntry | null {
  const type = typeOf(stat);
  if (type === null) return null;
  return {
    path: stat.path,
    type,
    mode: permissionsOf(stat.mode),
    sizeBytes: type === 'file' ? sizeOf(stat) : 0,
    modifiedAt: timeOf(stat.modifiedAt),
    changedAt: type === 'file' && stat.modifiedAt % nanosecondsInSecond === 0n ? never() : undefined,
    linkTarget: stat.linkName,
    deviceMajor: stat.deviceMajor,
    deviceMinor: stat.deviceMinor,
    extendedAttributes: stat.extendedAttributes,
  };
}

function typeOf({ mode, linkName }: StatValue): SyncEntry['type'] | null {
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  if (has(goModes.directory)) return 'directory';
  if (has(goModes.symbolicLink)) return 'symbolic-link';
  if (has(goModes.pipe)) return 'fifo';
  if (has(goModes.device)) return has(goModes.characterDevice) ? 'character-device' : 'block-device';
  if (has(goModes.socket)) return null;
  return linkName === '' ? 'file' : 'hard-link';
}

const specialBits = [
  [goModes.setuid, 0o4000],
  [goModes.setgid, 0o2000],
  [goModes.sticky, 0o1000],
] as const;

function permissionsOf(goMode: number): number {
  return specialBits.reduce((mode, [go, unix]) => (Math.floor(goMode / go) % 2 === 1 ? mode | unix : mode), goMode & 0o777);
}

/** The other way round. */
export function goModeOf(type: SyncEntry['type'], mode: number): number {
  const kinds: Readonly<Record<SyncEntry['type'], number>> = {
    file: 0,
    'hard-link': 0,
    directory: goModes.directory,
    'symbolic-link': goModes.symbolicLink,
    fifo: goModes.pipe,
    'character-device': goModes.device + goModes.characterDevice,
    'block-device': goModes.device,
  };
  return specialBits.reduce((go, [bit, unix]) => ((mode & unix) === 0 ? go : go + bit), kinds[type] + (mode & 0o777));
}

/**
 * Files whose time is a whole second were given it (by `tar`, by builds that want to be reproducible), so that another file of that size may have it, too, and clients give different folders one key
 * when they have one name. BuildKit takes such files for unchanged; here they are sent again: no two of these times are equal.
 */
function never(): SyncEntry['modifiedAt'] {
  neverCounter += 1n;
  return timeOf(BigInt(Date.now()) * 1_000_000n + (neverCounter % 1_000_000n));
}

let neverCounter = 0n;

function sizeOf({ sizeBytes, path }: StatValue): number {
  if (sizeBytes < 0) throw invalid(`the client sent a negative size for ${printableName(path)}`);
  return sizeBytes;
}

const nanosecondsInSecond = 1_000_000_000n;

function timeOf(unixNanoseconds: bigint): SyncEntry['modifiedAt'] {
  const rest = ((unixNanoseconds % nanosecondsInSecond) + nanosecondsInSecond) % nanosecondsInSecond;
  return { seconds: Number((unixNanoseconds - rest) / nanosecondsInSecond), nanoseconds: Number(rest) };
}

export function unixNanoseconds({ seconds, nanoseconds }: SyncEntry['modifiedAt']): bigint {
  return BigInt(seconds) * nanosecondsInSecond + BigInt(nanoseconds);
}

/** Names compare by component: `a/b` comes before `a.b`, as a walk of the folder gives them. */
export function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let index = 0; index < left.length && index < right.length; index += 1) {
    const order = Buffer.compare(Buffer.from(left[index] ?? ''), Buffer.from(right[index] ?? ''));
    if (order !== 0) return order;
  }
  return left.length - right.length;
}
