/** The processes of builds on the native runtime, and what they cannot reach. Needs root, busybox-static and the native build. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { plainRunSettings } from '../../src/build/core/testing/plain-run-settings.ts';
import type { StepMount } from '../../src/containers/steps/step.ts';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { whyNoNativeRuntime } from '../kernel/native-fixture.ts';
import { StepsFixture } from './steps-fixture.ts';

const skip = whyNoNativeRuntime() ?? false;

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 10) {
    if (condition()) return;
    await sleep(10);
  }
  assert.fail(`never: ${what}`);
}

/** Processes whose command line holds the text. */
function processesWith(text: string): readonly number[] {
  const isOne = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isOne(name))
    .map(Number);
}

suite('build steps', { skip, concurrency: 4 }, () => {
  let fixture: StepsFixture;

  before(async () => {
    fixture = new StepsFixture();
    await fixture.open();
  });

  after(async () => {
    const left = fixture.leftovers();
    await fixture.dispose();
    assert.deepEqual(left, []);
  });

  test('run: both streams whole and apart, the exit code, the environment, directory, user and name it was given', async () => {
    const script = 'seq 20000; echo end >&2; env | sort; pwd; id; hostname; cat; exit 7';
    const ran = await fixture.run(script, { user: 'app', cwd: '/made/here', environment: ['B=2', 'A=1', 'A=3'] });
    const lines = ran.stdout.split('\n');
    assert.equal(ran.exitCode, 7);
    assert.equal(lines[19_999], '20000');
    assert.equal(ran.stderr, 'end\n');
    assert.deepEqual(lines.slice(20_000, -1), [
      'A=3',
      'B=2',
      'HOME=/home',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'PWD=/made/here',
      'SHLVL=1',
      '/made/here',
      'uid=7(app) gid=8 groups=8,10(wheel)',
      'buildkitsandbox',
    ]);
    assert.deepEqual(ran.written, ['made/', 'made/here/'], 'a missing directory is made');
  });

  test('run: hosts, limits and shared memory as the build asks', async () => {
    const ran = await fixture.run('cat /etc/hosts; ulimit -n; df -k /dev/shm | tail -1; hostname', {
      settings: {
        ...plainRunSettings,
        extraHosts: ['db:10.1.2.3', 'up:host-gateway'],
        ulimits: [{ name: 'nofile', soft: 77, hard: 99 }],
        shmSizeBytes: 3 * 1024 * 1024,
        hostname: 'builder',
      },
    });
    for (const expected of [/^10\.1\.2\.3\tdb$/m, /^172\.17\.0\.1\tup$/m, /^77$/m, /3072/, /^builder$/m])
      assert.match(ran.stdout, expected);
  });

  test('run: what cannot be started is told, and leaves nothing', async () => {
    await assert.rejects(fixture.run('', { argv: ['/bin/missing'] }), { name: 'StartError', exitCode: 127 });
    await assert.rejects(fixture.run('', { argv: ['/etc/passwd'] }), { name: 'StartError', exitCode: 126 });
    await assert.rejects(fixture.run('true', { user: 'nobody-knows' }), /unable to find user nobody-knows/);
    const cdi = { name: 'vendor.com/gpu=all', required: true };
    await assert.rejects(fixture.run('true', { devices: [cdi] }), /cdi/i);
    assert.equal((await fixture.run('true', { devices: [{ ...cdi, required: false }] })).exitCode, 0);
    assert.equal((await fixture.run('ls /dev/fuse', { devices: [{ name: '/dev/null', required: true }] })).exitCode, 1);
    await assert.rejects(fixture.run('true', { mounts: [tmpfs('/etc/passwd')] }), /cannot mount a directory on \/etc\/passwd/);
    await assert.rejects(fixture.run('true', { mounts: [tmpfs('/proc/self')] }), /inside \/proc/);
  });

  test('run: isolated as a container is; with security=insecure it is not', async () => {
    const script =
      'grep -E "CapEff|CapInh|Seccomp:" /proc/self/status; cat /proc/timer_list | head -c 1; mount -t tmpfs t /tmp && echo mounted';
    const ran = await fixture.run(script);
    assert.match(ran.stdout, /CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n$/);
    const insecure = await fixture.run(script, { security: 'insecure' });
    assert.match(insecure.stdout, /Seccomp:\t0\n[\s\S]*mounted\n$/);
    assert.ok(!insecure.stdout.includes('CapEff:\t00000000a80425fb'));
  });

  test('mounts: trees, files, memory and secrets are there, and no mount point is in what the step wrote', async () => {
    const cache = join(fixture.directory, 'cache');
    mkdirSync(cache);
    const context = join(fixture.directory, 'context');
    mkdirSync(join(context, 'src'), { recursive: true });
    writeFileSync(join(context, 'src/a'), 'from the context');
    const mounts: readonly StepMount[] = [
      { kind: 'directory', target: '/c/ro', source: context, subpath: '/src', writable: false },
      { kind: 'directory', target: '/c/file', source: context, subpath: '/src/a', writable: false },
      { kind: 'tree', target: '/c/rw', directories: [context], subpath: '/src', writable: true },
      { kind: 'tree', target: '/tree', directories: [fixture.tree], subpath: '', writable: false },
      { kind: 'directory', target: '/root/.cache/pip', source: cache, subpath: '', writable: true },
      { kind: 'directory', target: '/root/.cache/pip/inner', source: cache, subpath: '', writable: false },
      { kind: 'file', target: '/dev/pipes/E', content: Buffer.from('#!/bin/sh\necho "as $0"\n'), mode: 0o755 },
      { kind: 'tmpfs', target: '/memory/deep', sizeBytes: 65536 },
      { kind: 'secret', target: '/run/secrets/token', content: Buffer.from([0, 255, 10]), mode: 0o440, uid: 7, gid: 8 },
    ];
    const script = [
      'cat /c/ro/a /c/file /tree/etc/group; ls -A /c/rw; rm /c/rw/a; echo new >/c/rw/b; cat /c/rw/b',
      'echo kept >/root/.cache/pip/k; /dev/pipes/E; od -An -tx1 /run/secrets/token; stat -c "%a %u %g" /run/secrets/token /memory/deep',
      'echo no >/c/ro/x; echo no >/run/secrets/token; echo no >/tree/x; echo no >/dev/pipes/E; true',
    ].join('\n');
    const ran = await fixture.run(script, { mounts });
    assert.equal(
      ran.stdout,
      'from the contextfrom the contextroot:x:0:\nwheel:x:10:app\na\nnew\nas /dev/pipes/E\n 00 ff 0a\n440 7 8\n1777 0 0\n',
    );
    assert.equal(ran.stderr.match(/Read-only file system/g)?.length, 4);
    assert.deepEqual(ran.written, []);
    assert.equal(readFileSync(join(cache, 'k'), 'utf8'), 'kept\n');
    assert.deepEqual(readdirSync(join(context, 'src')), ['a']);
  });

  test('scaffold: what is written beside a mount point is in the layer, with parents that look as they did', async () => {
    const tree = join(fixture.directory, 'odd');
    mkdirSync(join(tree, 'opt'), { recursive: true, mode: 0o711 });
    utimesSync(join(tree, 'opt'), 1e9, 1e9);
    const changes = { lowers: fixture.lowers(tree, fixture.tree), mounts: [tmpfs('/opt/new/point'), tmpfs('/data')] };
    const seen = await fixture.run('stat -c "%a %Y" /opt; stat -c %a /opt/new', changes);
    assert.equal(seen.stdout, '711 1000000000\n755\n');
    const ran = await fixture.run('echo x >/opt/new/beside; echo y >/data/gone', changes);
    assert.deepEqual(ran.written, ['opt/', 'opt/new/', 'opt/new/beside']);
    assert.equal(statSync(join(ran.upper, 'opt')).mode & 0o7777, 0o711);
  });

  test('SEC-12 SEC-19: mount points behind links stay inside the root, and nothing outside is made or removed', async () => {
    const outside = join(fixture.directory, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'canary'), 'c');
    const tree = join(fixture.directory, 'links');
    mkdirSync(tree);
    const up = '../../../../../../../../../../..';
    for (const [name, target] of [
      ['absolute', outside],
      ['upwards', up + outside],
      ['run', '/var/run'],
      ['loop', 'loop'],
      ['proc', outside],
    ] as const)
      symlinkSync(target, join(tree, name));
    const at = (...targets: readonly string[]) => ({
      lowers: fixture.lowers(tree, fixture.tree),
      mounts: targets.flatMap((target, index): StepMount[] => [
        tmpfs(target),
        { kind: 'secret', target: `/run/s/${index}`, content: Buffer.from('s'), mode: 0o400, uid: 0, gid: 0 },
      ]),
    });
    const ran = await fixture.run(
      `ls -A ${outside}/made /var/run/s; grep -c ' /proc ' /proc/mounts`,
      at('/absolute/made', '/upwards/more/made'),
    );
    assert.equal(ran.stdout, `${outside}/made:\n\n/var/run/s:\n0\n1\n1\n`, 'below the root of the step, whatever the links say');
    assert.deepEqual(ran.written, []);
    assert.deepEqual(readdirSync(outside), ['canary']);
    await assert.rejects(fixture.run('true', at('/loop/x')), /too many levels of symbolic links/);
    await assert.rejects(fixture.run('true', at('/etc/passwd/x')), /is not a directory/);
  });

  test('SEC-11: steps that share a cache and swap what is masked see no more for it', async () => {
    const cache = join(fixture.directory, 'shared');
    mkdirSync(cache);
    const mounts: readonly StepMount[] = [{ kind: 'directory', target: '/cache', source: cache, subpath: '', writable: true }];
    const attack = [
      'for i in 1 2 3 4 5 6 7 8; do',
      '  ln -sfn /proc/sys/kernel /cache/p; ln -sfn /dev/null /cache/n; mv -f /dev/null /dev/n 2>/dev/null; ln -sf /proc/sysrq-trigger /dev/null',
      '  rm -f /dev/null; mknod /dev/null c 1 3; ln -sfn /proc/timer_list /cache/t; ln -sfn /dev/pts/0 /dev/console 2>/dev/null',
      '  head -c 1 /proc/timer_list /cache/t 2>/dev/null; echo x 2>/dev/null >/cache/p/core_pattern && echo WRITTEN',
      '  echo b 2>/dev/null >/proc/sysrq-trigger && echo WRITTEN; head -c 1 /proc/kcore 2>/dev/null',
      'done; true',
    ].join('\n');
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
    const ran = await Promise.all(Array.from({ length: 8 }, () => fixture.run(attack, { mounts })));
    for (const { stdout, exitCode } of ran) assert.deepEqual([stdout.replaceAll(/==> .* <==|\n/g, ''), exitCode], ['', 0]);
    assert.equal(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'), pattern);
    assert.deepEqual([lstatSync('/dev/null').isCharacterDevice(), lstatSync('/dev/null').rdev], [true, 0x103]);
  });

  test('run: killed when it is not wanted any more, with all that it started', async () => {
    const mark = `sleep-${randomBytes(6).toString('hex')}`;
    const cancel = new AbortController();
    const script = `(setsid sh -c 'while :; do sleep 1; done # ${mark}' &); trap '' TERM INT; echo ready; while :; do sleep 1; done`;
    const started = Promise.withResolvers<void>();
    const step = fixture.step(script);
    const running = fixture.steps.run(step, () => started.resolve(), cancel.signal);
    running.catch(() => {});
    await started.promise;
    assert.ok(processesWith(mark).length > 0);
    cancel.abort(new Error('not wanted'));
    await assert.rejects(running, /not wanted/);
    assert.deepEqual(processesWith(mark), []);
    assert.equal(existsSync(join(fixture.stepsDirectory, step.id)), false);
  });

  test('run: one that outgrows its memory is told as such', { skip: memoryLimits() }, async () => {
    const settings = { ...plainRunSettings, memoryBytes: 24 * 1024 * 1024, memorySwapBytes: 24 * 1024 * 1024 };
    const ran = await fixture.run('tail -c 200000000 /dev/zero >/dev/null', { settings });
    assert.deepEqual([ran.oomKilled, ran.exitCode], [true, 137]);
  });

  test('ssh: each connection in the step is one of the agent', async () => {
    const agent = () => {
      const [near, far] = duplexPair();
      far.on('data', (bytes: Buffer) => far.end(`agent: ${bytes.toString()}`));
      return Promise.resolve(near);
    };
    const socket: StepMount = { kind: 'socket', target: '/run/agent.0', connect: agent, mode: 0o600, uid: 7, gid: 8 };
    const mark = `agent-${randomBytes(6).toString('hex')}`;
    const script = `stat -c "%F %a %u" /run/agent.0; while [ ! -e /tmp/end ]; do sleep 0.05; done # ${mark}`;
    const running = fixture.run(script, { mounts: [socket] });
    running.catch(() => {});
    await until(() => processesWith(mark).length > 0, 'it runs');
    const [pid] = processesWith(mark);
    await until(() => existsSync(`/proc/${pid}/root/run/agent.0`), 'its socket is there');
    const answers = ['key 1', 'key 2'].map(async (key) => {
      const client = connect(`/proc/${pid}/root/run/agent.0`);
      client.write(key);
      return Buffer.concat(await client.toArray()).toString();
    });
    assert.deepEqual(await Promise.all(answers), ['agent: key 1', 'agent: key 2']);
    writeFileSync(`/proc/${pid}/root/tmp/end`, '');
    const ran = await running;
    assert.equal(ran.stdout, 'socket 600 7\n');
    assert.deepEqual(ran.written, ['tmp/', 'tmp/end']);
  });

  test('audit: a step that runs is no finding, what is left of one is', async () => {
    const cancel = new AbortController();
    const started = Promise.withResolvers<void>();
    const running = fixture.steps.run(fixture.step('echo ready; sleep 1000'), () => started.resolve(), cancel.signal);
    running.catch(() => {});
    await started.promise;
    const left = join(fixture.stepsDirectory, randomBytes(32).toString('hex'));
    mkdirSync(join(left, 'scaffold/run'), { recursive: true });
    const findings = await fixture.service.audit();
    assert.deepEqual(
      findings.map(({ kind, what, why }) => [kind, what, why]),
      [['directory', left, 'no step of a build runs there']],
    );
    await findings[0]?.repair?.run();
    assert.equal(existsSync(left), false);
    cancel.abort();
    await running.catch(() => {});
  });
});

suite('build steps of a daemon that was killed', { skip }, () => {
  test('are ended at the next boot: no process, cgroup, directory or entry of the runtime', async () => {
    const fixture = new StepsFixture();
    const mark = `crashed-${randomBytes(6).toString('hex')}`;
    let child: ChildProcess | null = null;
    try {
      child = spawn(
        process.execPath,
        ['--no-warnings', join(import.meta.dirname, 'steps-daemon.ts'), fixture.directory, fixture.cgroupParent, mark],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      let output = '';
      child.stdout?.on('data', (bytes: Buffer) => {
        output += bytes.toString();
      });
      await until(() => output.includes('ready') || child?.exitCode !== null, 'a step runs');
      const ended = new Promise((resolve) => child?.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      assert.ok(processesWith(mark).length > 0, 'it outlives its daemon');
      assert.ok(fixture.leftovers().length > 0);
      await fixture.open();
      assert.deepEqual(processesWith(mark), []);
      assert.deepEqual(fixture.leftovers(), []);
      assert.deepEqual(await fixture.service.audit(), []);
      assert.equal((await fixture.run('echo on')).stdout, 'on\n');
    } finally {
      child?.kill('SIGKILL');
      await fixture.dispose();
    }
  });
});

function tmpfs(target: string): StepMount {
  return { kind: 'tmpfs', target, sizeBytes: null };
}

function memoryLimits(): string | false {
  const { v1, unifiedControllers } = cgroupHost();
  return v1.has('memory') || unifiedControllers.has('memory') ? false : 'needs the memory controller';
}
