/**
 * Devices in builds: `RUN --device` by name and `gantry build --gpus`, on a fake machine with GPUs: what a RUN gets, who may ask for it, what the cache counts, and that nothing of it is in a
 * layer. By gantry's own command line; what BuildKit's clients see of devices, too. Needs root, and busybox-static.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { GrpcConnection } from '../harness/buildx-client.ts';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type FakeDriver, makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

const annotation = (name: string) => `org.mobyproject.buildkit.device.${name}`;
const device = (name: string, annotations: object = {}) => ({
  name,
  annotations,
  containerEdits: { env: [`CAMERA_${name.toUpperCase()}=1`] },
});
const cameras = {
  cdiVersion: '0.6.0',
  kind: 'vendor.com/camera',
  devices: [device('back', { [annotation('class')]: 'eye', [annotation('autoallow')]: 'true' }), device('front')],
};

suite('devices in builds', { skip }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'gantry-device-build-'));
  let fake: FakeDriver;
  let daemon: GantryDaemon;

  before(async () => {
    fake = makeFakeDriver(join(scratch, 'machine'), { gpus: 2 });
    mkdirSync(join(scratch, 'cdi'));
    writeFileSync(join(scratch, 'cdi/camera.json'), JSON.stringify(cameras));
    const flags = ['--device-root', fake.root, '--driver-root', fake.root, '--cdi-spec-dir', join(scratch, 'cdi')];
    daemon = await startGantry({ flags });
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(scratch, { recursive: true, force: true });
  });

  const gantry = (...args: readonly string[]) => runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
  /** The Dockerfile comes by standard input, there is no context. */
  const build = (run: string, ...args: readonly string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, 'build', '--progress', 'plain', ...args, '-'], {
      input: `FROM busybox\nRUN ${run}\n`,
    });
  const built = async (run: string, ...args: readonly string[]): Promise<string> => {
    const { status, stderr } = await build(run, ...args);
    assert.equal(status, 0, stderr);
    return stderr;
  };
  const refused = async (message: RegExp, run: string, ...args: readonly string[]): Promise<void> => {
    const { status, stderr } = await build(run, ...args);
    assert.notEqual(status, 0, stderr);
    assert.match(stderr, message);
  };

  test('RUN --device wants leave, unless the description gives it', async () => {
    const all = 'env | grep ^CAMERA | sort | tr "\\n" " "';
    await refused(
      /device vendor\.com\/camera=front is requested by the build but not allowed: allow it for this build with --allow device, or --allow device=/,
      `--device=vendor.com/camera=front ${all}`,
    );
    const words = [
      '--device=vendor.com/camera=front',
      '--device=vendor.com/camera=*',
      '--device=eye',
      '--device=vendor.com/camera',
      '--device=vendor.com/camera=top',
    ];
    const runs = words.map((word, index) => `${word} echo "${index}: $(${all})"`);
    const out = await built(runs.join('\nRUN '), '--allow', 'device=vendor.com/camera=front');
    const [back, front] = ['CAMERA_BACK=1', 'CAMERA_FRONT=1'];
    for (const [index, seen] of [front, `${back} ${front}`, back, back, ''].entries())
      assert.match(out, new RegExp(`^#\\d+ [\\d.]+ ${index}: ${seen} ?$`, 'm'));
  });

  test('RUN --device: what is required and not there is told', async () => {
    await refused(
      /unresolvable CDI devices vendor\.com\/camera=top; of vendor\.com\/camera there is back, front|did you mean/,
      '--device=vendor.com/camera=top,required true',
      '--allow',
      'device',
    );
    await refused(/required device "eyes" is not registered/, '--device=eyes,required true', '--allow', 'device');
  });

  test('build --gpus: every RUN has nodes, libraries and programs; the layer has nothing of them', async () => {
    const [library] = fake.libraries.filter(({ soname }) => soname === 'libcuda.so.1');
    const look = [
      // Nothing is behind the nodes, so opening one that is allowed fails with ENXIO.
      'for n in 0 1 ctl; do cat /dev/nvidia$n 2>&1; done; mknod /tmp/n c 195 77 && cat /tmp/n 2>&1; rm -f /tmp/n',
      `ls -l ${library?.path} /usr/bin/nvidia-smi`,
      'echo "visible $NVIDIA_VISIBLE_DEVICES"; echo made >/made',
    ].join('; ');
    const out = await built(look, '--gpus', 'all', '-t', 'with');
    for (const name of ['nvidia0', 'nvidia1', 'nvidiactl']) assert.match(out, new RegExp(`/dev/${name}'?: No such device or address`));
    assert.match(out, /\/tmp\/n'?: Operation not permitted/);
    assert.match(out, /libcuda\.so\.[\s\S]*nvidia-smi[\s\S]*visible all/);
    const one = await built(look, '--gpus', 'device=1', '-t', 'one');
    assert.match(one, /\/dev\/nvidia0'?: No such file or directory[\s\S]*\/dev\/nvidia1'?: No such device/);
    assert.match(await built(look.replaceAll('ls -l', ': '), '-t', 'without'), /nvidia1'?: No such file or directory/);
    const layers = async (name: string) => (await gantry('image', 'inspect', '-f', '{{json .RootFS.Layers}}', name)).stdout;
    assert.match(await layers('with'), /sha256/);
    assert.equal(await layers('with'), await layers('one'));
    assert.equal(await layers('with'), await layers('without'));
    const { stdout } = await gantry(
      'run',
      '--rm',
      'with',
      'sh',
      '-c',
      'cat /made; ls -a /usr/bin/nvidia-smi /etc/ld.so.cache /usr/lib 2>&1',
    );
    assert.match(stdout, /^made\n/);
    assert.ok(!/libcuda|^\/usr\/bin\/nvidia-smi$/m.test(stdout), stdout);
  });

  test('what was asked for counts for the cache, not what it came to', async () => {
    const isCached = async (...args: readonly string[]) => /RUN echo counts\n#\d+ CACHED$/m.test(await built('echo counts', ...args));
    const cached = [await isCached('--gpus', '1'), await isCached('--gpus', '1'), await isCached('--gpus', 'all'), await isCached()];
    assert.deepEqual(cached, [false, true, false, false]);
  });

  test('a step holds what it has, and gives it back', async () => {
    await gantry('run', '-d', '--name', 'holder', '--gpus', 'device=0,exclusive', 'busybox', 'sleep', '1000');
    await refused(/GPU 0 .*holder/, 'echo 0', '--gpus', 'device=0');
    assert.match(await built('cat /dev/nvidia1 2>&1; true', '--gpus', '1,exclusive'), /No such device or address/);
    const { stdout } = await gantry('device', 'ls');
    assert.match(stdout, /holder/);
    assert.ok(!stdout.includes('build step'), stdout);
    await gantry('rm', '-f', 'holder');
    await built('echo 0', '--gpus', 'device=0');
  });

  test("BuildKit's clients see what can be asked for", async () => {
    await using connection = await GrpcConnection.open(daemon.host.replace('unix://', ''));
    const { record } = (await connection.unary('Control.ListWorkers', {})) as {
      record: { CDIDevices: { Name: string; AutoAllow: boolean; Annotations: Record<string, string> }[] }[];
    };
    const devices = new Map(record[0]?.CDIDevices.map((each) => [each.Name, each]));
    assert.ok(devices.has('nvidia.com/gpu=0'));
    assert.equal(devices.get('vendor.com/camera=back')?.AutoAllow, true);
    assert.equal(devices.get('vendor.com/camera=back')?.Annotations[annotation('class')], 'eye');
    assert.equal(devices.get('vendor.com/camera=front')?.AutoAllow, false);
  });
});
