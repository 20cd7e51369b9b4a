/**
 * The first file, by path, that two layers differ in, and how. Both are directories of the layer store, made by the same step twice. Reads a batch at a time and follows no link, so it may
 * take long and holds nobody up.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { decodeName } from '../../base/byte-name.ts';

export interface LayerDifference {
  /** `/etc/machine-id` */
  readonly path: string;
  /** `its content differs from byte 12 on (29 bytes, then 31)` */
  readonly how: string;
}

const batchBytes = 256 * 1024;
const separator = Buffer.from('/');

/** Null: no file shows a difference. A directory that is null is a layer with nothing in it. */
export async function firstDifference(one: string | null, other: string | null, signal: AbortSignal): Promise<LayerDifference | null> {
  if (one !== null && other !== null) return await directories(Buffer.from(one), Buffer.from(other), '', signal);
  const there = one ?? other;
  if (there === null) return null;
  const [name] = await names(Buffer.from(there));
  return name === undefined ? null : { path: `/${decodeName(name)}`, how: onlyOnce(one !== null) };
}

async function directories(one: Buffer, other: Buffer, path: string, signal: AbortSignal): Promise<LayerDifference | null> {
  const [first, second] = [await names(one), await names(other)];
  const all = [...first, ...second]
    .sort(Buffer.compare)
    .filter((name, index, sorted) => index === 0 || !name.equals(sorted[index - 1] ?? name));
  for (const name of all) {
    signal.throwIfAborted();
    const shown = `${path}/${decodeName(name)}`;
    const isIn = (list: readonly Buffer[]) => list.some((each) => each.equals(name));
    if (!isIn(first) || !isIn(second)) return { path: shown, how: onlyOnce(isIn(first)) };
    const found = await entries(Buffer.concat([one, separator, name]), Buffer.concat([other, separator, name]), shown, signal);
    if (found !== null) return found;
  }
  return null;
}

async function entries(one: Buffer, other: Buffer, path: string, signal: AbortSignal): Promise<LayerDifference | null> {
  const [before, after] = await Promise.all([lstat(one, { bigint: true }), lstat(other, { bigint: true })]);
  const how = await attributes(before, after, one, other, signal);
  if (how !== null) return { path, how };
  return before.isDirectory() ? await directories(one, other, path, signal) : null;
}

async function attributes(
  before: BigIntStats,
  after: BigIntStats,
  one: Buffer,
  other: Buffer,
  signal: AbortSignal,
): Promise<string | null> {
  const [type, newType] = [typeOf(before), typeOf(after)];
  if (type !== newType) return `it is ${type}, then ${newType}`;
  if (before.isSymbolicLink()) {
    const [target, newTarget] = await Promise.all([readlink(one), readlink(other)]);
    if (target !== newTarget) return `it points to ${target}, then to ${newTarget}`;
  }
  const content = before.isFile() ? await contentDifference(one, other, before.size, after.size, signal) : null;
  if (content !== null) return content;
  const [mode, newMode] = [before.mode & 0o7777n, after.mode & 0o7777n];
  if (mode !== newMode) return `its mode is ${mode.toString(8).padStart(4, '0')}, then ${newMode.toString(8).padStart(4, '0')}`;
  if (before.uid !== after.uid || before.gid !== after.gid)
    return `its owner is ${before.uid}:${before.gid}, then ${after.uid}:${after.gid}`;
  if (before.rdev !== after.rdev) return 'it is another device';
  if (before.mtimeMs !== after.mtimeMs)
    return `its time is ${new Date(Number(before.mtimeMs)).toISOString()}, then ${new Date(Number(after.mtimeMs)).toISOString()}`;
  return before.isDirectory() || before.nlink === after.nlink ? null : `it has ${before.nlink} names, then ${after.nlink}`;
}

async function contentDifference(one: Buffer, other: Buffer, size: bigint, newSize: bigint, signal: AbortSignal): Promise<string | null> {
  const at = await firstByte(one, other, signal);
  if (at === null) return null;
  const sizes = size === newSize ? `${size} bytes both times` : `${size} bytes, then ${newSize}`;
  return `its content differs from byte ${at} on (${sizes})`;
}

/** Null: they are equal. */
async function firstByte(one: Buffer, other: Buffer, signal: AbortSignal): Promise<number | null> {
  await using first = await open(one, 'r');
  await using second = await open(other, 'r');
  const [left, right] = [Buffer.allocUnsafe(batchBytes), Buffer.allocUnsafe(batchBytes)];
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const [read, otherRead] = await Promise.all([first.read(left, 0, batchBytes, position), second.read(right, 0, batchBytes, position)]);
    const length = Math.min(read.bytesRead, otherRead.bytesRead);
    if (left.compare(right, 0, length, 0, length) !== 0) return position + firstUnequal(left, right, length);
    if (read.bytesRead !== otherRead.bytesRead) return position + length;
    if (length === 0) return null;
    position += length;
  }
}

function firstUnequal(left: Buffer, right: Buffer, length: number): number {
  let at = 0;
  while (at < length && left[at] === right[at]) at++;
  return at;
}

async function names(directory: Buffer): Promise<readonly Buffer[]> {
  return (await readdir(directory, { encoding: 'buffer' })).sort(Buffer.compare);
}

function onlyOnce(first: boolean): string {
  return first ? 'it is there the first time only' : 'it is there the second time only';
}

function typeOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'a file';
  if (stats.isDirectory()) return 'a directory';
  if (stats.isSymbolicLink()) return 'a link';
  // As overlay has it in its upper directories.
  if (stats.isCharacterDevice() && stats.rdev === 0n) return 'removed';
  return stats.isFIFO() ? 'a fifo' : 'a device';
}
