/**
 * What a container gets that asks for devices, by the native runtime and by runc: the nodes and nothing else of /dev, the driver's files, links and loader cache, and nothing of that in
 * what it changed. On a fake machine with two NVIDIA GPUs, and with a description (CDI) of a camera. Needs root, the docker client, busybox-static and glibc's ldconfig.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { requireUserNamespaces } from '../../src/containers/id-ranges.ts';
import { runCommand } from '../harness/command.ts';
import { type FakeDriver, makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';
import { tinyLibrary } from '../harness/tiny-elf.ts';
import { importGlibcImage } from './glibc-image.ts';

const whyNot = process.getuid?.() !== 0 ? 'needs root' : existsSync('/sbin/ldconfig') ? false : 'needs ldconfig';
const runtimes = ['native', ...(existsSync('/usr/sbin/runc') || existsSync('/usr/bin/runc') ? ['runc'] : [])];
const libraries = process.arch === 'arm64' ? '/usr/lib/aarch64-linux-gnu' : '/usr/lib/x86_64-linux-gnu';
/** What every container has below /dev. */
const ordinary = 'core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' ');

/** ENXIO: the filter lets it through, and no driver is there. EPERM: it does not. */
const open = 'tell() { for n; do head -c1 $n 2>&1 | sed "s/.*: //"; done; }';

suite('containers with devices', { skip: whyNot, timeout: 240_000 }, () => {
  let directory: string;
  let driver: FakeDriver;
  let daemon: GantryDaemon;
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
  const ok = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await docker(...args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  /** What the script says, on both streams. */
  const sh = (script: string, ...flags: string[]) =>
    ok('run', '--rm', '--network', 'none', ...flags, 'glibc:test', 'sh', '-c', `exec 2>&1; ${open}; ${script}; true`);

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-devices-'));
    driver = makeFakeDriver(join(directory, 'machine'), { gpus: 2 });
    writeCamera(directory);
    const { root } = driver;
    const flags = [
      '--device-root',
      root,
      '--driver-root',
      root,
      '--cdi-spec-dir',
      join(directory, 'cdi'),
      '--userns-pool',
      '700000:262144',
    ];
    daemon = await startGantry({ flags });
    await importGlibcImage(daemon.host);
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const runtime of runtimes) {
    test(`${runtime}: one GPU of two, opened by nobody else; programs find its libraries`, async () => {
      const out = await sh(
        `ls -C1 /dev; echo --; tell /dev/nvidia0 /dev/nvidiactl; mknod /tmp/other c 195 1; tell /tmp/other; echo --
        LD_PRELOAD=libcuda.so.1 cat-glibc /proc/self/maps | grep -c libcuda.so.${driver.driverVersion}; LD_PRELOAD=libnvidia-ml.so cat-glibc /etc/passwd >/dev/null; echo --
        nvidia-smi; ldconfig -p | grep -c libcuda.so; env | grep NVIDIA`,
        ...['--runtime', runtime, '--gpus', 'device=0'],
      );
      const [nodes = '', opened, found, rest] = out.split('--\n');
      const made = nodes
        .trim()
        .split('\n')
        .filter((name) => !ordinary.includes(name));
      assert.deepEqual(made.sort(), ['nvidia-uvm', 'nvidia-uvm-tools', 'nvidia0', 'nvidiactl']);
      assert.deepEqual(opened?.trim().split('\n'), ['No such device or address', 'No such device or address', 'Operation not permitted']);
      assert.match(found ?? '', /^[1-9]/);
      assert.match(rest ?? '', /nvidia-smi: the fake driver .*\n[1-9]\d*\nNVIDIA_VISIBLE_DEVICES=0\n/);
    });

    test(`${runtime}: a described device: nodes with their access, mounts, variables, groups, links beside the nodes`, async () => {
      const out = await sh(
        `tell /dev/camera/0; echo x >/dev/camera/0; ls -l /dev/camera/by-id; id -G; echo $CAMERA $KEPT; cat /opt/camera/model; touch /opt/camera/model; LD_PRELOAD=libcamera.so.2 cat-glibc /proc/self/maps | grep -c libcamera`,
        ...['--runtime', runtime, '--device', 'example.com/camera=front', '-e', 'CAMERA=mine', '-e', 'KEPT=yes', '--user', '7:8'],
      );
      for (const expected of [
        /^No such device or address$/m,
        /create \/dev\/camera\/0: Operation not permitted/,
        /front -> \.\.\/0/,
        /\b8 4711\b/,
        /^front yes$/m,
        /^Front camera$/m,
        /model: Read-only file system/,
        /^[1-9]$/m,
      ])
        assert.match(out, expected);
    });
  }

  test('what it changed holds nothing of the driver: diff, commit, export; exec has the variables; inspect says what lies over the image', async () => {
    await ok(
      'run',
      '-d',
      '--name',
      'one',
      '--network',
      'none',
      '--gpus',
      '1',
      'glibc:test',
      'sh',
      '-c',
      `touch ${libraries}/mine; sleep 1000`,
    );
    const lower = await ok('inspect', '-f', '{{.GraphDriver.Data.LowerDir}}', 'one');
    const layer = lower.split(':')[0] ?? '';
    assert.ok(layer.endsWith('/devices/layer') && existsSync(join(layer, 'etc/ld.so.cache')), lower);
    assert.match(await ok('exec', 'one', 'env'), /^NVIDIA_VISIBLE_DEVICES=[01]$/m);
    const before = await until(
      () => ok('diff', 'one'),
      (text) => text.includes('mine'),
    );
    assert.deepEqual(
      before.split('\n').filter((line) => /nvidia|cuda|ld\.so/.test(line)),
      [],
    );
    const exported = await runCommand(['/bin/sh', '-c', `docker -H ${daemon.host} export one | tar -t`]);
    assert.doesNotMatch(exported.stdout, /nvidia|cuda|gantry/);
    await ok('exec', 'one', 'ldconfig');
    await ok('commit', 'one', 'committed');
    const script = `ls ${libraries}; ls /etc/ld.so.conf.d; LD_PRELOAD=libcuda.so.1 cat-glibc /etc/passwd 2>&1 | head -1`;
    const alone = await ok('run', '--rm', '--network', 'none', 'committed', 'sh', '-c', script);
    assert.match(alone, /mine/);
    assert.doesNotMatch(alone, /nvidia|libcuda\.so\.\d{3}|gantry/);
    assert.match(await ok('run', '--rm', '--network', 'none', '--gpus', '1', 'committed', 'sh', '-c', script), /^libcuda\.so\.1$/m);
    await ok('kill', 'one');
    await ok('wait', 'one');
    assert.equal(existsSync(layer), false);
    assert.match(await ok('diff', 'one'), /^C \/etc\/ld\.so\.cache$/m);
    await ok('start', 'one');
    assert.match(await ok('exec', 'one', 'sh', '-c', 'LD_PRELOAD=libcuda.so.1 cat-glibc /proc/self/maps | grep -c libcuda'), /^[1-9]/);
    await ok('rm', '-f', 'one');
  });

  test('with --read-only, --privileged, the same node by --device, and a volume where the libraries are', async () => {
    const find = 'LD_PRELOAD=libcuda.so.1 cat-glibc /proc/self/maps | grep -c libcuda';
    assert.match(await sh(`touch /x; ${find}`, '--read-only', '--gpus', 'all'), /Read-only file system\n[1-9]/);
    assert.match(await sh(`tell /dev/nvidia0; ${find}`, '--privileged', '--gpus', '1'), /No such device or address\n[1-9]/);
    const twice = ['--device', `${driver.root}/dev/nvidia0:/dev/nvidia0:r`, '--device', `${driver.root}/dev/nvidia1:/dev/other`];
    const out = await sh(`tell /dev/nvidia0 /dev/other; echo 1 >/dev/nvidia0`, ...twice, '--gpus', 'device=0');
    assert.match(
      out,
      /^No such device or address\nNo such device or address\nsh: can't create \/dev\/nvidia0: No such device or address\n$/,
    );
    await ok('volume', 'create', 'over');
    assert.match(await sh(find, '-v', `over:${libraries}`, '--gpus', '1'), /^[1-9]/);
    await ok('volume', 'rm', 'over');
  });

  test('CUDA libraries of an image that are newer than the driver are found first, also after an ldconfig; older ones are not, nor without a GPU that computes', async () => {
    const compat = '/usr/local/cuda/compat';
    const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    for (const version of ['999.1.2', '100.1.2']) {
      const tree = join(directory, `compat-${version}`);
      const folder = join(tree, compat);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `libcuda.so.${version}`), tinyLibrary(machine, 'libcuda.so.1'));
      symlinkSync(`libcuda.so.${version}`, join(folder, 'libcuda.so.1'));
      await ok('create', '--name', version, 'glibc:test', 'sh');
      await ok('cp', `${tree}/.`, `${version}:/`);
      await ok('commit', '--change', 'ENV NVIDIA_REQUIRE_CUDA=cuda>=99', version, `cuda:${version}`);
      await ok('rm', version);
    }
    const where = 'LD_PRELOAD=libcuda.so.1 cat-glibc /proc/self/maps 2>&1 | grep -o "/.*libcuda.so.*" | head -1';
    const found = async (version: string, ...flags: string[]) =>
      (await ok('run', '--rm', '--network', 'none', ...flags, `cuda:${version}`, 'sh', '-c', `${where}; ldconfig; ${where}`))
        .trim()
        .split('\n');
    const own = `${compat}/libcuda.so.999.1.2`;
    const drivers = `${libraries}/libcuda.so.${driver.driverVersion}`;
    assert.deepEqual(await found('999.1.2', '--gpus', '1'), [own, own]);
    assert.deepEqual(await found('999.1.2', '--gpus', '1', '-e', `LD_LIBRARY_PATH=${libraries}`), [drivers, drivers]);
    assert.deepEqual(await found('999.1.2', '--gpus', '1', '--tmpfs', compat), [drivers, drivers]);
    assert.deepEqual(await found('100.1.2', '--gpus', '1'), [drivers, drivers]);
    const utility = await ok(
      'run',
      '--rm',
      '--network',
      'none',
      '--gpus',
      '1,"capabilities=utility"',
      'cuda:999.1.2',
      'sh',
      '-c',
      'cat /etc/ld.so.conf.d/00*',
    );
    assert.equal(utility, `${libraries}\n`);
  });

  test('in a user namespace: nodes and links are its own, the libraries are read', { skip: withoutUserNamespaces() }, async () => {
    const script = `exec 2>&1; ${open}; tell /dev/nvidia1; stat -c %u:%g /dev/nvidia1 ${libraries}/libcuda.so.1 /etc/ld.so.cache; LD_PRELOAD=libcuda.so.1 cat-glibc /proc/self/maps | grep -c libcuda; touch ${libraries}/mine && echo written`;
    const container = ['--runtime', 'native', '--network', 'none', '--userns', 'auto', '--gpus', 'device=1', 'glibc:test'];
    const flags = ['run', '--rm', ...container, 'sh', '-c', script];
    const gantry = [process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...flags] as const;
    const { stdout: out } = await runCommand(gantry);
    assert.match(out, /^No such device or address\n0:0\n0:0\n0:0\n[1-9]\d*\nwritten\n$/);
  });

  test('a daemon that is killed at any moment of a start leaves nothing held, but with who runs', async () => {
    const all = ['--network', 'none', '--gpus', 'all,"options=exclusive=true"', 'glibc:test', 'sleep', '1000'];
    const layers = () =>
      readdirSync(join(daemon.dataRoot, 'containers')).filter((id) => existsSync(join(daemon.dataRoot, 'containers', id, 'devices')));
    await daemon.stop();
    await daemon.restart('start.prepared');
    await docker('run', '-d', '--name', 'prepared', ...all);
    await daemon.died();
    assert.equal(layers().length, 1);
    await daemon.restart('start.process-runs');
    assert.deepEqual(layers(), []);
    await docker('run', '-d', '--name', 'runs', ...all);
    await daemon.died();
    await daemon.restart();
    assert.equal((await ok('ps', '--format', '{{.Names}}')).trim(), 'runs');
    const next = await docker('run', '--rm', '--network', 'none', '--gpus', '1', 'glibc:test', 'true');
    assert.match(next.stderr, /held exclusively by container runs /);
    assert.equal(layers().length, 1);
    await ok('rm', '-f', 'runs', 'prepared');
    assert.match(await sh('ls /dev', '--gpus', 'all'), /nvidia1/);
    assert.deepEqual(readdirSync(join(daemon.dataRoot, 'containers')), []);
  });
});

/** With everything that a description can say; the node has numbers of its own that nothing is behind. */
function writeCamera(directory: string): void {
  const files = join(directory, 'camera');
  for (const path of [join(directory, 'cdi'), files]) mkdirSync(path);
  writeFileSync(join(files, 'model'), 'Front camera\n');
  writeFileSync(join(files, 'libcamera.so.2.1'), tinyLibrary(process.arch === 'arm64' ? 'aarch64' : 'x86_64', 'libcamera.so.2'));
  const hook = (...args: string[]) => ({
    hookName: 'createContainer',
    path: '/usr/bin/nvidia-cdi-hook',
    args: ['nvidia-cdi-hook', ...args],
  });
  const description = {
    cdiVersion: '0.7.0',
    kind: 'example.com/camera',
    devices: [
      {
        name: 'front',
        containerEdits: {
          env: ['CAMERA=front'],
          deviceNodes: [{ path: '/dev/camera/0', type: 'c', major: 195, minor: 77, fileMode: 0o666, permissions: 'r', uid: 0, gid: 0 }],
          mounts: [
            { hostPath: join(files, 'model'), containerPath: '/opt/camera/model', options: ['ro', 'nosuid', 'bind'] },
            { hostPath: join(files, 'libcamera.so.2.1'), containerPath: '/opt/camera/lib/libcamera.so.2.1', options: ['ro', 'bind'] },
          ],
          additionalGids: [4711],
          hooks: [
            hook('create-symlinks', '--link', '../0::/dev/camera/by-id/front'),
            hook('update-ldcache', '--folder', '/opt/camera/lib'),
          ],
        },
      },
    ],
  };
  writeFileSync(join(directory, 'cdi/camera.json'), JSON.stringify(description));
}

function withoutUserNamespaces(): string | false {
  try {
    requireUserNamespaces(readHostFacts());
    return false;
  } catch (error) {
    return String(error);
  }
}

async function until(look: () => Promise<string>, holds: (text: string) => boolean): Promise<string> {
  for (let tries = 0; tries < 600; tries++) {
    const text = await look();
    if (holds(text)) return text;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('it did not come about within a minute');
}
