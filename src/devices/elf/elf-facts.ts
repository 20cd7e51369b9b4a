/**
 * What the loader wants to know of a library: for which machine it is, and its SONAME. A few reads of bounded length; whatever is no ELF file, or one that contradicts
 * itself, is null (linker scripts and text files lie in library folders too).
 *
 *   header ─▶ program headers ─▶ dynamic section ─▶ DT_STRTAB (an address; the loadable segment around it says where in the file) + DT_SONAME
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { LibraryMachine } from '../loader-cache/loader-cache.ts';

export interface ElfFacts {
  /** Null: one that this engine does not know. */
  readonly machine: LibraryMachine | null;
  readonly soname: string | null;
}

const mostSegments = 128;
const mostDynamic = 64 * 1024;
const longestName = 255;
const [ptLoad, ptDynamic] = [1, 2];
const [dtNull, dtStrtab, dtSoname] = [0, 5, 14];

/** Follows links. A file that cannot be opened throws as `open` does. */
export async function readElfFacts(path: string): Promise<ElfFacts | null> {
  // A FIFO must not hold us up.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) return null;
    return await factsOf(file);
  } finally {
    await file.close();
  }
}

interface Segment {
  readonly type: number;
  readonly place: number;
  readonly address: number;
  readonly size: number;
}

async function factsOf(file: FileHandle): Promise<ElfFacts | null> {
  const header = await read(file, 0, 64);
  // Little endian only: no GPU has a driver for a machine of the other kind.
  if (header.length < 52 || header.toString('latin1', 0, 4) !== '\x7fELF' || header[5] !== 1) return null;
  const wide = header[4] === 2;
  if ((!wide && header[4] !== 1) || (wide && header.length < 64)) return null;
  const machine = machineOf(header.readUInt16LE(18), wide, header.readUInt32LE(wide ? 48 : 36));
  const segments = await readSegments(file, header, wide);
  return segments === null ? null : { machine, soname: await readSoname(file, segments, wide) };
}

function machineOf(number: number, wide: boolean, flags: number): LibraryMachine | null {
  if (number === 62) return wide ? 'x86_64' : 'x32';
  if (number === 3) return 'i386';
  if (number === 183 && wide) return 'aarch64';
  // Those of the hard-float kind, which is what distributions are built for.
  if (number === 40) return (flags & 0x400) !== 0 ? 'arm' : null;
  if (number === 21 && wide) return 'ppc64le';
  if (number === 243 && wide) return (flags & 6) === 4 ? 'riscv64' : null;
  if (number === 258 && wide) return (flags & 7) === 3 ? 'loongarch64' : null;
  return null;
}

async function readSegments(file: FileHandle, header: Buffer, wide: boolean): Promise<readonly Segment[] | null> {
  const place = wide ? number(header.readBigUInt64LE(32)) : header.readUInt32LE(28);
  const [size, count] = [header.readUInt16LE(wide ? 54 : 42), header.readUInt16LE(wide ? 56 : 44)];
  if (size !== (wide ? 56 : 32) || count > mostSegments) return null;
  const table = await read(file, place, size * count);
  if (table.length < size * count) return null;
  return Array.from({ length: count }, (_, index) => segmentAt(table, index * size, wide));
}

function segmentAt(table: Buffer, at: number, wide: boolean): Segment {
  const type = table.readUInt32LE(at);
  if (!wide) return { type, place: table.readUInt32LE(at + 4), address: table.readUInt32LE(at + 8), size: table.readUInt32LE(at + 16) };
  const [place, address, size] = [8, 16, 32].map((offset) => number(table.readBigUInt64LE(at + offset)));
  return { type, place: place ?? 0, address: address ?? 0, size: size ?? 0 };
}

async function readSoname(file: FileHandle, segments: readonly Segment[], wide: boolean): Promise<string | null> {
  const dynamic = segments.find(({ type }) => type === ptDynamic);
  if (dynamic === undefined) return null;
  const bytes = await read(file, dynamic.place, Math.min(dynamic.size, mostDynamic));
  const values = dynamicValues(bytes, wide);
  const [strings, soname] = [values.get(dtStrtab), values.get(dtSoname)];
  if (strings === undefined || soname === undefined) return null;
  const segment = segments.find(({ type, address, size }) => type === ptLoad && strings >= address && strings < address + size);
  if (segment === undefined) return null;
  const name = await read(file, strings - segment.address + segment.place + soname, longestName + 1);
  const length = name.indexOf(0);
  return length > 0 ? plainName(name.toString('utf8', 0, length)) : null;
}

function dynamicValues(bytes: Buffer, wide: boolean): ReadonlyMap<number, number> {
  const values = new Map<number, number>();
  const size = wide ? 16 : 8;
  for (let at = 0; at + size <= bytes.length; at += size) {
    const tag = wide ? number(bytes.readBigUInt64LE(at)) : bytes.readUInt32LE(at);
    if (tag === dtNull) break;
    values.set(tag, wide ? number(bytes.readBigUInt64LE(at + 8)) : bytes.readUInt32LE(at + 4));
  }
  return values;
}

/** A SONAME becomes the name of a link. */
const plainName = (name: string): string | null => (/^[\w.+-]+$/.test(name) && name !== '.' && name !== '..' ? name : null);

/** Beyond what a file can have it does not matter how far. */
const number = (value: bigint): number => Number(value > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : value);

/** Less where the file ends. */
async function read(file: FileHandle, place: number, length: number): Promise<Buffer> {
  if (place + length > Number.MAX_SAFE_INTEGER) return Buffer.alloc(0);
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, place);
  return buffer.subarray(0, bytesRead);
}
