/** Calls into the kernel that do not come back: an umount, files of a file system whose server is dead, FIFOs. Others go on. Needs root, strace, busybox-static. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { engineRequest } from './engine-request.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !existsSync('/usr/bin/strace') ? 'needs strace' : false;
const noFuse = existsSync('/dev/fuse') ? false : 'needs /dev/fuse';
/** What hangs, hangs for far longer; the row's second is the soak's to hold, on a machine with nothing else to do. */
const patientMs = 5000;

suite('FAULT calls into the kernel that hang', { skip }, () => {
  let daemon: GantryDaemon;
  const children: ChildProcess[] = [];

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    await docker('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000');
  });

  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await daemon?.dispose();
  });

  test('an umount that takes its time, and binds and volumes on a file system whose server is dead, delay nobody else', {
    skip: noFuse,
  }, async () => {
    await docker('volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs', 'slow');
    await docker('run', '-d', '--name', 'user', '-v', 'slow:/v', 'busybox', 'sleep', '1000');
    const dead = `${daemon.directory}/dead`;
    mkdirSync(dead);
    await mountDead(dead);
    const tracer = await delayUmount(60);
    try {
      const stopping = docker('rm', '-f', 'user');
      const run = (...mount: string[]) => runCommand(['docker', '-H', daemon.host, 'run', '--rm', ...mount, 'busybox', 'true']);
      const onDead = [
        ...Array.from({ length: 10 }, (_, index) => run('-v', `${dead}/dir${index}:/v`)),
        run('--mount', `type=bind,source=${dead}/there,target=/v`),
      ];
      const volume = run('--mount', `type=volume,target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=${dead}/there`);
      await delay(300);
      await othersAreQuick(6);
      // Neither the container's end nor the starts wait for ever; who looks into the log, or at the error, is told what hangs.
      for (const { stderr } of await Promise.all(onDead))
        assert.match(
          stderr,
          /cannot look at the bind source .*\/dead\/.*: the file system on .*\/dead \(fuse\.dead\) does not answer within 10 s/,
        );
      await stopping;
      assert.match(daemon.log(), /volume.*unmounting.*does not come back from it within 10 s/);
      tracer.kill('SIGINT');
      await runCommand(['umount', '-f', dead]);
      await volume;
    } finally {
      tracer.kill('SIGINT');
      await runCommand(['umount', '-l', dead]);
    }
    await docker('volume', 'rm', 'slow');
  });

  test('FIFOs where files are expected stop nobody', async () => {
    const fifos = 'for f in /etc/passwd /etc/group /fifo /etc/hosts.new; do rm -f $f; mkfifo $f; done; exec sleep 1000';
    await docker('run', '-d', '--name', 'fifos', '-v', 'fifos:/v', 'busybox', 'sh', '-c', `mkfifo /v/fifo; ${fifos}`);
    await delay(300);
    const stuck = [
      ...Array.from({ length: 6 }, () =>
        runCommand(['docker', '-H', daemon.host, 'exec', '-u', 'somebody', 'fifos', 'true'], { timeoutMs: 20_000 }),
      ),
      ...Array.from({ length: 6 }, () => runCommand(['docker', '-H', daemon.host, 'cp', 'fifos:/fifo', '-'], { timeoutMs: 20_000 })),
      runCommand(['docker', '-H', daemon.host, 'cp', 'fifos:/v', '-'], { timeoutMs: 20_000 }),
      runCommand(['docker', '-H', daemon.host, 'diff', 'fifos'], { timeoutMs: 20_000 }),
      runCommand(['docker', '-H', daemon.host, 'ps', '-s'], { timeoutMs: 20_000 }),
      runCommand(['docker', '-H', daemon.host, 'system', 'df'], { timeoutMs: 20_000 }),
      runCommand(['docker', '-H', daemon.host, 'export', '-o', '/dev/null', 'fifos'], { timeoutMs: 20_000 }),
    ];
    await othersAreQuick(5);
    for (const { status } of await Promise.all(stuck)) assert.notEqual(status, 137, 'a call hangs');
    await docker('rm', '-f', '-v', 'fifos');
    await docker('volume', 'rm', 'fifos');
  });

  test('a volume whose server died holds up neither a start of the daemon nor fsck', {
    skip: existsSync('/dev/fuse') ? false : 'needs /dev/fuse',
  }, async () => {
    const tree = `${daemon.directory}/alive`;
    mkdirSync(tree);
    await docker('volume', 'create', '--opt', 'type=none', '--opt', 'o=bind', '--opt', `device=${tree}`, 'mounted');
    await docker('run', '-d', '--name', 'holder', '-v', 'mounted:/v', 'busybox', 'sleep', '1000');
    const data = `${daemon.dataRoot}/volumes/mounted/_data`;
    await mountDead(data);
    try {
      await daemon.crash();
      await daemon.restart();
      for (let round = 0; round < 8; round++) await quickly('GET', '/system/fsck');
      await othersAreQuick(3);
    } finally {
      await runCommand(['umount', '-l', data]);
    }
    await docker('rm', '-f', 'holder');
    await docker('volume', 'rm', 'mounted');
  });

  test('a daemon with a thread that the kernel keeps stops all the same', {
    skip: existsSync('/dev/fuse') ? false : 'needs /dev/fuse',
  }, async () => {
    const dead = `${daemon.directory}/dead2`;
    mkdirSync(dead);
    await mountDead(dead);
    try {
      const stuck = runCommand(['docker', '-H', daemon.host, 'run', '--rm', '-v', `${dead}/x:/v`, 'busybox', 'true']);
      await delay(1000);
      await daemon.stop();
      await stuck;
    } finally {
      await runCommand(['umount', '-l', dead]);
    }
    await daemon.restart();
  });

  async function othersAreQuick(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const name = `quick-${round}-${Date.now()}`;
      await quickly('GET', '/_ping');
      await quickly('GET', '/containers/json?all=1');
      await quickly('GET', '/containers/other/json');
      await quickly('GET', '/volumes');
      await quickly('POST', `/containers/create?name=${name}`, {
        Image: 'busybox',
        Cmd: ['sleep', '1000'],
        HostConfig: { NetworkMode: 'none' },
      });
      await quickly('POST', `/containers/${name}/start`);
      await quickly('GET', `/containers/${name}/logs?stdout=1`);
      await quickly('DELETE', `/containers/${name}?force=1`);
    }
  }

  async function quickly(method: string, path: string, body?: unknown): Promise<void> {
    const started = performance.now();
    const reply = await Promise.race([engineRequest(daemon.host, method, path, body), delay(10_000, null)]);
    const elapsedMs = performance.now() - started;
    assert.ok(reply !== null && reply.status < 300, `${method} ${path}: ${reply?.status ?? 'no answer'} ${reply?.body ?? ''}`);
    assert.ok(elapsedMs < patientMs, `${method} ${path} took ${Math.round(elapsedMs)} ms`);
  }

  /** Every umount2 of the daemon begins so many seconds late. */
  async function delayUmount(seconds: number): Promise<ChildProcess> {
    const inject = `inject=umount2:delay_enter=${seconds}000000`;
    const tracer = spawn('strace', ['-f', '-qq', '-p', String(daemon.pid), '-e', 'trace=umount2', '-e', inject], { stdio: 'ignore' });
    children.push(tracer);
    await delay(1500);
    return tracer;
  }

  /** A FUSE file system that answers its first question and no other. */
  async function mountDead(path: string): Promise<void> {
    const script = `
import os, struct, ctypes, sys, time
fd = os.open('/dev/fuse', os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
data = f'fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
if libc.mount(b'dead', sys.argv[1].encode(), b'fuse.dead', 0, data) != 0: sys.exit(os.strerror(ctypes.get_errno()))
request = os.read(fd, 1 << 20)
unique = struct.unpack_from('<IIQ', request)[2]
init = struct.pack('<IIIIHHIIHHIIII', 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, 0, 0, 0) + bytes(8)
os.write(fd, struct.pack('<IiQ', 16 + len(init), 0, unique) + init)
print('mounted', flush=True)
time.sleep(1000)`;
    const server = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(server);
    await new Promise<void>((resolve, reject) => {
      server.stdout?.once('data', () => resolve());
      server.once('exit', (code) => reject(new Error(`the dead file system could not be mounted (${code})`)));
    });
  }

  async function docker(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runCommand(['docker', '-H', daemon.host, ...args]);
    assert.equal(status, 0, `docker ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }
});
