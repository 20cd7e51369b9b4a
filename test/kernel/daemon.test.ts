/** The daemon as a process: readiness, sockets, locks, stop, logs, side by side. Needs root and the docker command line. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';
import { programEntry } from '../harness/program.ts';

const launcher = fileURLToPath(new URL('../../build/native/gantry-launcher', import.meta.url));
const skip =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync('/usr/local/bin/docker') && !existsSync('/usr/bin/docker')
      ? 'needs the docker command line'
      : !existsSync(launcher)
        ? 'needs the native helper (make -C native)'
        : false;

interface Daemon {
  readonly child: ChildProcess;
  readonly socket: string;
  readonly directory: string;
  stdout(): string;
  stderr(): string;
}

let base = '';
const started: ChildProcess[] = [];

/** Starts without waiting. `own` names its directories; the same name again is the same data root. */
function launch(own: string, flags: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Daemon {
  const directory = join(base, own);
  mkdirSync(directory, { recursive: true });
  const roots = ['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'run')];
  const host = flags.includes('-H') ? [] : ['-H', `unix://${directory}/g.sock`];
  const child = spawn(process.execPath, ['--no-warnings', programEntry, 'daemon', ...host, ...roots, ...flags], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text.err += chunk;
  });
  return { child, directory, socket: `${directory}/g.sock`, stdout: () => text.out, stderr: () => text.err };
}

async function start(own: string, flags: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Daemon> {
  const daemon = launch(own, flags, environment);
  await until(
    () => daemon.stdout().includes('ready ') || daemon.child.exitCode !== null,
    () => `not ready: ${daemon.stderr()}`,
  );
  assert.equal(daemon.child.exitCode, null, daemon.stderr());
  return daemon;
}

async function stop({ child }: Daemon, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
  return child.exitCode;
}

async function refusal(own: string, flags: readonly string[]): Promise<string> {
  const daemon = launch(own, flags);
  await once(daemon.child, 'close');
  assert.equal(daemon.child.exitCode, 1, daemon.stderr());
  return daemon.stderr();
}

async function docker(daemon: Daemon, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(['docker', '-H', `unix://${daemon.socket}`, ...args]);
  assert.equal(status, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function until(test: () => boolean, otherwise: () => string): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (test()) return;
    await delay(50);
  }
  assert.fail(otherwise());
}

describe('the daemon', { skip }, () => {
  before(() => {
    base = mkdtempSync(join(tmpdir(), 'g-daemon-'));
  });
  after(async () => {
    for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true, maxRetries: 5 });
  });

  it('says ready with its address, serves, and leaves nothing of its own behind on SIGTERM', async () => {
    const pidfile = join(base, 'pid');
    const daemon = await start('plain', ['--pidfile', pidfile]);
    assert.equal(daemon.stdout(), `ready unix://${daemon.socket}\n`);
    assert.equal(readFileSync(pidfile, 'utf8'), `${daemon.child.pid}\n`);
    assert.equal(statSync(daemon.socket).mode & 0o777, 0o660);
    assert.equal(statSync(join(daemon.directory, 'data')).mode & 0o777, 0o700);
    assert.match(await docker(daemon, 'run', '--rm', 'hello-world'), /Hello from Gantry/);
    assert.equal(await stop(daemon), 0);
    assert.equal(existsSync(daemon.socket), false);
    assert.equal(existsSync(pidfile), false);
  });

  it('refuses a second daemon on the same data root, naming the first', async () => {
    const daemon = await start('held');
    const text = await refusal('held', ['-H', `unix://${base}/other.sock`]);
    assert.match(text, new RegExp(`the data root .*/held/data is in use by the daemon with process id ${daemon.child.pid}`));
    assert.match(text, /--data-root/);
    assert.match(await docker(daemon, 'version'), /Gantry/);
    await stop(daemon);
  });

  it('refuses the socket of a living daemon and takes over that of a dead one', async () => {
    const first = await start('first');
    assert.match(await refusal('second', ['-H', `unix://${first.socket}`]), /another daemon answers there/);
    await stop(first, 'SIGKILL');
    assert.ok(existsSync(first.socket));
    const again = await start('first');
    await docker(again, 'version');
    await stop(again);
    writeFileSync(join(base, 'file'), '');
    assert.match(await refusal('second', ['-H', `unix://${base}/file`]), /a file that is no socket is there/);
  });

  it('reads its configuration again at SIGHUP, and says what waits for a restart', async () => {
    const config = join(base, 'reload.json');
    writeFileSync(config, JSON.stringify({ labels: ['a=1'] }));
    const daemon = await start('reload', ['--config-file', config]);
    const reload = async (text: string, seen: RegExp) => {
      writeFileSync(config, text);
      daemon.child.kill('SIGHUP');
      await until(
        () => seen.test(daemon.stderr()),
        () => daemon.stderr(),
      );
    };
    await reload(JSON.stringify({ labels: ['a=2'], debug: true, mtu: 1400 }), /wait for a restart of the daemon.* options=\["mtu"\]/);
    assert.equal(await docker(daemon, 'info', '-f', '{{.Labels}} {{.Debug}}'), '[a=2] true');
    await reload('{', /nothing was changed/);
    assert.equal(await docker(daemon, 'info', '-f', '{{.Labels}}'), '[a=2]');
    await stop(daemon);
  });

  it('ends containers with the machine (SIGPWR); those that restart always come back with it', async () => {
    const daemon = await start('power');
    await docker(daemon, 'pull', '-q', 'busybox');
    const script = 'trap "exit 3" TERM; while :; do sleep 0.1; done';
    for (const policy of ['no', 'unless-stopped'])
      await docker(daemon, 'run', '-d', '--name', `p-${policy}`, '--restart', policy, 'busybox', 'sh', '-c', script);
    assert.equal(await stop(daemon, 'SIGPWR'), 0);
    const again = await start('power');
    for (let attempt = 0; attempt < 100 && !(await docker(again, 'ps', '--format', '{{.Names}}')).includes('p-unless'); attempt++)
      await delay(50);
    assert.equal(await docker(again, 'ps', '--format', '{{.Names}}'), 'p-unless-stopped');
    assert.equal(await docker(again, 'inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'p-no'), 'exited 3');
    await docker(again, 'rm', '-f', 'p-no', 'p-unless-stopped');
    await stop(again);
  });

  it('leaves containers running when it stops, and finds them again', async () => {
    const daemon = await start('live');
    await docker(daemon, 'pull', '-q', 'busybox');
    const id = await docker(daemon, 'run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /end ]; do sleep 0.1; done; exit 9');
    assert.equal(await stop(daemon), 0);
    const again = await start('live');
    assert.equal(await docker(again, 'inspect', '-f', '{{.State.Status}}', id), 'running');
    await docker(again, 'exec', id, 'touch', '/end');
    assert.equal(await docker(again, 'wait', id), '9');
    await docker(again, 'rm', id);
    await stop(again);
  });

  it('--live-restore=false stops containers with it, and docker run gets its exit code', async () => {
    const daemon = await start('stops', ['--live-restore=false']);
    await docker(daemon, 'pull', '-q', 'busybox');
    const run = runCommand([
      'docker',
      '-H',
      `unix://${daemon.socket}`,
      'run',
      'busybox',
      'sh',
      '-c',
      'trap "exit 5" TERM; while :; do sleep 0.1; done',
    ]);
    await until(
      () => readFileSync('/proc/self/mounts') !== null,
      () => '',
    );
    while ((await docker(daemon, 'ps', '-q')) === '') await delay(50);
    assert.equal(await stop(daemon), 0);
    assert.equal((await run).status, 5);
    const again = await start('stops');
    assert.match(await docker(again, 'ps', '-a', '--format', '{{.Status}}'), /^Exited \(5\)/);
    await docker(again, 'container', 'prune', '-f');
    await stop(again);
  });

  it('two side by side do not know of each other', async () => {
    const [one, two] = await Promise.all([start('one'), start('two')]);
    await Promise.all([one, two].map((daemon) => docker(daemon, 'pull', '-q', 'busybox')));
    const [idOne, idTwo] = await Promise.all(
      [one, two].map((daemon) => docker(daemon, 'run', '-d', '--name', 'same', 'busybox', 'sleep', '60')),
    );
    assert.notEqual(idOne, idTwo);
    assert.notEqual(await docker(one, 'info', '-f', '{{.ID}}'), await docker(two, 'info', '-f', '{{.ID}}'));
    await stop(one, 'SIGKILL');
    assert.equal(await docker(two, 'exec', 'same', 'echo', 'here'), 'here');
    await docker(two, 'rm', '-f', 'same');
    const again = await start('one');
    assert.equal(await docker(again, 'inspect', '-f', '{{.State.Status}}', 'same'), 'running');
    await docker(again, 'rm', '-f', 'same');
    await Promise.all([stop(again), stop(two)]);
  });

  it('answers _ping quickly under load', async () => {
    const daemon = await start('busy');
    await docker(daemon, 'pull', '-q', 'busybox');
    const load = Promise.all(
      Array.from({ length: 8 }, () => docker(daemon, 'run', '--rm', 'busybox', 'sh', '-c', 'head -c 20000000 /dev/zero')),
    );
    let slowestMs = 0;
    let done = false;
    void load.finally(() => {
      done = true;
    });
    while (!done) {
      const before = performance.now();
      await await fetchUnix(daemon.socket, '/_ping');
      slowestMs = Math.max(slowestMs, performance.now() - before);
      await delay(10);
    }
    await load;
    assert.ok(slowestMs < 2000, `the slowest ping took ${slowestMs} ms`);
    await stop(daemon);
  });

  it('writes JSON logs that no client can forge', async () => {
    const daemon = await start('logs', ['--log-format=json', '--label', 'a=b']);
    assert.match(await docker(daemon, 'info', '-f', '{{.Labels}}'), /a=b/);
    await stop(daemon);
    const lines = daemon
      .stderr()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(lines.every((line) => typeof line.level === 'string' && typeof line.time === 'string' && typeof line.msg === 'string'));
  });

  it('tells the service manager when it is ready and when it stops', async () => {
    const notified = join(base, 'notify.sock');
    const listener = spawn('python3', [
      '-c',
      `import socket\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(${JSON.stringify(notified)})\nprint("bound",flush=True)\nfor _ in range(2): print(s.recv(100).decode(),flush=True)`,
    ]);
    started.push(listener);
    let heard = '';
    listener.stdout.on('data', (chunk) => {
      heard += chunk;
    });
    await until(
      () => heard.includes('bound'),
      () => 'no python3',
    );
    const daemon = await start('notified', [], { NOTIFY_SOCKET: notified });
    await stop(daemon);
    await until(
      () => heard.includes('READY=1\nSTOPPING=1'),
      () => heard,
    );
  });
});

describe('where a daemon may be', { skip }, () => {
  before(() => {
    base = mkdtempSync(join(tmpdir(), 'g-daemon-'));
  });
  after(() => {
    for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    rmSync(base, { recursive: true, force: true });
  });

  it('takes a socket that was passed to it (fd://)', async () => {
    const path = join(base, 'passed.sock');
    const pass = [
      'import os, socket, sys',
      's = socket.socket(socket.AF_UNIX)',
      `s.bind(${JSON.stringify(path)})`,
      's.listen()',
      'os.dup2(s.fileno(), 3)',
      'os.set_inheritable(3, True)',
      'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))',
      'os.execv(sys.argv[1], sys.argv[1:])',
    ].join('\n');
    const roots = ['--data-root', join(base, 'data'), '--exec-root', join(base, 'run')];
    const child = spawn('python3', ['-c', pass, process.execPath, '--no-warnings', programEntry, 'daemon', '-H', 'fd://', ...roots], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    await until(
      () => out.includes('ready fd://'),
      () => out,
    );
    assert.equal(await fetchUnix(path, '/_ping'), 200);
    child.kill('SIGTERM');
    await once(child, 'exit');
    assert.equal(child.exitCode, 0);
  });

  it('not on overlayfs: it says what to do instead', async (test) => {
    const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'options'].map((name) => join(base, name));
    for (const directory of [lower, upper, work, merged]) mkdirSync(String(directory), { recursive: true });
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const mounted = await runCommand(['mount', '-t', 'overlay', 'overlay', '-o', options, String(merged)]);
    if (mounted.status !== 0) {
      test.skip(`needs a mount of overlayfs: ${mounted.stderr.trim()}`);
      return;
    }
    try {
      assert.match(await refusal('options', []), /lies on overlayfs.*give --data-root a directory on another file system/);
    } finally {
      await runCommand(['umount', String(merged)]);
    }
  });
});

describe('daemon options', { skip }, () => {
  before(() => {
    base = mkdtempSync(join(tmpdir(), 'g-daemon-'));
  });
  after(() => rmSync(base, { recursive: true, force: true }));

  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['-H', 'tcp://127.0.0.1:2375'], /--tlsverify/],
    [['-H', 'unix://relative'], /write unix:\/\/\/absolute\/path/],
    [['--bip', 'nonsense'], /--bip/],
    [['--nonsense'], /unknown flag: --nonsense/],
    [['extra'], /takes no arguments/],
    [['--log-level', 'loud'], /One of debug, info, warn, error, fatal/],
    [['--label', 'novalue'], /A label is KEY=VALUE/],
    [['--data-root'], /flag needs an argument: --data-root/],
    [['--group', 'no-such-group'], /there is no such group/],
    [['--config-file', '/nowhere.json'], /cannot read the configuration file \/nowhere.json/],
    [['-H', 'fd://'], /no socket was passed/],
  ];
  for (const [flags, expected] of refused) {
    it(`refuses ${flags.join(' ')}`, async () => assert.match(await refusal('options', flags), expected));
  }

  it('reads the configuration file, and names what is wrong in it', async () => {
    const file = join(base, 'daemon.json');
    const write = (config: unknown) => writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
    write({ labels: ['from=file'], 'live-restore': true });
    const daemon = await start('file', ['--config-file', file]);
    assert.match(await docker(daemon, 'info', '-f', '{{.Labels}}'), /from=file/);
    await stop(daemon);
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [{ nonsense: 1 }, /unknown key: nonsense/],
      [{ 'metrics-addr': ':9' }, /metrics-addr :9 is not supported yet/],
      [{ 'registry-mirrors': ['mirror'] }, /--registry-mirror: "mirror" invalid mirror: must use either/],
      [{ 'live-restore': 'yes' }, /live-restore must be true or false/],
      ['{', /is not JSON/],
      [[], /must hold a JSON object/],
    ];
    for (const [config, expected] of cases) {
      write(config);
      assert.match(await refusal('file', ['--config-file', file]), expected);
    }
    write({ labels: ['a=b'] });
    assert.match(await refusal('file', ['--config-file', file, '--label', 'c=d']), /both as a flag and in the configuration file: label/);
  });

  it('an unprivileged or foreign thing at the socket path stays', async () => {
    const path = join(base, 'foreign.sock');
    const server = createServer().listen(path);
    await once(server, 'listening');
    assert.match(await refusal('foreign', ['-H', `unix://${path}`]), /another daemon answers there/);
    server.close();
  });
});

async function fetchUnix(socketPath: string, path: string): Promise<number> {
  const { get } = await import('node:http');
  return new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
}
