import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { encodeLoaderCache } from '../loader-cache/encode-loader-cache.ts';
import { libraryFlags } from '../loader-cache/loader-cache.ts';
import { findNvmlLibrary } from './nvml-library.ts';

const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

test('findNvmlLibrary: in the usual folders, else where the loader finds it; another stamp when it is another file', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'gantry-nvml-'));
  t.after(() => rmSync(root, { recursive: true }));
  const put = (path: string, content: string | Buffer): string => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  assert.equal(await findNvmlLibrary(root), null);
  put('etc/ld.so.cache', 'no cache');
  assert.equal(await findNvmlLibrary(root), null);
  const entry = (flags: number, path: string) => ({
    soname: 'libnvidia-ml.so.1',
    path,
    flags,
    hwcaps: null,
    legacyHwcap: 0n,
    osVersion: 0,
  });
  const narrow = entry(libraryFlags.i386, '/opt/nvidia/lib32/libnvidia-ml.so.1');
  put('etc/ld.so.cache', encodeLoaderCache([narrow, entry(libraryFlags[machine], '/opt/nvidia/lib/libnvidia-ml.so.1')]));
  put('opt/nvidia/lib32/libnvidia-ml.so.1', '32 bits');
  assert.equal(await findNvmlLibrary(root), null);
  const special = put('opt/nvidia/lib/libnvidia-ml.so.1', '64 bits');
  const found = await findNvmlLibrary(root);
  assert.equal(found?.path, special);
  utimesSync(special, 1, 1);
  assert.notEqual((await findNvmlLibrary(root))?.stamp, found?.stamp);
  const usual = put('usr/lib64/libnvidia-ml.so.1', '64 bits');
  assert.equal((await findNvmlLibrary(root))?.path, usual);
});
