/** The native runtime against hostile images, containers and clients (SECURITY.md rows 9, 10, 12), and against a full disk. Needs root and busybox. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type AttachRequest, type LogTarget, type Rootfs, StartError, type StdioStream } from '../../src/runtime/runtime.ts';
import { newContainerId, readAll } from '../../src/runtime/runtime-suite.ts';
import { launcherPath, type NativeFixture, openNativeFixture, whyNoNativeRuntime } from './native-fixture.ts';

const output: AttachRequest = { stdin: false, stdout: true, stderr: true };
const missing = whyNoNativeRuntime();

describe('native runtime: hostile', { skip: missing ?? false, timeout: 120_000 }, () => {
  let fixture: NativeFixture;
  before(async () => {
    fixture = await openNativeFixture();
  });
  after(() => fixture?.dispose());

  interface Options {
    readonly cwd?: string;
    readonly rootfs?: Rootfs;
    readonly log?: LogTarget;
    readonly attachments?: readonly AttachRequest[];
  }

  async function start(args: readonly string[], options: Options = {}) {
    const id = newContainerId();
    const { cwd = '/', rootfs = fixture.rootfs(), log = null, attachments = [output] } = options;
    return fixture.runtime.start({ id, spec: fixture.spec(id, args, { cwd }), rootfs, log, stdin: 'null', attachments });
  }

  async function run(script: string, options: Options = {}): Promise<{ out: string; code: number }> {
    const container = await start(['sh', '-c', script], options);
    const read = await readAll(container.attached[0] as StdioStream);
    const exit = await container.exited;
    assert.ok(exit !== 'lost');
    await container.release();
    return { out: read.text(1) + read.text(2), code: exit.code };
  }

  function overlay(prepare: (lower: string) => void): Rootfs {
    const base = join(fixture.directory, `overlay-${newContainerId().slice(0, 8)}`);
    for (const name of ['image', 'upper', 'work', 'merged']) mkdirSync(join(base, name), { recursive: true });
    prepare(join(base, 'image'));
    const root = fixture.rootfs();
    assert.ok(root.kind === 'directory');
    symlinkSync(root.path, join(base, 'busybox'));
    const lowers = ['image', 'busybox'];
    return { kind: 'overlay', lowerBase: base, lowers, upper: join(base, 'upper'), work: join(base, 'work'), target: join(base, 'merged') };
  }

  it('SEC-09 a working directory behind an inherited descriptor is refused', async () => {
    for (let fd = 3; fd < 20; fd++) {
      await assert.rejects(start(['true'], { cwd: `/proc/self/fd/${fd}` }), (thrown) => thrown instanceof StartError, String(fd));
    }
  });

  it('SEC-09 an exec sees descriptors 0, 1 and 2 only', async () => {
    const container = await start(['sleep', '100']);
    const spec = fixture.spec(container.id, ['sh', '-c', 'ls /proc/self/fd | tr "\\n" " "']);
    const exec = await container.exec({ id: newContainerId(), spec, ...output });
    assert.match((await readAll(exec.stream as StdioStream)).text(1), /^0 1 2 3 $/); // 3 is the directory that ls reads
    await container.kill(9, 'init');
    await container.exited;
    await container.release();
  });

  it('SEC-10 the program of the monitor cannot be overwritten through /proc/self/exe', async () => {
    const digest = () => createHash('sha256').update(readFileSync(launcherPath)).digest('hex');
    const untouched = digest();
    const image = overlay((lower) => {
      mkdirSync(join(lower, 'bin'));
      symlinkSync('/proc/self/exe', join(lower, 'bin/evil'));
    });
    // `evil` is the program of whoever executes it: of ours, if anything of ours could still be reached.
    const { out, code } = await run('evil sh -c "echo in busybox"; echo x > /proc/self/exe', { rootfs: image });
    assert.equal(digest(), untouched);
    assert.notEqual(code, 0);
    assert.match(out, /ext file busy|ermission denied|pplet not found|in busybox/);
    await assert.rejects(
      start(['/bin/evil'], { rootfs: image }).then(async (container) => {
        const exit = await container.exited;
        await container.release();
        throw new Error(`ran and ended: ${JSON.stringify(exit)}`);
      }),
    );
    assert.equal(digest(), untouched);
    const seals = readFileSync(`/proc/${await fixture.runtime.launcher.ensure()}/maps`, 'utf8');
    assert.match(seals, /memfd:gantry-launcher/);
  });

  it('SEC-12 an image with links at /dev, /proc and /sys leads nowhere outside its root', async () => {
    const canary = join(fixture.directory, 'canary');
    mkdirSync(canary);
    const image = overlay((lower) => {
      for (const name of ['proc', 'sys']) mkdirSync(join(lower, name));
      symlinkSync(`../../../../..${canary}`, join(lower, 'dev'));
    });
    const attempt = await run('ls -ld /proc/self; mount | grep -c proc', { rootfs: image }).catch((thrown: unknown) => thrown);
    assert.equal(existsSync(join(canary, 'null')), false);
    assert.equal(existsSync(join(canary, 'pts')), false);
    assert.equal(spawnSync('ls', ['-A', canary], { encoding: 'utf8' }).stdout, '');
    assert.ok(attempt instanceof Error || typeof attempt === 'object');
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(fixture.directory));
  });

  it('no mount of a container is seen by the host, and an overlay keeps what was written', async () => {
    const image = overlay((lower) => writeFileSync(join(lower, 'from-image'), 'image\n'));
    const container = await start(['sh', '-c', 'cat /from-image; echo new > /written; sleep 0.2'], { rootfs: image });
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(fixture.directory));
    assert.equal((await readAll(container.attached[0] as StdioStream)).text(1), 'image\n');
    await container.exited;
    await container.release();
    assert.ok(image.kind === 'overlay');
    assert.equal(readFileSync(join(image.upper, 'written'), 'utf8'), 'new\n');
  });

  it('tmpfs with tmpcopyup: files, links, owners and modes of the image are in it, FIFOs are not opened', async () => {
    const image = overlay((lower) => {
      mkdirSync(join(lower, 'run/deep'), { recursive: true });
      writeFileSync(join(lower, 'run/deep/file'), 'text', { mode: 0o640 });
      symlinkSync('../../etc/passwd', join(lower, 'run/link'));
      spawnSync('mkfifo', [join(lower, 'run/fifo')]);
      spawnSync('chown', ['-h', '12:34', join(lower, 'run'), join(lower, 'run/deep/file')]);
      spawnSync('chmod', ['0750', join(lower, 'run')]);
    });
    const id = newContainerId();
    const spec = fixture.spec(id, [
      'sh',
      '-c',
      'stat -c "%n %a %u:%g %F" /run /run/deep/file /run/link /run/fifo; cat /run/deep/file; echo x > /run/new',
    ]);
    const mounts = [...spec.mounts, { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'tmpcopyup'] }];
    const request = { id, spec: { ...spec, mounts }, rootfs: image, log: null, stdin: 'null', attachments: [output] } as const;
    const container = await fixture.runtime.start(request);
    const read = await readAll(container.attached[0] as StdioStream);
    await container.exited;
    await container.release();
    const lines = [
      '/run 750 12:34 directory',
      '/run/deep/file 640 12:34 regular file',
      '/run/link 777 0:0 symbolic link',
      '/run/fifo 644 0:0 fifo',
      'text',
    ];
    assert.equal(read.text(1) + read.text(2), lines.join('\n'));
    assert.ok(image.kind === 'overlay' && !existsSync(join(image.upper, 'run/new')));
  });

  it('a late client that does not read holds the log up for 10 seconds at most, and is cut with a reason', async () => {
    const log = { path: join(fixture.directory, 'late.log'), maxSizeBytes: 0, maxFiles: 1 };
    const container = await start(['sh', '-c', 'sleep 0.2; yes "$(printf %099d 0)" | head -c 30000000'], { log, attachments: [] });
    const late = await container.attach(output);
    late.pause();
    const began = Date.now();
    await container.exited;
    const tookMs = Date.now() - began;
    assert.ok(tookMs > 8_000 && tookMs < 20_000, `${tookMs} ms`);
    assert.equal(readFileSync(log.path, 'utf8').trimEnd().split('\n').length, 300_000);
    assert.match((await readAll(late)).text(3), /this attach stream was cut/);
    await container.release();
  });

  it('a full disk: the process goes on, records stay whole', async () => {
    const disk = join(fixture.directory, 'disk');
    mkdirSync(disk);
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status, 0);
    try {
      const log = { path: join(disk, 'full.log'), maxSizeBytes: 0, maxFiles: 1 };
      const { code } = await run('i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; exit 3', { log });
      assert.equal(code, 3);
      assert.ok(statSync(log.path).size <= 65_536);
      for (const line of readFileSync(log.path, 'utf8').trimEnd().split('\n')) JSON.parse(line);
    } finally {
      await delay(20);
      spawnSync('umount', [disk]);
    }
  });

  it('garbage on the sockets harms nobody', async () => {
    const container = await start(['sleep', '100']);
    const { connectSocket } = await import('../../src/runtime/monitor-connection.ts');
    const sockets = ['launcher.sock', join('m', container.id.slice(0, 16))].map((name) => join(fixture.directory, 'run', name));
    for (const path of sockets) {
      for (let i = 0; i < 60; i++) {
        const socket = await connectSocket(path);
        const frame = Buffer.alloc(12 + (i % 3) * 40, i * 7);
        frame.writeUInt32LE(i % 2 === 0 ? frame.length - 12 : 0xffffffff, 0);
        frame.writeUInt32LE(i % 60, 4);
        if (i % 5 === 0 && frame.length > 16) frame.writeUInt32LE(1, 12);
        socket.end(frame);
        socket.resume();
      }
    }
    await delay(100);
    await container.kill(9, 'init');
    const exit = await container.exited;
    assert.ok(exit !== 'lost' && exit.code === 137);
    await container.release();
  });
});
