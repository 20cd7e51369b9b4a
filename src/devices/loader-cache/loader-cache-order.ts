/** The order of the entries of a loader cache. The loader halves by it, so that one entry out of place hides others. */
import type { LoaderCacheEntry } from './loader-cache.ts';

/**
 * Names descend, numbers in them by value (`lib.so.10` before `lib.so.9`); then kinds descend; then those of glibc-hwcaps before the one for all, since the loader
 * stops at the first for all; then names of glibc-hwcaps ascend.
 */
export function compareEntries(one: LoaderCacheEntry, other: LoaderCacheEntry): number {
  const byName = compareSonames(other.soname, one.soname);
  if (byName !== 0) return byName;
  if (one.flags !== other.flags) return other.flags - one.flags;
  if (one.hwcaps !== other.hwcaps) {
    if (one.hwcaps === null) return 1;
    if (other.hwcaps === null) return -1;
    return one.hwcaps < other.hwcaps ? -1 : 1;
  }
  return Number(other.legacyHwcap - one.legacyHwcap > 0n) - Number(other.legacyHwcap - one.legacyHwcap < 0n);
}

/** As the loader compares (`_dl_cache_libcmp`): bytes, runs of digits by value, digits after everything else. */
export function compareSonames(one: string, other: string): number {
  let [at, otherAt] = [0, 0];
  for (;;) {
    const [byte, otherByte] = [code(one, at), code(other, otherAt)];
    if (byte === 0 && otherByte === 0) return 0;
    if (isDigit(byte) !== isDigit(otherByte)) return isDigit(byte) ? 1 : -1;
    if (!isDigit(byte)) {
      if (byte !== otherByte) return byte - otherByte;
      at++;
      otherAt++;
      continue;
    }
    const [number, next] = digits(one, at);
    const [otherNumber, otherNext] = digits(other, otherAt);
    if (number !== otherNumber) return number < otherNumber ? -1 : 1;
    [at, otherAt] = [next, otherNext];
  }
}

function digits(text: string, from: number): readonly [number: number, next: number] {
  let [number, at] = [0, from];
  // An int of C, which wraps.
  for (; isDigit(code(text, at)); at++) number = (Math.imul(number, 10) + code(text, at) - 0x30) | 0;
  return [number, at];
}

const code = (text: string, at: number): number => (at < text.length ? text.charCodeAt(at) : 0);
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
