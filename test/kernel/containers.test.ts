/** Containers over the real stores and the native runtime, without the API. Needs root, cgroups, busybox-static and the built launcher. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/base/log.ts';
import type { ContainerConfig, ExecConfig, HostConfig } from '../../src/containers/config.ts';
import { defaultContainerConfig, defaultHostConfig } from '../../src/containers/config-defaults.ts';
import { type ContainerService, createContainers } from '../../src/containers/container-service.ts';
import type { AttachOptions, LogOptions } from '../../src/containers/containers.ts';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { plainSecurity } from '../../src/containers/security-defaults.ts';
import { FakeNetworks } from '../../src/containers/testing/fake-networks.ts';
import { createImageCatalogue } from '../../src/images/image-catalogue.ts';
import { removeCgroup } from '../../src/linux/cgroups.ts';
import { removeNamedCgroups } from '../../src/linux/named-hierarchies.ts';
import { readOciVersion } from '../../src/runtime/oci-version.ts';
import { runtimeNames } from '../../src/runtime/runtime-names.ts';
import { RuntimeSelection } from '../../src/runtime/runtime-selection.ts';
import { createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createLayerStore } from '../../src/store/layers.ts';
import { createVolumes } from '../../src/volumes/volume-service.ts';
import { FrameDecoder } from '../../src/wire/stream-frames.ts';
import { testPrograms, testRuntime } from './native-fixture.ts';

const launcherPath = fileURLToPath(new URL('../../build/native/gantry-launcher', import.meta.url));
const busybox = '/bin/busybox';
const skip =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync(launcherPath)
      ? 'needs the native build (./gantry)'
      : !existsSync(busybox)
        ? 'needs busybox (apt-get install busybox-static)'
        : false;

const never = new AbortController().signal;
const allStreams: AttachOptions = { stream: true, logs: false, stdin: true, stdout: true, stderr: true, detachKeys: null };
const noFilter = { follow: false, timestamps: false, details: false, since: null, until: null, tail: null };
const allLogs: LogOptions = { stdout: true, stderr: true, ...noFilter };
const execConfig: ExecConfig = {
  User: '',
  Privileged: false,
  Tty: false,
  AttachStdin: true,
  AttachStdout: true,
  AttachStderr: true,
  DetachKeys: '',
  Env: [],
  WorkingDir: '',
  Cmd: [],
};

interface Engine {
  readonly service: ContainerService;
  close(): Promise<void>;
}

suite('containers', { skip }, () => {
  let directory: string;
  let engine: Engine;
  const cgroupParent = `/gantry-cont-${process.pid}`;

  async function open(): Promise<Engine> {
    const database = await openDatabase(join(directory, 'data', 'gantry.db'));
    const blobs = await createBlobStore({ root: join(directory, 'data', 'blobs') });
    const layers = createLayerStore({ root: join(directory, 'data', 'layers'), blobPath: (digest) => blobs.path(digest) });
    const { catalogue } = await createImageCatalogue({ database, blobs, layers });
    if (catalogue.find('box') === null)
      await catalogue.importTar(busyboxTar(), { reference: 'box', message: '', changes: [], platform: null }, () => {});
    const runtime = new RuntimeSelection({ execRoot: join(directory, 'run'), launcherPath }, testPrograms);
    await runtime.boot();
    const volumes = await createVolumes({ database, dataRoot: join(directory, 'data'), logger: silentLogger });
    const service = await createContainers({
      dataRoot: join(directory, 'data'),
      execRoot: join(directory, 'run'),
      cgroupParent,
      database,
      images: catalogue,
      layers,
      runtime,
      runtimes: runtimeNames(testPrograms, testRuntime, ({ path }) => readOciVersion(path)),
      // Networks have their own suites: here a container has its own or none.
      networks: new FakeNetworks(),
      volumes,
      daemonDns: { servers: [], search: [], options: [] },
      init: { program: null, byDefault: false },
      host: readHostFacts(),
      security: plainSecurity,
      logger: silentLogger,
    });
    const close = async () => {
      await service.close();
      await volumes.close();
      await runtime.close();
      await layers.close();
      await blobs.close();
      await database.close();
    };
    return { service, close };
  }

  function busyboxTar(): Readable {
    const tree = join(directory, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    for (const name of ['etc', 'tmp', 'root']) mkdirSync(join(tree, name), { recursive: true });
    copyFileSync(busybox, join(tree, 'bin', 'busybox'));
    writeFileSync(join(tree, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/tmp:/bin/sh\n');
    writeFileSync(join(tree, 'bin', 'notexec'), '#!/bin/sh\n');
    for (const name of ['sh', 'cat', 'echo', 'sleep', 'true', 'seq', 'id', 'ls', 'head']) {
      execFileSync('ln', ['-sf', 'busybox', join(tree, 'bin', name)]);
    }
    return Readable.from(execFileSync('tar', ['-C', tree, '--numeric-owner', '-cf', '-', '.'], { maxBuffer: 1 << 26 }), {
      objectMode: false,
    });
  }

  async function create(cmd: string[], config: Partial<ContainerConfig> = {}, hostConfig: Partial<HostConfig> = {}): Promise<string> {
    const { id } = await engine.service.create({
      name: null,
      platform: null,
      config: defaultContainerConfig({ Image: 'box', Cmd: cmd, ...config }),
      hostConfig: defaultHostConfig({ NetworkMode: 'none', ...hostConfig }),
      endpoints: {},
    });
    return id;
  }

  async function run(
    cmd: string[],
    config: Partial<ContainerConfig> = {},
    hostConfig: Partial<HostConfig> = {},
    input = '',
  ): Promise<{ code: number; output: string }> {
    const id = await create(cmd, config, hostConfig);
    const { stream } = await engine.service.attach(id, allStreams);
    const { exit } = await engine.service.wait(id, hostConfig.AutoRemove ? 'removed' : 'next-exit', never);
    stream.end(input);
    const output = unframed(stream, config.Tty === true);
    await engine.service.start(id);
    return { code: (await exit).statusCode, output: await output };
  }

  async function unframed(stream: Readable, tty = false): Promise<string> {
    let text = '';
    const decoder = new FrameDecoder((_stream, payload) => {
      text += payload.toString('latin1');
    });
    stream.on('data', (chunk: Buffer) => {
      if (tty) text += chunk.toString();
      else decoder.push(chunk);
    });
    await new Promise((resolve) => stream.once('close', resolve));
    return text;
  }

  before(async () => {
    directory = mkdtempSync('/tmp/g-CONT-kernel-');
    engine = await open();
  });

  after(async () => {
    for (const { id } of await engine.service.list({ all: true, limit: null, size: false, filters: {} })) {
      await engine.service.remove(id, { force: true, volumes: false });
    }
    await engine.close();
    await removeCgroup(cgroupParent).catch(() => {});
    await removeNamedCgroups(cgroupParent);
    rmSync(directory, { recursive: true, force: true });
  });

  test('run: output, exit code, environment, user, hostname, working directory', async () => {
    const { code, output } = await run(['sh', '-c', 'echo $HOME $HOSTNAME $A; id -u; pwd; cat /etc/hostname; exit 3'], {
      User: 'app',
      Env: ['A=b'],
      WorkingDir: '/tmp',
      Hostname: 'box1',
    });
    assert.equal(output, '/tmp box1 b\n7\n/tmp\nbox1\n');
    assert.equal(code, 3);
  });

  test('run -i --rm: stdin before the start, half-close, everything gone', async () => {
    const { code, output } = await run(
      ['cat'],
      { OpenStdin: true, StdinOnce: true, AttachStdin: true },
      { AutoRemove: true },
      'typed early',
    );
    assert.deepEqual([code, output], [0, 'typed early']);
    assert.deepEqual(readdirSync(join(directory, 'run', 'c')), []);
  });

  test('run -t: raw bytes', async () => {
    assert.equal((await run(['echo', 'hi'], { Tty: true, OpenStdin: true })).output, 'hi\r\n');
  });

  test('start: Docker’s exit codes and texts for what cannot run', async () => {
    const cases = [
      [['nope'], 127, /exec: "nope": executable file not found in \$PATH: unknown$/],
      [['/nope'], 127, /no such file or directory: unknown$/],
      [['/bin/notexec'], 126, /permission denied: unknown$/],
      [['/etc'], 126, /(is a directory|permission denied): unknown$/],
    ] as const;
    for (const [cmd, exitCode, text] of cases) {
      const id = await create([...cmd]);
      await assert.rejects(engine.service.start(id), (error: Error & { exitCode: number }) => {
        assert.equal(error.exitCode, exitCode, error.message);
        assert.match(error.message, text);
        assert.equal(error.message.match(/OCI runtime/g)?.length, 1);
        return true;
      });
      const { state } = await engine.service.inspect(id);
      assert.deepEqual([state.status, state.exitCode], ['created', exitCode]);
    }
  });

  test('a container keeps what it wrote over a restart, and can be sized', async () => {
    const id = await create(['sh', '-c', 'cat /tmp/file; head -c 5000 /dev/zero > /tmp/file']);
    for (const _ of [1, 2]) {
      const { exit } = await engine.service.wait(id, 'next-exit', never);
      await engine.service.start(id);
      await exit;
    }
    const { size } = await engine.service.inspect(id, { size: true });
    assert.equal(size?.rwBytes, 5000);
    assert.equal((await unframed((await engine.service.logs(id, { ...allLogs, stderr: false }, never)).stream)).length, 5000);
  });

  test('stop, kill, restart and rm -f on a process that ignores TERM', async () => {
    const id = await create(['sh', '-c', "trap '' TERM; echo up; while true; do sleep 1; done"]);
    await engine.service.start(id);
    const followed = unframed((await engine.service.logs(id, { ...allLogs, follow: true }, never)).stream);
    await sleep(100);
    assert.equal(await engine.service.stop(id, { signal: null, timeoutSeconds: 0 }), 'stopped');
    assert.equal(await followed, 'up\n');
    assert.equal((await engine.service.inspect(id)).state.exitCode, 137);
    await engine.service.restart(id, { signal: null, timeoutSeconds: 0 });
    await engine.service.restart(id, { signal: null, timeoutSeconds: 0 });
    await engine.service.kill(id, 'SIGKILL');
    assert.equal((await engine.service.inspect(id)).state.status, 'exited');
    await engine.service.start(id);
    await engine.service.remove(id, { force: true, volumes: false });
    await assert.rejects(engine.service.inspect(id), { code: 'not-found' });
  });

  test('exec: exit codes, stdin, what cannot run', async () => {
    const id = await create(['sleep', '100']);
    await engine.service.start(id);
    const start = { detach: false, tty: false, consoleSize: null };
    const exec = await engine.service.createExec(id, { ...execConfig, Cmd: ['sh', '-c', 'cat; exit 42'] });
    const session = await engine.service.startExec(exec, start);
    assert.ok(session !== null);
    session.stream.end('through');
    assert.equal(await unframed(session.stream), 'through');
    assert.equal(engine.service.inspectExec(exec).exitCode, 42);
    const missing = await engine.service.createExec(id, { ...execConfig, Cmd: ['nope'] });
    await assert.rejects(engine.service.startExec(missing, start), /^StartError: OCI runtime exec failed: .*executable file not found/);
    assert.equal(engine.service.inspectExec(missing).exitCode, 127);
    const denied = await engine.service.createExec(id, { ...execConfig, Cmd: ['/bin/notexec'] });
    await assert.rejects(engine.service.startExec(denied, start), /permission denied/);
    assert.equal(engine.service.inspectExec(denied).exitCode, 126);
    await engine.service.remove(id, { force: true, volumes: false });
  });

  test('container: network and pid join a running one', async () => {
    const id = await create(['sleep', '100'], { Hostname: 'other' });
    await assert.rejects(run(['true'], {}, { NetworkMode: `container:${id}` }), {
      code: 'conflict',
      message: /cannot join network of a non running container/,
    });
    await engine.service.start(id);
    const { output } = await run(
      ['sh', '-c', 'cat /etc/hostname; ls /proc | head -n 1; cat /proc/1/cmdline'],
      {},
      { NetworkMode: `container:${id}`, PidMode: `container:${id}` },
    );
    assert.match(output, /^other\n/);
    assert.match(output, /sleep\x00100\x00/);
    await engine.service.remove(id, { force: true, volumes: false });
  });

  test('64 MB through cat: unchanged', async () => {
    const id = await create(['cat'], { OpenStdin: true, StdinOnce: true }, { AutoRemove: true, LogConfig: { Type: 'none', Config: {} } });
    const { stream } = await engine.service.attach(id, allStreams);
    const sent = createHash('sha256');
    const received = createHash('sha256');
    const decoder = new FrameDecoder((_stream, payload) => received.update(payload));
    stream.on('data', (chunk: Buffer) => decoder.push(chunk));
    const closed = new Promise((resolve) => stream.once('close', resolve));
    await engine.service.start(id);
    const chunk = Buffer.alloc(65_536);
    for (let round = 0; round < 1024; round++) {
      const piece = Buffer.from(chunk.fill(round));
      sent.update(piece);
      if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
    }
    stream.end();
    await closed;
    assert.equal(received.digest('hex'), sent.digest('hex'));
  });

  test('a restart of the engine changes nothing for a running container: logs, exec, exit code', async () => {
    const id = await create(['sh', '-c', 'seq 1000; sleep 3; seq 1001 2000; exit 9']);
    const gone = await create(['sh', '-c', 'sleep 0.3; exit 4']);
    await engine.service.start(id);
    await engine.service.start(gone);
    await engine.close();
    await sleep(500);
    engine = await open();
    const { service } = engine;
    assert.deepEqual([(await service.inspect(gone)).state.status, (await service.inspect(gone)).state.exitCode], ['exited', 4]);
    assert.equal((await service.inspect(id)).state.status, 'running');
    const followed = unframed((await service.logs(id, { ...allLogs, follow: true }, never)).stream);
    const { exit } = await service.wait(id, 'next-exit', never);
    assert.equal((await exit).statusCode, 9);
    assert.equal(await followed, Array.from({ length: 2000 }, (_, index) => `${index + 1}\n`).join(''));
  });

  test('nothing is left: no process, cgroup or runtime entry of containers that ended', async () => {
    for (const { id } of await engine.service.list({ all: true, limit: null, size: false, filters: {} })) {
      await engine.service.remove(id, { force: true, volumes: false });
    }
    assert.deepEqual(readdirSync(join(directory, 'run', 'c')), []);
    assert.deepEqual(readdirSync(join(directory, 'data', 'containers')), []);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(directory));
  });
});
