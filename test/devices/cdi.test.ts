/**
 * Descriptions of devices in files, as a daemon sees them: what NVIDIA's toolkit writes works without it, files that come, change and go count at once, and docker-compose 1.29 asks by name. Needs root,
 * the docker client and busybox-static.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('descriptions of devices', { skip, timeout: 240_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-cdi-'));
  let daemon: GantryDaemon;

  before(async () => {
    for (const name of ['etc', 'run']) mkdirSync(join(directory, name));
    const flags = ['--cdi-spec-dir', join(directory, 'etc'), '--cdi-spec-dir', join(directory, 'run')];
    daemon = await startGantry({ flags });
    await loadBusybox(daemon.host);
  });
  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  const docker = (...args: readonly string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
  const run = (device: string, script: string) =>
    docker('run', '--rm', '--network=none', '--device', device, 'busybox', 'sh', '-c', script);
  const camera = (value: string) => ({
    cdiVersion: '0.5.0',
    kind: 'vendor.com/camera',
    devices: [{ name: 'front', containerEdits: { env: [`CAMERA=${value}`] } }],
  });
  /** As an editor or a generator does it. */
  const write = (name: string, text: string): void => {
    writeFileSync(join(directory, 'new'), text);
    renameSync(join(directory, 'new'), join(directory, name));
  };
  const seen = async () => {
    const { stdout, stderr } = await run('vendor.com/camera=front', 'echo $CAMERA');
    return stdout.trim() || stderr;
  };

  test("what NVIDIA's toolkit writes needs no toolkit, but for hooks that are not known", async () => {
    const library = join(directory, 'libcuda.so.550.54.14');
    writeFileSync(library, 'a library');
    const quiet = join(directory, 'quiet');
    execFileSync('mknod', [quiet, 'c', '195', '77']);
    const hook = (...args: readonly string[]) =>
      `\n  - {hookName: createContainer, path: /usr/bin/vanished/nvidia-cdi-hook, args: [nvidia-cdi-hook, ${args.join(', ')}], env: [NVIDIA_CTK_DEBUG=false]}`;
    const links = hook(
      'create-symlinks',
      '--link',
      'libcuda.so.550.54.14::/usr/lib64/libcuda.so.1',
      '--link',
      'libcuda.so.1::/usr/lib64/libcuda.so',
    );
    const text = `---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - {path: /dev/nvidia0, hostPath: /dev/null}
    - {path: /dev/nvidia-quiet, hostPath: ${quiet}, permissions: none, fileMode: 0644}
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  mounts:
  - {containerPath: /usr/lib64/libcuda.so.550.54.14, hostPath: ${library}, options: [ro, nosuid, nodev, bind]}
  hooks:`;
    write('etc/nvidia.yaml', `${text}${links}${hook('update-ldcache', '--folder', '/usr/lib64')}\n`);
    const script =
      'cat /usr/lib64/libcuda.so; readlink /usr/lib64/libcuda.so.1; echo; echo x >/dev/nvidia0 && echo $NVIDIA_VISIBLE_DEVICES; stat -c %a /dev/nvidia-quiet; head -c1 /dev/nvidia-quiet';
    const { stdout, stderr } = await run('nvidia.com/gpu=0', script);
    assert.equal(stdout, 'a librarylibcuda.so.550.54.14\n\nvoid\n644\n', stderr);
    assert.match(stderr, /nvidia-quiet'?: Operation not permitted/);
    write('etc/nvidia.yaml', `${text}${hook('chmod', '--mode', '755', '--path', '/usr/lib64')}\n`);
    const refused = await run('nvidia.com/gpu=0', 'true');
    assert.equal(refused.status, 125, refused.stderr);
    assert.match(refused.stderr, /the hook \/usr\/bin\/vanished\/nvidia-cdi-hook \(chmod .*\) of .*nvidia\.yaml is not there: install/);
  });

  test('files that come, change, are in each other’s way and go count at once', async () => {
    assert.match(await seen(), /CDI device injection failed: unresolvable CDI devices vendor\.com\/camera=front/);
    write('etc/camera.json', JSON.stringify(camera('one')));
    assert.equal(await seen(), 'one');
    write('etc/camera.json', JSON.stringify(camera('two')));
    assert.equal(await seen(), 'two');
    write('etc/other.json', JSON.stringify(camera('three')));
    assert.match(
      await seen(),
      /vendor\.com\/camera=front is described by .*etc\/camera\.json and .*etc\/other\.json: leave it in one of them/,
    );
    write('run/camera.json', JSON.stringify(camera('four')));
    assert.equal(await seen(), 'four');
    rmSync(join(directory, 'run/camera.json'));
    rmSync(join(directory, 'etc/camera.json'));
    assert.equal(await seen(), 'three');
    write('etc/other.json', '{');
    assert.match(await seen(), /other\.json: .* at line 1/);
  });

  const noCompose = existsSync('/usr/bin/docker-compose') ? false : 'needs docker-compose 1.29';
  test('docker-compose 1.29: devices by name', { skip: noCompose }, async () => {
    write('etc/camera.yaml', JSON.stringify({ ...camera('composed'), kind: 'vendor.com/eye' }));
    const service = { image: 'busybox', command: 'env', network_mode: 'none', devices: ['vendor.com/eye=front', '/dev/null:/dev/none'] };
    writeFileSync(join(directory, 'docker-compose.yml'), JSON.stringify({ version: '2.4', services: { look: service } }));
    const { status, stdout, stderr } = await runCommand(['/usr/bin/docker-compose', '-p', 'cdi', 'up', '--no-color'], {
      cwd: directory,
      env: { ...process.env, DOCKER_HOST: daemon.host },
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /CAMERA=composed/);
  });
});
