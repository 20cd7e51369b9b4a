/** Times of a layer's files: whole seconds, none later than the epoch, so that the clock of whoever built it does not show. */
import { fstatSync, lstatSync } from 'node:fs';
import { type FileTime, fileTimeOf, pathAt, setTimes, setTimesAt } from '../../linux/file-calls.ts';

export function clampedTime(modifiedNs: bigint, epoch: number): FileTime {
  return { seconds: Math.min(fileTimeOf(modifiedNs).seconds, epoch), nanoseconds: 0 };
}

/** Only where it is another one: the file may be shared with a context. */
export function settleTimes(file: number, time: FileTime): void {
  if (!isAt(fstatSync(file, { bigint: true }).mtimeNs, time)) setTimes(file, time);
}

export function settleTimesAt(directory: number, name: string, time: FileTime): void {
  if (!isAt(lstatSync(pathAt(directory, name), { bigint: true }).mtimeNs, time)) setTimesAt(directory, name, time);
}

export function isAt(modifiedNs: bigint, time: FileTime): boolean {
  return modifiedNs === BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds);
}
