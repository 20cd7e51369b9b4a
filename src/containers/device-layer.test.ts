/** What devices lay over images that mean well, and over images that do not. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tinyLibrary } from '../../test/harness/tiny-elf.ts';
import { type DeviceEdits, type DeviceMount, noEdits } from '../devices/device-edits.ts';
import { encodeLoaderCache } from '../devices/loader-cache/encode-loader-cache.ts';
import { libraryFlags } from '../devices/loader-cache/loader-cache.ts';
import { parseLoaderCache } from '../devices/loader-cache/parse-loader-cache.ts';
import { LayerStack } from '../store/layer-stack.ts';
import { deviceContent, linksInDev, needsLayer } from './device-layer.ts';
import { makeScaffold } from './scaffold.ts';

const libraries = '/usr/lib/x86_64-linux-gnu';
const loader = 'lib64/ld-linux-x86-64.so.2';
const cache = '/etc/ld.so.cache';

function fixture(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'g-devices-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const at = (...path: string[]) => join(directory, ...path);
  for (const path of ['init/dev', 'init/proc', 'init/sys', 'init/etc', 'image', 'upper', 'driver'])
    mkdirSync(at(path), { recursive: true });
  const put = (tree: string, path: string, content: string | Uint8Array = '') => {
    mkdirSync(dirname(at(tree, path)), { recursive: true });
    writeFileSync(at(tree, path), content);
  };
  const mount = (name: string, soname: string, folder = libraries): DeviceMount => {
    put('driver', name, tinyLibrary('x86_64', soname));
    return { hostPath: at('driver', name), containerPath: `${folder}/${name}`, kind: 'file', options: ['ro', 'bind'], type: '' };
  };
  const cuda = (folder = libraries): DeviceEdits => ({
    ...noEdits,
    mounts: [mount('libcuda.so.580', 'libcuda.so.1', folder)],
    links: [{ path: `${folder}/libcuda.so`, target: 'libcuda.so.1' }],
    loaderDirectories: [folder],
  });
  return {
    at,
    put,
    mount,
    cuda,
    link: (target: string, path: string) => {
      mkdirSync(dirname(at('image', path)), { recursive: true });
      symlinkSync(target, at('image', path));
    },
    /** Directories with a slash, links with their text. */
    async lay(edits: DeviceEdits, covered: readonly string[] = []) {
      const tree = { stack: new LayerStack([at('upper'), at('init'), at('image')]), image: new LayerStack([at('image')]) };
      const layer = at('layer');
      const content = await deviceContent(edits, tree, covered);
      makeScaffold(layer, tree, content);
      const names = readdirSync(layer, { recursive: true, withFileTypes: true }).map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return relative(layer, path) + (entry.isDirectory() ? '/' : entry.isSymbolicLink() ? ` -> ${readlinkSync(path)}` : '');
      });
      const made = names.some((name) => name === cache.slice(1)) ? parseLoaderCache(readFileSync(join(layer, cache))) : [];
      const leaves = names.filter((name) => !name.endsWith('/')).sort();
      return { names, leaves, problem: content.problem, cache: made.map(({ soname, path }) => `${soname} ${path}`) };
    },
  };
}

const cudaLeaves = [
  'etc/ld.so.cache',
  'etc/ld.so.conf.d/00-gantry-devices.conf',
  'usr/lib/x86_64-linux-gnu/libcuda.so -> libcuda.so.1',
  'usr/lib/x86_64-linux-gnu/libcuda.so.1 -> libcuda.so.580',
  'usr/lib/x86_64-linux-gnu/libcuda.so.580',
];

test("deviceContent: mount points, links, those of SONAMEs, and the image's cache with the libraries added", async (context) => {
  const { put, cuda, lay } = fixture(context);
  put('image', loader);
  const known = { soname: 'libz.so.1', path: '/lib/libz.so.1', flags: libraryFlags.x86_64, hwcaps: null, legacyHwcap: 0n, osVersion: 0 };
  put('image', cache, encodeLoaderCache([known]));
  const laid = await lay(cuda());
  assert.deepEqual([laid.leaves, laid.problem], [cudaLeaves, null]);
  assert.deepEqual(laid.cache, [
    'libz.so.1 /lib/libz.so.1',
    `libcuda.so.1 ${libraries}/libcuda.so.1`,
    `libcuda.so ${libraries}/libcuda.so`,
  ]);
});

test('deviceContent: CUDA libraries of the image that are newer than the driver come first, unless something is mounted there', async (context) => {
  const { at, put, link, cuda, lay } = fixture(context);
  put('image', loader);
  put('image', 'usr/local/cuda-12.8/compat/libcuda.so.570.124.06', 'of the image');
  put('image', 'usr/local/cuda-12.8/compat/README', '');
  link('libcuda.so.570.124.06', 'usr/local/cuda-12.8/compat/libcuda.so.1');
  link('cuda-12.8', 'usr/local/cuda');
  const compat = '/usr/local/cuda/compat';
  const first = async (edits: DeviceEdits, covered: readonly string[] = []) => {
    rmSync(at('layer'), { recursive: true, force: true });
    const laid = await lay(edits, covered);
    const configured = readFileSync(at('layer/etc/ld.so.conf.d/00-gantry-devices.conf'), 'utf8');
    return [laid.cache.find((entry) => entry.startsWith('libcuda.so.1 ')), configured.split('\n')[0]];
  };
  const driver = [`libcuda.so.1 ${libraries}/libcuda.so.1`, libraries];
  const newer = { ...cuda(), cudaDriver: '550.54.14' };
  assert.deepEqual(await first(cuda()), driver);
  assert.deepEqual(await first(newer), [`libcuda.so.1 ${compat}/libcuda.so.1`, compat]);
  assert.deepEqual(await first({ ...newer, cudaDriver: '580.1' }), driver);
  assert.deepEqual(await first(newer, [compat]), driver);
  assert.deepEqual(await first(newer, ['/usr/local']), driver);
  // Removed by the container itself.
  put('upper', 'usr/local/cuda-12.8/compat', 'a file');
  assert.deepEqual(await first(newer), driver);
});

test('deviceContent: a link of the image to the same library is covered; what is mounted, or lies in a mounted directory, is left', async (context) => {
  const { at, put, link, cuda, mount, lay } = fixture(context);
  put('image', loader);
  link('libcuda.so.535', `${libraries}/libcuda.so.1`);
  put('image', `${libraries}/libcuda.so.535`, 'of the image');
  const smi = mount('libnvidia-ml.so.1', 'libnvidia-ml.so.1');
  put('driver', 'folder/libfoo.so.3', tinyLibrary('x86_64', 'libfoo.so.1'));
  const folder: DeviceMount = {
    hostPath: at('driver/folder'),
    containerPath: '/opt/driver/lib',
    kind: 'directory',
    options: ['ro'],
    type: '',
  };
  const edits = { ...cuda(), mounts: [...cuda().mounts, smi, folder], loaderDirectories: [libraries, '/opt/driver/lib'] };
  const laid = await lay(edits);
  assert.deepEqual(laid.leaves, [...cudaLeaves, 'usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1']);
  assert.ok(laid.names.includes('opt/driver/lib/'));
  assert.ok(laid.cache.includes('libfoo.so.1 /opt/driver/lib/libfoo.so.3'), String(laid.cache));
});

test('deviceContent: no cache for musl and for static programs', async (context) => {
  for (const prepare of [
    () => {},
    ({ put, link }: ReturnType<typeof fixture>) => {
      put('image', 'lib/ld-musl-x86_64.so.1');
      link('/lib/ld-musl-x86_64.so.1', loader);
    },
  ]) {
    const one = fixture(context);
    prepare(one);
    const { leaves } = await one.lay(one.cuda());
    assert.deepEqual(leaves, ['usr/lib/x86_64-linux-gnu/libcuda.so -> libcuda.so.1', 'usr/lib/x86_64-linux-gnu/libcuda.so.580']);
  }
});

test("deviceContent: below the container's own mounts nothing is made, and what it wrote decides where paths lead", async (context) => {
  const { at, put, cuda, lay } = fixture(context);
  put('image', loader);
  const covered = await lay(cuda(), ['/usr/lib']);
  assert.deepEqual([covered.leaves, covered.cache], [cudaLeaves.slice(0, 2), [`libcuda.so.1 ${libraries}/libcuda.so.580`]]);
  rmSync(at('layer'), { recursive: true });
  mkdirSync(at('upper/usr/lib'), { recursive: true });
  symlinkSync('/moved', at('upper/usr/lib/x86_64-linux-gnu'));
  const { leaves } = await lay(cuda());
  assert.ok(leaves.includes('moved/libcuda.so.580') && leaves.includes('moved/libcuda.so.1 -> libcuda.so.580'), String(leaves));
});

test('SEC-19 deviceContent: links of the image are followed inside its root; none leads to the host, to /proc or /sys', async (context) => {
  const { at, put, link, cuda, lay } = fixture(context);
  put('image', loader);
  link('../../../../../../../../etc', libraries);
  const { leaves } = await lay(cuda());
  assert.deepEqual(
    leaves.filter((name) => name.includes('cuda')),
    ['etc/libcuda.so -> libcuda.so.1', 'etc/libcuda.so.1 -> libcuda.so.580', 'etc/libcuda.so.580'],
  );
  for (const [target, refusal] of [
    ['/proc/self/attr', /a link there leads to "\/proc\/self\/attr/],
    ['/sys/fs', /a link there leads to "\/sys\/fs/],
    [libraries, /too many levels of symbolic links/],
  ] as const) {
    rmSync(at('layer'), { recursive: true, force: true });
    rmSync(at('image', libraries));
    link(target, libraries);
    await assert.rejects(lay(cuda()), refusal);
  }
});

test('SEC-19 deviceContent: a library whose place in the image is a directory, or below a file, is refused by name', async (context) => {
  const one = fixture(context);
  mkdirSync(one.at('image', libraries, 'libcuda.so.580'), { recursive: true });
  await assert.rejects(one.lay(one.cuda()), /cannot mount a file on .*libcuda\.so\.580: it is a directory there/);
  const two = fixture(context);
  mkdirSync(two.at('image', libraries, 'libcuda.so'), { recursive: true });
  await assert.rejects(two.lay(two.cuda()), /cannot make the link .*libcuda\.so: it is a directory there/);
  const three = fixture(context);
  three.put('image', libraries, 'a file');
  await assert.rejects(three.lay(three.cuda()), /x86_64-linux-gnu" is not a directory/);
});

test('SEC-19 deviceContent: whatever the image has as its loader cache, the libraries are found, and nobody waits', async (context) => {
  const hostile: Readonly<Record<string, (path: string) => void>> = {
    fifo: (path) => execFileSync('mkfifo', [path]),
    garbage: (path) => writeFileSync(path, 'no cache at all'),
    huge: (path) => {
      writeFileSync(path, '');
      truncateSync(path, (10 * 1024 ** 4) / 1024);
    },
    'a link out': (path) => symlinkSync('/../../../../../../../../etc/shadow', path),
    'a link to itself': (path) => symlinkSync('ld.so.cache', path),
    'a directory': (path) => mkdirSync(path),
  };
  for (const [what, make] of Object.entries(hostile)) {
    const { at, put, cuda, lay } = fixture(context);
    put('image', loader);
    mkdirSync(at('image/etc'), { recursive: true });
    make(at('image', cache));
    if (what === 'a directory') {
      await assert.rejects(lay(cuda()), /cannot make the file \/etc\/ld\.so\.cache: it is a directory there/);
      continue;
    }
    const laid = await lay(cuda());
    assert.deepEqual(laid.leaves, cudaLeaves, what);
    assert.deepEqual(laid.cache, [`libcuda.so.1 ${libraries}/libcuda.so.1`, `libcuda.so ${libraries}/libcuda.so`], what);
    assert.equal(laid.problem === null, what.startsWith('a link'), `${what}: ${laid.problem}`);
    assert.ok(lstatSync(at('layer', cache)).isFile());
  }
});

test('SEC-19 deviceContent: /etc/ld.so.conf.d that is no directory, and an /etc that is a link, are let be', async (context) => {
  const one = fixture(context);
  one.put('image', loader);
  one.put('image', 'etc/ld.so.conf.d', 'a file');
  assert.deepEqual((await one.lay(one.cuda())).leaves, [cudaLeaves[0], ...cudaLeaves.slice(2)]);
  const two = fixture(context);
  two.put('image', loader);
  two.link('/proc', 'etc');
  assert.deepEqual((await two.lay(two.cuda())).leaves, cudaLeaves);
});

test('linksInDev: a directory of links is made to be mounted; links among nodes cannot be', (context) => {
  const { at } = fixture(context);
  const links = [{ path: '/dev/dri/by-path/pci-0000:01:00.0-card', target: '../card1' }];
  const [mount, ...more] = linksInDev(at('image'), { ...noEdits, links });
  assert.deepEqual([mount?.containerPath, mount?.kind, more], ['/dev/dri/by-path', 'directory', []]);
  assert.equal(readlinkSync(join(mount?.hostPath ?? '', 'pci-0000:01:00.0-card')), '../card1');
  for (const path of ['/dev/gpu', '/dev/dri/gpu']) {
    const node = {
      path: '/dev/dri/card1',
      hostPath: '',
      type: 'c',
      major: 226,
      minor: 1,
      fileMode: 0,
      uid: 0,
      gid: 0,
      access: 'rw',
    } as const;
    assert.throws(
      () => linksInDev(at('image'), { ...noEdits, nodes: [node], links: [{ path, target: 'dri/card1' }] }),
      /directory without device nodes/,
    );
  }
});

test('needsLayer: nodes, variables and mounts below /dev need none', () => {
  const mount: DeviceMount = { hostPath: '/x', containerPath: '/dev/x', kind: 'file', options: [], type: '' };
  assert.equal(needsLayer({ ...noEdits, env: ['A=1'], mounts: [mount] }), false);
  assert.equal(needsLayer({ ...noEdits, mounts: [{ ...mount, containerPath: '/opt/x' }] }), true);
});
