/**
 * `gantry device generate` on a fake machine, without a daemon, and what it writes given to a container by another runtime: runc with a bundle that a small engine here made of
 * the description (device nodes, mounts, hooks). Needs root, runc and busybox-static.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { CdiEdits, CdiSpec } from '../../src/devices/cdi/cdi-spec.ts';
import { parseLoaderCache } from '../../src/devices/loader-cache/parse-loader-cache.ts';
import { runCommand, shell } from '../harness/command.ts';
import { type FakeDriver, makeFakeDriver } from '../harness/fake-driver.ts';
import { programEntry } from '../harness/program.ts';

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/bin/busybox') ? false : 'needs busybox (apt-get install busybox-static)';
const noRunc = (await shell('runc --version')).status === 0 ? false : 'needs runc';

suite('gantry device generate', { skip, timeout: 120_000 }, () => {
  let directory: string;
  let machine: FakeDriver;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-generate-'));
    machine = makeFakeDriver(join(directory, 'machine'), { gpus: 2, amd: 1 });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const generate = (...options: readonly string[]) =>
    tool('generate', '--device-root', machine.root, '--driver-root', machine.root, ...options);

  test('to standard output and to a file, as YAML and as JSON, by maker', async () => {
    const { stdout: yaml } = await generate();
    assert.match(yaml, /^cdiVersion: \S+\nkind: nvidia.com\/gpu\n[\s\S]* - name: "1"\n/);
    const file = join(directory, 'cdi/nvidia.json');
    assert.deepEqual(await generate('--output', file), { status: 0, stdout: '', stderr: '' });
    assert.equal(statSync(file).mode & 0o777, 0o644);
    const written = JSON.parse(readFileSync(file, 'utf8')) as CdiSpec;
    assert.deepEqual(
      written.devices.map(({ name }) => name),
      ['0', machine.gpus[0]?.uuid, '1', machine.gpus[1]?.uuid, 'all'],
    );
    assert.deepEqual(JSON.parse((await generate('--format', 'json', '--maker', 'nvidia')).stdout), written);
    assert.match((await generate('--maker', 'amd')).stdout, /kind: amd.com\/gpu\n/);
  });

  test('says what is wrong', async () => {
    const refused = async (...options: readonly string[]) => {
      const { status, stdout, stderr } = await generate(...options);
      assert.deepEqual([status, stdout], [1, '']);
      return stderr;
    };
    assert.match(await refused('--maker', 'intel'), /^gantry device generate: no Intel GPU/);
    assert.match(await refused('--maker', 'matrox'), /--maker "matrox" is not known: there are nvidia, amd, intel/);
    assert.match(await refused('--format', 'xml'), /--format "xml" is not known: there are yaml, json/);
    assert.match(await refused('--driver-root', 'x'), /--driver-root: "x" is not an absolute path/);
    assert.match(await refused('--output', '/proc/nowhere/x.yaml'), /the description cannot be written to .*x\.yaml: E/);
    const { stderr } = await tool('hook', 'mknod');
    assert.equal(
      stderr,
      'gantry device hook: unknown hook "mknod": known are create-symlinks, update-ldcache, enable-cuda-compat, chmod\n',
    );
  });

  test('runc gives what it describes: nodes, libraries, links, and a loader cache of what is there', { skip: noRunc }, async () => {
    const spec = JSON.parse((await generate('--format', 'json', '--maker', 'nvidia')).stdout) as CdiSpec;
    const bundle = join(directory, 'bundle');
    const edits = [spec.containerEdits, spec.devices.find(({ name }) => name === '1')?.containerEdits].filter((each) => each !== undefined);
    const programs = edits.flatMap(({ hooks = [] }) => hooks.map(({ path }) => path));
    assert.ok(programs.length > 0 && programs.every((path) => path.endsWith('/gantry') && existsSync(path)), programs.join(' '));
    makeBundle(bundle, edits, [
      'sh',
      '-c',
      'ls -d /dev/nvidia?; cat /usr/lib/x86_64-linux-gnu/libcuda.so.1 | wc -c; readlink /dev/dri/by-path/*card',
    ]);
    const library = `libcuda.so.${machine.driverVersion}`;
    const { status, stdout, stderr } = await runCommand(['runc', 'run', '--bundle', bundle, `gantry-tool-${process.pid}`]);
    assert.equal(status, 0, stderr);
    const bytes = statSync(join(machine.root, 'usr/lib/x86_64-linux-gnu', library)).size;
    assert.equal(stdout, `/dev/nvidia1\n${bytes}\n../card2\n`);
    const cache = parseLoaderCache(readFileSync(join(bundle, 'rootfs/etc/ld.so.cache')));
    const paths = new Map(cache.map(({ soname, path }) => [soname, path]));
    assert.equal(paths.get('libcuda.so.1'), '/usr/lib/x86_64-linux-gnu/libcuda.so.1');
    assert.ok(paths.has('libnvidia-ml.so.1'));
    const { stdout: listed } = await runCommand(['/sbin/ldconfig', '-p', '-C', join(bundle, 'rootfs/etc/ld.so.cache')]);
    assert.match(listed, /libcuda\.so\.1 \(libc6,x86-64\) => \/usr\/lib\/x86_64-linux-gnu\/libcuda\.so\.1/);
    assert.match(readFileSync(join(bundle, 'rootfs/etc/ld.so.conf.d/00-gantry-devices.conf'), 'utf8'), /^\/usr\/lib\/x86_64-linux-gnu\n/);
  });
});

function tool(...args: readonly string[]) {
  return runCommand([process.execPath, '--no-warnings', programEntry, 'device', ...args]);
}

/** What an engine makes of edits. The hooks call the program that is being tested. */
function makeBundle(bundle: string, edits: readonly CdiEdits[], args: readonly string[]): void {
  const root = join(bundle, 'rootfs');
  for (const name of ['bin', 'etc', 'dev', 'proc', 'usr/lib']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  const nodes = edits.flatMap(({ deviceNodes = [] }) => deviceNodes);
  const bind = (source: string, destination: string, options: readonly string[]) => ({ source, destination, type: 'bind', options });
  const hooks = edits.flatMap(({ hooks = [] }) => hooks);
  const config = {
    ociVersion: '1.0.2',
    root: { path: 'rootfs', readonly: false },
    process: { args: ['/bin/busybox', ...args], env: ['PATH=/bin'], cwd: '/', user: { uid: 0, gid: 0 } },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
      ...edits.flatMap(({ mounts = [] }) => mounts.map((mount) => bind(mount.hostPath, mount.containerPath, mount.options ?? []))),
      ...nodes.map(({ path, hostPath }) => bind(hostPath ?? path, path, ['bind', 'rw'])),
    ],
    hooks: {
      createContainer: hooks.map(({ args: words = [] }) => ({
        path: process.execPath,
        args: ['gantry', '--no-warnings', programEntry, ...words.slice(1)],
      })),
    },
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'ipc' }] },
  };
  mkdirSync(dirname(join(bundle, 'config.json')), { recursive: true });
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}
