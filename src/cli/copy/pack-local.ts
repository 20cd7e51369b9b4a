/** Files of this machine as a tar, streamed. Links are packed as they are; FIFOs and devices are looked at, never opened; sockets are left out. */
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import type { TarEntryType } from '../../archive/tar-entry.ts';
import { type NewTarEntry, type WritableEntry, writeTar } from '../../archive/tar-writer.ts';
import { decodeName, encodeName } from '../../base/byte-name.ts';

const CHUNK_BYTES = 256 * 1024;

/** `name`: what the top is called. */
export function packLocal(path: string, name: string): AsyncIterable<Uint8Array> {
  return writeTar(pack(path, name, new Map()));
}

async function* pack(path: string, name: string, seen: Map<string, string>): AsyncGenerator<WritableEntry> {
  const stats = await lstat(hostPath(path), { bigint: true });
  const common = { path: name, ...attributesOf(stats) };
  const identity = `${stats.dev}:${stats.ino}`;
  const first = stats.nlink > 1n ? seen.get(identity) : undefined;
  if (stats.isDirectory()) {
    yield { entry: { type: 'directory', ...common } };
    for (const child of await namesIn(path)) yield* pack(`${path}/${child}`, name === '/' ? `/${child}` : `${name}/${child}`, seen);
  } else if (first !== undefined) {
    yield { entry: { type: 'hard-link', ...common, linkTarget: first } };
  } else {
    const packed = await packOther(path, stats, common);
    if (packed === null) return;
    if (stats.nlink > 1n) seen.set(identity, name);
    yield packed;
  }
}

async function packOther(path: string, stats: BigIntStats, common: Omit<NewTarEntry, 'type'>): Promise<WritableEntry | null> {
  if (stats.isFile()) {
    const sizeBytes = Number(stats.size);
    return { entry: { type: 'file', ...common, sizeBytes }, content: contentOf(path, sizeBytes) };
  }
  if (stats.isSymbolicLink()) {
    const target = await readlink(hostPath(path), { encoding: 'buffer' });
    return { entry: { type: 'symbolic-link', ...common, linkTarget: decodeName(target) } };
  }
  const type = specialType(stats);
  if (type === null) return null;
  return { entry: { type, ...common, ...(type === 'fifo' ? {} : deviceNumbers(stats.rdev)) } };
}

/** As many bytes as were announced; a file that became shorter ends the archive with an error. */
async function* contentOf(path: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  const file = await open(hostPath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for (let at = 0; at < sizeBytes; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, sizeBytes - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function namesIn(path: string): Promise<readonly string[]> {
  const names = await readdir(hostPath(path), { encoding: 'buffer' });
  return names.map((name) => decodeName(name)).sort();
}

function attributesOf(stats: BigIntStats): Omit<NewTarEntry, 'type' | 'path'> {
  const nanoseconds = ((stats.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return {
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    modifiedAt: { seconds: Number((stats.mtimeNs - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) },
  };
}

function specialType(stats: BigIntStats): Extract<TarEntryType, 'fifo' | 'character-device' | 'block-device'> | null {
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'character-device';
  return stats.isBlockDevice() ? 'block-device' : null;
}

/** As the C library's major() and minor(). */
function deviceNumbers(device: bigint): { readonly deviceMajor: number; readonly deviceMinor: number } {
  return {
    deviceMajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    deviceMinor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}

/** Node's paths as strings can't name what is not UTF-8. */
export function hostPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : encodeName(path);
}
