import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { tinyLibrary } from '../../../test/harness/tiny-elf.ts';
import type { DeviceMount } from '../device-edits.ts';
import { loaderLibraries } from './loader-libraries.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-libraries-'));
after(() => rmSync(folder, { recursive: true }));

writeFileSync(join(folder, 'libcuda.so.580'), tinyLibrary('x86_64', 'libcuda.so.1'));
writeFileSync(join(folder, 'libcuda32.so'), tinyLibrary('i386', 'libcuda.so.1'));
writeFileSync(join(folder, 'libnvidia-tls.so.580'), tinyLibrary('x86_64', 'libnvidia-tls.so.580'));
writeFileSync(join(folder, 'libtext.so'), 'GROUP ( libc.so.6 )');

const mount = (name: string, containerPath: string, kind: DeviceMount['kind'] = 'file'): DeviceMount => ({
  hostPath: join(folder, name),
  containerPath,
  kind,
  options: ['ro', 'rbind'],
  type: '',
});

test('loaderLibraries: files by their SONAME, at the link where there is one, and the other links', async () => {
  const libraries = await loaderLibraries({
    mounts: [
      mount('libcuda.so.580', '/usr/lib64/libcuda.so.580'),
      mount('libcuda32.so', '/usr/lib32/libcuda.so.580'),
      mount('libnvidia-tls.so.580', '/usr/lib64/libnvidia-tls.so.580'),
      mount('libtext.so', '/usr/lib64/libtext.so'),
      mount('libcuda.so.580', '/elsewhere/libcuda.so.580'),
      mount('gone', '/usr/lib64/libgone.so.1'),
    ],
    links: [
      { path: '/usr/lib64/libcuda.so', target: 'libcuda.so.1' },
      { path: '/usr/lib64/libcuda.so.1', target: 'libcuda.so.580' },
      { path: '/dev/dri/by-path/x', target: '../card1' },
    ],
    loaderDirectories: ['/usr/lib64', '/usr/lib32/'],
  });
  assert.deepEqual(libraries, [
    { soname: 'libcuda.so.1', path: '/usr/lib64/libcuda.so.1', machine: 'x86_64' },
    { soname: 'libcuda.so.1', path: '/usr/lib32/libcuda.so.580', machine: 'i386' },
    { soname: 'libnvidia-tls.so.580', path: '/usr/lib64/libnvidia-tls.so.580', machine: 'x86_64' },
    { soname: 'libcuda.so.1', path: '/usr/lib64/libcuda.so.1', machine: 'x86_64' },
    { soname: 'libcuda.so', path: '/usr/lib64/libcuda.so', machine: 'x86_64' },
  ]);
});

test('loaderLibraries: of a directory that is mounted as a whole', async () => {
  const libraries = await loaderLibraries({
    mounts: [mount('', '/usr/local/nvidia/lib64', 'directory')],
    links: [],
    loaderDirectories: ['/usr/local/nvidia/lib64'],
  });
  assert.deepEqual(libraries.map(({ soname, machine }) => `${soname} ${machine}`).sort(), [
    'libcuda.so.1 i386',
    'libcuda.so.1 x86_64',
    'libnvidia-tls.so.580 x86_64',
  ]);
});
