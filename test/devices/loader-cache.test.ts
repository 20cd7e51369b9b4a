/** The merged loader cache serves the real loader: needs root (chroot). */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { mergedLoaderCache } from '../../src/devices/loader-cache/merged-loader-cache.ts';
import { parseLoaderCache } from '../../src/devices/loader-cache/parse-loader-cache.ts';
import { tinyLibrary } from '../harness/tiny-elf.ts';

const loader = process.arch === 'arm64' ? '/lib/ld-linux-aarch64.so.1' : '/lib64/ld-linux-x86-64.so.2';
const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const skip = process.getuid?.() !== 0 ? 'needs root' : existsSync(loader) ? false : 'needs glibc';

test('a program finds a library by the merged cache alone, in a directory that no loader searches', { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), 'gantry-root-'));
  try {
    const needed = execFileSync(loader, ['--list', '/bin/true'], { encoding: 'utf8' }).match(/\/\S+\.so\.\d+/g) ?? [];
    for (const file of new Set(['/bin/true', loader, ...needed])) {
      mkdirSync(join(root, dirname(file)), { recursive: true });
      copyFileSync(file, join(root, file));
    }
    mkdirSync(join(root, 'etc'));
    mkdirSync(join(root, 'opt/driver'), { recursive: true });
    writeFileSync(join(root, 'opt/driver/libcuda.so.580'), tinyLibrary(machine, 'libcuda.so.1'));
    const list = (): string => {
      const { stdout, stderr } = spawnSync('chroot', [root, loader, '--preload', 'libcuda.so.1', '--list', '/bin/true'], {
        encoding: 'utf8',
      });
      return stdout + stderr;
    };
    assert.match(list(), /libcuda\.so\.1.*cannot be preloaded/);
    const { bytes } = mergedLoaderCache(null, [{ soname: 'libcuda.so.1', path: '/opt/driver/libcuda.so.580', machine }]);
    writeFileSync(join(root, 'etc/ld.so.cache'), bytes);
    assert.match(list(), /libcuda\.so\.1 => \/opt\/driver\/libcuda\.so\.580/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('caches as older ldconfigs write them, with the part for libc5 before, are the same list', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-formats-'));
  try {
    const [fresh, compat] = ['new', 'compat'].map((format) => {
      const file = join(folder, format);
      execFileSync('/sbin/ldconfig', ['-X', '-c', format, '-C', file], { stdio: 'pipe' });
      return readFileSync(file);
    });
    assert.match(compat?.toString('latin1', 0, 11) ?? '', /^ld\.so-1\.7\.0$/);
    assert.ok(parseLoaderCache(compat ?? Buffer.alloc(0)).length > 10);
    assert.deepEqual(parseLoaderCache(compat ?? Buffer.alloc(0)), parseLoaderCache(fresh ?? Buffer.alloc(0)));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
