import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EngineError } from '../../base/errors.ts';
import { encodeLoaderCache } from './encode-loader-cache.ts';
import { type LoaderCacheEntry, libraryFlags, newHeaderSize } from './loader-cache.ts';
import { compareSonames } from './loader-cache-order.ts';
import { type LoaderLibrary, mergedLoaderCache } from './merged-loader-cache.ts';
import { parseLoaderCache } from './parse-loader-cache.ts';

const ldconfig = '/sbin/ldconfig';

function entry(soname: string, path: string, changes: Partial<LoaderCacheEntry> = {}): LoaderCacheEntry {
  return { soname, path, flags: libraryFlags.x86_64, hwcaps: null, legacyHwcap: 0n, osVersion: 0, ...changes };
}

const cuda: LoaderLibrary = { soname: 'libcuda.so.1', path: '/usr/lib64/libcuda.so.580.159.04', machine: 'x86_64' };

test('encodeLoaderCache: the bytes of one entry', () => {
  const bytes = encodeLoaderCache([entry('a.so.1', '/a')]).toString('hex');
  const expected = [
    Buffer.from('glibc-ld.so.cache1.1').toString('hex'),
    '01000000', // entries
    '0a000000', // length of the strings
    '02000000', // little endian
    '54000000', // extensions: 48 + 24 + 10, padded to 84
    '000000000000000000000000',
    '03030000', // libc6, x86-64
    '48000000', // soname: at 72
    '4f000000', // path: at 79
    '00000000',
    '0000000000000000',
    Buffer.from('a.so.1\0/a\0').toString('hex'),
    '0000', // padding
    '7421a4ea', // magic of the extensions
    '01000000',
    '00000000', // generator
    '00000000',
    '6c000000', // at 108
    '06000000',
    Buffer.from('gantry').toString('hex'),
  ].join('');
  assert.equal(bytes, expected);
});

test('compareSonames: as the loader, numbers by value and digits last', () => {
  const sorted = ['lib.so.10', 'lib.so.9', 'lib.so.', 'lib.so', 'lib', 'lib_a', 'lib-b', 'libA', 'liba', 'lib09', 'lib9'].sort(
    compareSonames,
  );
  assert.deepEqual(sorted, ['lib', 'lib-b', 'lib.so', 'lib.so.', 'lib.so.9', 'lib.so.10', 'libA', 'lib_a', 'liba', 'lib09', 'lib9']);
  assert.equal(compareSonames('lib09.so', 'lib9.so'), 0);
});

test("parseLoaderCache: this machine's own, written again, is the same list to ldconfig", { skip: !existsSync('/etc/ld.so.cache') }, () => {
  const own = readFileSync('/etc/ld.so.cache');
  const folder = mkdtempSync(join(tmpdir(), 'gantry-cache-'));
  try {
    const again = join(folder, 'again');
    writeFileSync(again, encodeLoaderCache(parseLoaderCache(own)));
    const list = (file: string): string[] => execFileSync(ldconfig, ['-p', '-C', file], { encoding: 'utf8' }).split('\n').slice(1, -2);
    assert.ok(list('/etc/ld.so.cache').length > 10);
    assert.deepEqual(list(again), list('/etc/ld.so.cache'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('mergedLoaderCache: ldconfig lists what was there and what came, which goes first', { skip: !existsSync(ldconfig) }, () => {
  const image = encodeLoaderCache([
    entry('libcuda.so.1', '/usr/local/cuda/compat/libcuda.so.1'),
    entry('libcuda.so.1', '/usr/lib/i386-linux-gnu/libcuda.so.1', { flags: libraryFlags.i386 }),
    entry('libcrypto.so.3', '/usr/lib/x86_64-linux-gnu/libcrypto.so.3'),
    entry('libcrypto.so.3', '/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcrypto.so.3', { hwcaps: 'x86-64-v3' }),
  ]);
  const { bytes, problem } = mergedLoaderCache(image, [
    cuda,
    { soname: 'libnvidia-ml.so.1', path: '/usr/lib64/libnvidia-ml.so.1', machine: 'x86_64' },
  ]);
  assert.equal(problem, null);
  const folder = mkdtempSync(join(tmpdir(), 'gantry-cache-'));
  try {
    writeFileSync(join(folder, 'c'), bytes);
    const printed = execFileSync(ldconfig, ['-p', '-C', join(folder, 'c')], { encoding: 'utf8' });
    assert.deepEqual(printed.trim().split('\n').slice(1, -1), [
      '\tlibnvidia-ml.so.1 (libc6,x86-64) => /usr/lib64/libnvidia-ml.so.1',
      '\tlibcuda.so.1 (libc6,x86-64) => /usr/lib64/libcuda.so.580.159.04',
      '\tlibcuda.so.1 (libc6) => /usr/lib/i386-linux-gnu/libcuda.so.1',
      '\tlibcrypto.so.3 (libc6,x86-64, hwcap: "x86-64-v3") => /usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcrypto.so.3',
      '\tlibcrypto.so.3 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcrypto.so.3',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('mergedLoaderCache: a broken cache counts as none and is told', () => {
  const { bytes, problem } = mergedLoaderCache(Buffer.from('not a cache'), [cuda]);
  assert.match(problem ?? '', /^the image's \/etc\/ld\.so\.cache is broken: it does not begin as a loader cache does$/);
  assert.deepEqual(bytes, mergedLoaderCache(null, [cuda]).bytes);
});

test('parseLoaderCache: the old part before the new one is skipped', () => {
  const fresh = encodeLoaderCache([entry('liba.so.1', '/lib/liba.so.1')]);
  const old = Buffer.alloc(16 + 2 * 12 + 0);
  old.write('ld.so-1.7.0');
  old.writeUInt32LE(2, 12);
  assert.deepEqual(parseLoaderCache(Buffer.concat([old, fresh])), parseLoaderCache(fresh));
  assert.throws(() => parseLoaderCache(old), /libc5 only/);
});

test('parseLoaderCache: whatever the bytes, entries or one error', () => {
  const good = encodeLoaderCache([
    entry('liba.so.1', '/lib/liba.so.1'),
    entry('liba.so.1', '/lib/v3/liba.so.1', { hwcaps: 'x86-64-v3' }),
    entry('libb.so.2', '/lib/libb.so.2', { flags: libraryFlags.i386 }),
  ]);
  for (let length = 0; length < good.length; length++) tolerate(good.subarray(0, length));
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 4000; round++) {
    const bytes = Buffer.from(good);
    for (let change = 0; change <= round % 5; change++) bytes[random(bytes.length)] = random(256);
    tolerate(bytes);
  }
});

function tolerate(bytes: Buffer): void {
  try {
    parseLoaderCache(bytes);
  } catch (error) {
    assert.ok(error instanceof EngineError, String(error));
  }
}

test('parseLoaderCache: entries that share one huge text do not multiply it', () => {
  const count = 16_000;
  const bytes = Buffer.alloc(newHeaderSize + count * 24 + 1_600_000, 0x61);
  encodeLoaderCache([]).copy(bytes, 0, 0, newHeaderSize);
  bytes.writeUInt32LE(count, 20);
  bytes.writeUInt32LE(0, 32);
  bytes.fill(0, newHeaderSize, newHeaderSize + count * 24);
  // Texts of four thousand bytes, which overlap: each entry begins its own at another place.
  for (let at = newHeaderSize + count * 24 + 4000; at < bytes.length; at += 4001) bytes[at] = 0;
  for (let index = 0; index < count; index++) bytes.writeUInt32LE(newHeaderSize + count * 24 + index * 80, newHeaderSize + index * 24 + 4);
  assert.throws(() => parseLoaderCache(bytes), /more than 4194304 bytes|no end/);
});
