import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { mergedLoaderCache } from '../../../devices/loader-cache/merged-loader-cache.ts';
import { parseLoaderCache } from '../../../devices/loader-cache/parse-loader-cache.ts';
import { ContainerRoot, containerOfState } from '../container-root.ts';
import { changeMode } from './change-mode.ts';
import { createSymlinks } from './create-symlinks.ts';
import { enableCudaCompat } from './enable-cuda-compat.ts';
import { updateLoaderCache } from './update-ldcache.ts';

let folder: string;
let rootfs: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gantry-hooks-'));
  rootfs = join(folder, 'rootfs');
  mkdirSync(join(rootfs, 'usr/lib'), { recursive: true });
  mkdirSync(join(folder, 'outside'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('createSymlinks', () => {
  it('makes directories, and replaces files and links', () => {
    using container = new ContainerRoot(rootfs);
    writeFileSync(join(rootfs, 'usr/lib/libcuda.so.1'), 'of the image');
    createSymlinks(container, ['libcuda.so.2::/usr/lib/libcuda.so.1', '../card0::/dev/dri/by-path/x', 'again::usr/lib/libcuda.so.1']);
    assert.equal(readlinkSync(join(rootfs, 'usr/lib/libcuda.so.1')), 'again');
    assert.equal(readlinkSync(join(rootfs, 'dev/dri/by-path/x')), '../card0');
    assert.equal(statSync(join(rootfs, 'dev/dri')).mode & 0o777, 0o755);
  });

  it('stays in the container whatever links the image has', () => {
    using container = new ContainerRoot(rootfs);
    symlinkSync(join(folder, 'outside'), join(rootfs, 'absolute'));
    symlinkSync('../../outside', join(rootfs, 'usr/climbing'));
    createSymlinks(container, ['t::/usr/lib/../../../../etc/l']);
    assert.equal(readlinkSync(join(rootfs, 'etc/l')), 't');
    // The image's links mean its own files: there is no such directory, and a link cannot become one.
    for (const link of ['/absolute/l', '/usr/climbing/l']) assert.throws(() => createSymlinks(container, [`t::${link}`]), /ENOENT|EEXIST/);
    assert.equal(existsSync(join(folder, 'outside/l')), false);
  });

  it('says what is in its way', () => {
    using container = new ContainerRoot(rootfs);
    assert.throws(() => createSymlinks(container, ['t::/usr/lib']), /\/usr\/lib cannot be made in the container: it has a directory/);
    assert.deepEqual(lstatSync(join(rootfs, 'usr/lib')).isDirectory(), true);
    assert.throws(() => createSymlinks(container, ['t']), /--link wants TARGET::LINK, not "t"/);
  });
});

it('changeMode: of what is there', () => {
  using container = new ContainerRoot(rootfs);
  changeMode(container, '700', ['/usr/lib', '/nothing']);
  assert.equal(statSync(join(rootfs, 'usr/lib')).mode & 0o777, 0o700);
  assert.throws(() => changeMode(container, '77777', ['/usr']), /--mode wants three octal digits/);
});

it('updateLoaderCache: a broken cache of the image counts as none, and is told', async () => {
  using container = new ContainerRoot(rootfs);
  mkdirSync(join(rootfs, 'etc'));
  writeFileSync(join(rootfs, 'etc/ld.so.cache'), 'nonsense');
  assert.match((await updateLoaderCache(container, ['/usr/lib', '/none'])) ?? '', /the image's \/etc\/ld.so.cache is broken/);
  assert.deepEqual(parseLoaderCache(readFileSync(join(rootfs, 'etc/ld.so.cache'))), []);
  assert.equal(readFileSync(join(rootfs, 'etc/ld.so.conf.d/00-gantry-devices.conf'), 'utf8'), '/usr/lib\n/none\n');
});

describe('enableCudaCompat', () => {
  const compat = '/usr/local/cuda/compat';
  const imageWith = (version: string) => {
    mkdirSync(join(rootfs, 'usr/local/cuda-12.8/compat'), { recursive: true });
    mkdirSync(join(rootfs, 'etc'));
    symlinkSync('/usr/local/cuda-12.8', join(rootfs, 'usr/local/cuda'));
    writeFileSync(join(rootfs, `usr/local/cuda-12.8/compat/libcuda.so.${version}`), '');
    symlinkSync(`libcuda.so.${version}`, join(rootfs, 'usr/local/cuda-12.8/compat/libcuda.so.1'));
    const driver = { soname: 'libcuda.so.1', path: '/usr/lib/libcuda.so.1', machine: 'x86_64' } as const;
    writeFileSync(join(rootfs, 'etc/ld.so.cache'), mergedLoaderCache(null, [driver]).bytes);
  };
  const cached = () =>
    parseLoaderCache(readFileSync(join(rootfs, 'etc/ld.so.cache'))).find(({ soname }) => soname === 'libcuda.so.1')?.path;

  it('puts newer libraries of the image before those of the driver', { skip: process.arch !== 'x64' }, () => {
    using container = new ContainerRoot(rootfs);
    imageWith('570.124.06');
    enableCudaCompat(container, '580.1.2');
    assert.equal(cached(), '/usr/lib/libcuda.so.1');
    enableCudaCompat(container, '550.54.14');
    assert.equal(cached(), `${compat}/libcuda.so.1`);
    assert.equal(readFileSync(join(rootfs, 'etc/ld.so.conf.d/00-gantry-cuda-compat.conf'), 'utf8'), `${compat}\n`);
  });

  it('does nothing to images without them, or whose links lead round in circles or out', () => {
    using container = new ContainerRoot(rootfs);
    enableCudaCompat(container, '550.54.14');
    mkdirSync(join(rootfs, 'usr/local/cuda'), { recursive: true });
    symlinkSync('compat', join(rootfs, 'usr/local/cuda/compat'));
    enableCudaCompat(container, '550.54.14');
    rmSync(join(rootfs, 'usr/local/cuda/compat'));
    writeFileSync(join(folder, 'outside/libcuda.so.570.1'), '');
    symlinkSync('libcuda.so.570.1', join(folder, 'outside/libcuda.so.1'));
    symlinkSync(join(folder, 'outside'), join(rootfs, 'usr/local/cuda/compat'));
    enableCudaCompat(container, '550.54.14');
    assert.equal(existsSync(join(rootfs, 'etc')), false);
  });
});

describe('containerOfState', () => {
  const state = (config: unknown) => {
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    return containerOfState(JSON.stringify({ ociVersion: '1.0.2', id: 'x', bundle: folder }));
  };

  it('finds root and mounts in the bundle', async () => {
    const mounts = [
      { destination: '/a', source: '/x', type: 'bind' },
      { destination: '/b', source: '/y', options: ['rbind', 'ro'] },
      { destination: '/proc', source: 'proc', type: 'proc' },
      { destination: '/c' },
    ];
    using container = await state({ root: { path: 'rootfs' }, mounts });
    assert.equal(container.path, rootfs);
    assert.deepEqual(
      container.mounts.map(({ destination, type }) => `${destination} ${type}`),
      ['/a bind', '/b bind', '/proc proc'],
    );
  });

  it('says what it was given', async () => {
    await assert.rejects(containerOfState(''), /the state on standard input is not JSON/);
    await assert.rejects(containerOfState('{}'), /names no bundle: is this run as an OCI hook\?/);
    await assert.rejects(state({}), /config\.json: root is not an object/);
  });
});
