/**
 * The cache of glibc's dynamic loader, `/etc/ld.so.cache` (dl-cache.h of glibc), as data. In the file, little endian:
 *
 *   [old part]  "ld.so-1.7.0\0", count, count × {flags, key, value}; then padding to 8        written by old ldconfigs for libc5, skipped
 *   new part    "glibc-ld.so.cache" "1.1", count u32, length of the strings u32, endianness u8, 3 × 0, place of the extensions u32, 3 × 0 u32
 *               count × {flags i32, key u32, value u32, kernel u32, hwcap u64}                 sorted, the loader halves
 *               strings                                                                        NUL-ended; key and value are places in the new part
 *   extensions  magic u32, count u32, count × {tag, flags, place, size}                        1: names of glibc-hwcaps directories (places of strings)
 */

export interface LoaderCacheEntry {
  /** What programs ask for: `libcuda.so.1`. */
  readonly soname: string;
  readonly path: string;
  /** Kind of library: format and machine, `libraryFlags`. */
  readonly flags: number;
  /** The directory below glibc-hwcaps that it is from, `x86-64-v3`; null: any processor will do. */
  readonly hwcaps: string | null;
  /** Bits of the time before glibc-hwcaps; 0 nearly always. */
  readonly legacyHwcap: bigint;
  /** The oldest kernel that it runs on, as glibc before 2.36 writes it; 0: any. */
  readonly osVersion: number;
}

export const oldMagic = 'ld.so-1.7.0';
export const newMagic = 'glibc-ld.so.cache1.1';
export const newHeaderSize = 48;
export const entrySize = 24;
export const extensionMagic = 0xeaa42174;
export const hwcapsTag = 1;
export const generatorTag = 0;
/** In `hwcap`: the low half is an index of the list of glibc-hwcaps names. */
export const hwcapsBit = 1n << 62n;

export type LibraryMachine = 'x86_64' | 'i386' | 'x32' | 'aarch64' | 'arm' | 'ppc64le' | 's390x' | 'riscv64' | 'loongarch64';

/** A library for libc6 of that machine. */
export const libraryFlags: Readonly<Record<LibraryMachine, number>> = {
  x86_64: 0x0303,
  i386: 0x0003,
  x32: 0x0803,
  aarch64: 0x0a03,
  arm: 0x0903,
  ppc64le: 0x0503,
  s390x: 0x0403,
  riscv64: 0x1003,
  loongarch64: 0x1203,
};
