/**
 * The contract of `runtime.ts` as tests: every runtime passes them. The caller brings a runtime over a root file system with busybox, as root.
 * Needs nothing of the network and leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerId } from '../base/brand.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';
import { openProcess, takeDescriptor } from '../linux/pidfd.ts';
import type { Hook, HookPoint, Hooks, RuntimeSpec } from '../oci/runtime-spec.ts';
import type {
  AttachRequest,
  ExitStatus,
  KeptByMonitor,
  Rootfs,
  RunningContainer,
  Runtime,
  StartRequest,
  StdinMode,
  StdioStream,
} from './runtime.ts';
import { StartError } from './runtime.ts';

export interface RuntimeFixture {
  readonly runtime: Runtime;
  /** A fresh root file system for one container. */
  rootfs(): Rootfs;
  /** A spec that runs `args` in namespaces of its own and a cgroup named after the id. */
  spec(id: ContainerId, args: readonly string[], changes?: SpecChanges): RuntimeSpec;
  logPath(id: ContainerId): string;
  /** As after a SIGKILL of the daemon: a new runtime object over the same state; the old one is cut off without a word. */
  restart(): Promise<Runtime>;
  /** Whether a memory limit can be set, null, or the reason why not. */
  readonly whyNoMemoryLimit: string | null;
  dispose(): Promise<void>;
}

export interface SpecChanges {
  readonly terminal?: boolean;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly memoryLimitBytes?: number;
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly hooks?: Hooks;
}

interface Launch extends SpecChanges {
  readonly attach?: AttachRequest;
  readonly stdin?: StdinMode;
  readonly log?: { readonly maxSizeBytes: number; readonly maxFiles: number };
  readonly keep?: readonly KeptDescriptor[];
}

const everything: AttachRequest = { stdin: true, stdout: true, stderr: true };
const output: AttachRequest = { stdin: false, stdout: true, stderr: true };

export function newContainerId(): ContainerId {
  return randomBytes(32).toString('hex') as ContainerId;
}

/** Docker's frames taken apart: the bytes of each stream. */
class Demultiplexed {
  readonly #pieces: Record<number, Buffer[]> = { 1: [], 2: [], 3: [] };
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): void {
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (all.length >= 8) {
      const end = 8 + all.readUInt32BE(4);
      if (all.length < end) break;
      this.#pieces[all.readUInt8(0)]?.push(all.subarray(8, end));
      all = all.subarray(end);
    }
    this.#rest = all;
  }

  text(stream: 1 | 2 | 3): string {
    return Buffer.concat(this.#pieces[stream] ?? []).toString();
  }
}

export async function readAll(stream: StdioStream): Promise<Demultiplexed> {
  const read = new Demultiplexed();
  for await (const bytes of stream) read.push(bytes as Buffer);
  return read;
}

async function readRaw(stream: StdioStream): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const bytes of stream) pieces.push(bytes as Buffer);
  return Buffer.concat(pieces).toString();
}

/** Reads until the text has come. */
async function readUntil(stream: StdioStream, text: string): Promise<string> {
  let all = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const onData = (bytes: Buffer): void => {
    all += bytes.toString();
    if (all.includes(text)) resolve(all);
  };
  stream.on('data', onData).once('end', () => reject(new Error(`the stream ended before ${JSON.stringify(text)}: ${JSON.stringify(all)}`)));
  try {
    return await promise;
  } finally {
    stream.off('data', onData);
    stream.pause();
  }
}

function known(exit: ExitStatus | 'lost'): ExitStatus {
  assert.notEqual(exit, 'lost');
  return exit as ExitStatus;
}

function commandLines(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** The descriptor kept under the label, back in this process. */
function takeBack({ pid, descriptors }: KeptByMonitor, label: string): number {
  const kept = descriptors.find((descriptor) => descriptor.label === label);
  assert.ok(kept !== undefined, `${label} is not kept`);
  const process = openProcess(pid);
  try {
    return takeDescriptor(process, kept.fd);
  } finally {
    closeSync(process);
  }
}

async function listen(server: Server, options: { port: number; host: string } | { fd: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options, resolve));
}

function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

async function greetingOf(port: number): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of connect(port, '127.0.0.1')) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

export function runtimeSuite(name: string, open: () => Promise<RuntimeFixture>): void {
  describe(`runtime ${name}`, { timeout: 120_000 }, () => {
    let fixture: RuntimeFixture;
    before(async () => {
      fixture = await open();
    });
    after(() => fixture?.dispose());

    function request(args: readonly string[], launch: Launch = {}, id = newContainerId()): StartRequest {
      const { attach, stdin = 'null', log, keep = [], ...changes } = launch;
      return {
        id,
        spec: fixture.spec(id, args, changes),
        rootfs: fixture.rootfs(),
        log: log === undefined ? null : { path: fixture.logPath(id), ...log },
        stdin,
        attachments: attach === undefined ? [] : [attach],
        keep,
      };
    }

    async function start(args: readonly string[], launch: Launch = {}, runtime = fixture.runtime): Promise<RunningContainer> {
      return runtime.start(request(args, launch));
    }

    async function finish(container: RunningContainer): Promise<ExitStatus> {
      const exit = known(await container.exited);
      await container.release();
      return exit;
    }

    async function runSh(script: string, launch: Launch = {}): Promise<{ exit: ExitStatus; out: string; err: string }> {
      const container = await start(['sh', '-c', script], { attach: output, ...launch });
      const read = await readAll(container.attached[0] as StdioStream);
      return { exit: await finish(container), out: read.text(1), err: read.text(2) };
    }

    it('start: reports pid and time, and the exit code', async () => {
      const container = await start(['sh', '-c', 'exit 42']);
      assert.ok(container.pid > 1);
      assert.ok(Math.abs(container.startedAt.getTime() - Date.now()) < 60_000);
      const exit = await finish(container);
      assert.equal(exit.code, 42);
      assert.equal(exit.oomKilled, false);
      assert.equal(exit.note, null);
    });

    it('start: an attachment made before the start sees the first byte and both streams apart', async () => {
      const { exit, out, err } = await runSh('echo out; echo err >&2; exit 3');
      assert.deepEqual({ code: exit.code, out, err }, { code: 3, out: 'out\n', err: 'err\n' });
    });

    it('start: what is not there is 127, what cannot run is 126, and nothing is left', async () => {
      const cases = [
        ['no-such-program', 127, /exec: "no-such-program": executable file not found in \$PATH/],
        ['/no/such/program', 127, /\/no\/such\/program.*no such file or directory/],
        // runc of a Go before 1.20 calls a directory "permission denied".
        ['/etc', 126, /is a directory|permission denied/],
        ['/etc/passwd', 126, /permission denied/],
      ] as const;
      for (const [program, exitCode, message] of cases) {
        const attempt = request([program], { attach: output });
        const failure = await fixture.runtime.start(attempt).then(
          () => assert.fail(`${program} was started`),
          (thrown: unknown) => thrown,
        );
        assert.ok(failure instanceof StartError, String(failure));
        assert.match(failure.message, message);
        assert.equal(failure.exitCode, exitCode);
        assert.equal(await fixture.runtime.adopt(attempt.id), 'lost');
      }
    });

    it('start: the same id again after a failed start and after an exit', async () => {
      const id = newContainerId();
      await assert.rejects(fixture.runtime.start(request(['no-such-program'], {}, id)), StartError);
      for (let i = 0; i < 3; i++) {
        const container = await fixture.runtime.start(request(['sh', '-c', `exit ${i}`], {}, id));
        assert.equal((await finish(container)).code, i);
      }
    });

    it('start: a running id is a conflict', async () => {
      const id = newContainerId();
      const container = await fixture.runtime.start(request(['sleep', '100'], {}, id));
      try {
        await assert.rejects(fixture.runtime.start(request(['true'], {}, id)), { code: 'conflict' });
      } finally {
        await container.kill(9, 'init');
        assert.equal((await finish(container)).code, 137);
      }
    });

    it('kill: a signal ends it with 128 + n, and is a conflict after the end', async () => {
      const container = await start(['sh', '-c', 'trap "exit 7" USR1; while :; do sleep 0.05; done']);
      await delay(100);
      await container.kill(10, 'init');
      const exit = known(await container.exited);
      assert.equal(exit.code, 7);
      await assert.rejects(container.kill(9, 'init'), { code: 'conflict' });
      await container.release();
      const other = await start(['sleep', '100']);
      await other.kill(9, 'all');
      assert.equal((await finish(other)).code, 137);
    });

    it('stdin once: the half-close of the first client is end of file, and all bytes arrive', async () => {
      const container = await start(['sha256sum'], { attach: everything, stdin: 'once' });
      const stream = container.attached[0] as StdioStream;
      stream.end(Buffer.alloc(1_000_000, 'x'));
      const read = await readAll(stream);
      assert.match(read.text(1), /^[0-9a-f]{64} {2}-\n$/);
      assert.equal((await finish(container)).code, 0);
    });

    it('stdin once: a client that goes away entirely does not end it', async () => {
      const container = await start(['sh', '-c', 'read line; echo "got $line"'], { attach: everything, stdin: 'once' });
      container.attached[0]?.destroy();
      await delay(50);
      const second = await container.attach(everything);
      second.write('hello\n');
      assert.equal((await readAll(second)).text(1), 'got hello\n');
      await finish(container);
    });

    it('stdin open: stays open after a half-close, closeStdin ends it', async () => {
      const container = await start(['cat'], { attach: everything, stdin: 'open' });
      const stream = container.attached[0] as StdioStream;
      stream.end('one\n');
      await delay(50);
      const second = await container.attach(everything);
      second.write('two\n');
      await readUntil(second, 'two');
      await container.closeStdin();
      assert.equal((await readAll(stream)).text(1), 'one\ntwo\n');
      await finish(container);
    });

    it('streams: output of the last moment is never lost', async () => {
      for (let i = 0; i < 25; i++) {
        const { out, exit } = await runSh(`i=0; while [ $i -lt 20 ]; do echo "line $i of run ${i}"; i=$((i+1)); done; exit 5`);
        assert.equal(out.split('\n').length, 21, `run ${i}: ${out}`);
        assert.equal(exit.code, 5);
      }
    });

    it('streams: a full pipe at the end comes through although the client reads late', async () => {
      const container = await start(['sh', '-c', 'dd if=/dev/zero bs=1k count=300 2>/dev/null'], { attach: output });
      await delay(300); // it pushes back on the process: not read, not ended
      const read = await readAll(container.attached[0] as StdioStream);
      assert.equal(read.text(1).length, 300 * 1024);
      await finish(container);
    });

    it('exit: a client that never reads does not delay it', async () => {
      const container = await start(['sh', '-c', 'echo something; exit 9'], { attach: output });
      const exit = known(await container.exited);
      assert.equal(exit.code, 9);
      assert.equal((await readAll(container.attached[0] as StdioStream)).text(1), 'something\n');
      await container.release();
    });

    it('exit: children left behind are killed', async () => {
      const { out, exit } = await runSh('sleep 1000 & echo started');
      assert.equal(out, 'started\n');
      assert.equal(exit.code, 0);
    });

    it('exec: streams, exit code, environment of its own, and the end of stdin', async () => {
      const container = await start(['sleep', '1000']);
      const exec = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'cat; echo "$COLOUR" >&2; exit 11'], { env: ['PATH=/bin', 'COLOUR=green'] }),
        ...everything,
      });
      exec.stream?.end('through exec');
      const read = await readAll(exec.stream as StdioStream);
      assert.deepEqual([read.text(1), read.text(2), await exec.exited], ['through exec', 'green\n', 11]);
      await container.kill(9, 'init');
      await finish(container);
    });

    it('exec: is in the namespaces of the container, fails as start does, and many at once work', async () => {
      const container = await start(['sleep', '1000']);
      const run = async (script: string): Promise<string> => {
        const exec = await container.exec({ id: newContainerId(), spec: fixture.spec(container.id, ['sh', '-c', script]), ...output });
        const text = (await readAll(exec.stream as StdioStream)).text(1);
        assert.equal(await exec.exited, 0);
        return text;
      };
      assert.match(await run('cat /proc/1/cmdline'), /^sleep/);
      assert.deepEqual(
        await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => run(`echo ${n}`))),
        [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `${n}\n`),
      );
      const failing = { id: newContainerId(), spec: fixture.spec(container.id, ['nowhere']), ...output };
      await assert.rejects(container.exec(failing), (thrown) => thrown instanceof StartError && thrown.exitCode === 127);
      await container.kill(9, 'init');
      await finish(container);
      await assert.rejects(container.exec(failing), { code: 'conflict' });
    });

    it('exec: without streams, and with a child in the background that holds the pipe', async () => {
      const container = await start(['sleep', '1000']);
      const silent = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'echo unheard; exit 4']),
        stdin: false,
        stdout: false,
        stderr: false,
      });
      assert.equal(silent.stream, null);
      assert.equal(await silent.exited, 4);
      const quick = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'sleep 1000 & echo bye']),
        ...output,
      });
      assert.equal((await readAll(quick.stream as StdioStream)).text(1), 'bye\n');
      assert.equal(await quick.exited, 0);
      await container.kill(9, 'init');
      await finish(container);
    });

    it('terminal: one raw stream, its size, resize, and output until the end', async () => {
      const container = await start(['sh', '-c', 'tty; stty size; read x; stty size; echo last'], {
        terminal: true,
        attach: everything,
        stdin: 'open',
        consoleSize: { height: 30, width: 100 },
      });
      const stream = container.attached[0] as StdioStream;
      const first = await readUntil(stream, '30 100');
      assert.match(first, /^\/dev\/(console|pts\/0)\r\n30 100/);
      await container.resize(50, 132);
      stream.write('go\n');
      assert.match(await readRaw(stream), /50 132\r\nlast\r\n$/);
      assert.equal((await finish(container)).code, 0);
    });

    it('terminal: exec with one', async () => {
      const container = await start(['sleep', '1000']);
      const exec = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'read x; stty size; tty'], { terminal: true }),
        ...everything,
      });
      await exec.resize(11, 22);
      exec.stream?.write('go\n');
      assert.match(await readRaw(exec.stream as StdioStream), /11 22\r\n\/dev\/pts\/\d+\r\n$/);
      assert.equal(await exec.exited, 0);
      await container.kill(9, 'init');
      await finish(container);
    });

    it('log: json-file records, and its position is told', async () => {
      const { exit, id, position } = await runLogged('printf "a<b>\\n"; sleep 0.05; echo oops >&2; printf unfinished', {
        maxSizeBytes: 0,
        maxFiles: 1,
      });
      assert.equal(exit.code, 0);
      const text = readFileSync(fixture.logPath(id), 'utf8');
      assert.equal(position, Buffer.byteLength(text));
      assert.match(
        text.split('\n')[0] ?? '',
        /^\{"log":"a\\u003cb\\u003e\\n","stream":"stdout","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"\}$/,
      );
      const records = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { log: string; stream: string });
      assert.deepEqual(
        records.map(({ log, stream }) => [stream, log]),
        [
          ['stdout', 'a<b>\n'],
          ['stderr', 'oops\n'],
          ['stdout', 'unfinished'],
        ],
      );
    });

    it('log: rotated by size, within its number of files', async () => {
      const { id } = await runLogged('i=0; while [ $i -lt 400 ]; do echo "some line number $i"; i=$((i+1)); done', {
        maxSizeBytes: 8192,
        maxFiles: 3,
      });
      const files = ['', '.1', '.2'].map((suffix) => readFileSync(`${fixture.logPath(id)}${suffix}`, 'utf8'));
      for (const text of files) {
        assert.ok(text.length < 8192 + 200);
        for (const line of text.trimEnd().split('\n')) JSON.parse(line);
      }
      assert.throws(() => readFileSync(`${fixture.logPath(id)}.3`));
      assert.match(files[0] ?? '', /some line number 399/);
    });

    it('adopt: after a restart of the daemon output, log, execs and exit are as if nothing had happened', async () => {
      const container = await start(['sh', '-c', 'echo before; read x; echo "after $x"; read y; exit 23'], {
        attach: everything,
        stdin: 'once',
        log: { maxSizeBytes: 0, maxFiles: 1 },
      });
      await readUntil(container.attached[0] as StdioStream, 'before');
      const running = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'sleep 0.3; exit 31']),
        ...output,
      });
      const ended = await container.exec({
        id: newContainerId(),
        spec: fixture.spec(container.id, ['sh', '-c', 'sleep 0.01; exit 32']),
        ...output,
      });
      const runtime = await fixture.restart();
      await delay(50);
      const adopted = await runtime.adopt(container.id);
      assert.ok(adopted !== 'lost' && 'pid' in adopted, String(adopted));
      assert.equal(adopted.pid, container.pid);
      assert.equal(adopted.startedAt.getTime(), container.startedAt.getTime());
      assert.ok(adopted.logPosition.sizeBytes > 0);
      const codes = await Promise.all(adopted.adoptedExecs.map(async (exec) => [exec.id, await exec.exited] as const));
      assert.deepEqual(
        new Map(codes),
        new Map([
          [running.id, 31],
          [ended.id, 32],
        ]),
      );
      const stream = await adopted.attach(everything);
      stream.write('again\n');
      await readUntil(stream, 'after again');
      stream.write('\n');
      assert.equal((await finish(adopted)).code, 23);
    });

    it('adopt: an exit that nobody saw is told, and an unknown id is lost', async () => {
      const container = await start(['sh', '-c', 'sleep 0.1; exit 24']);
      const runtime = await fixture.restart();
      await delay(300);
      const exit = await runtime.adopt(container.id);
      assert.ok(exit !== 'lost' && 'code' in exit, String(exit));
      assert.equal(exit.code, 24);
      assert.equal(await runtime.adopt(newContainerId()), 'lost');
    });

    it('keep: a listening socket survives a restart of the daemon and accepts again', async () => {
      const server = createServer((socket) => socket.end('first')).unref();
      await listen(server, { port: 0, host: '127.0.0.1' });
      const { port } = server.address() as { port: number };
      const container = await start(['sh', '-c', 'ls -l /proc/self/fd/ 2>/dev/null | wc -l; sleep 1000'], {
        keep: [{ label: `tcp ${port}`, fd: descriptorOf(server) }],
        attach: output,
      });
      const seen = await readUntil(container.attached[0] as StdioStream, '\n');
      assert.match(seen, /5\n$/, 'the container has none of it');
      await new Promise((done) => server.close(done));
      const runtime = await fixture.restart();
      const adopted = (await runtime.adopt(container.id)) as RunningContainer;
      assert.deepEqual(
        adopted.kept.descriptors.map(({ label }) => label),
        [`tcp ${port}`],
      );
      const again = createServer((socket) => socket.end('again')).unref();
      await listen(again, { fd: takeBack(adopted.kept, `tcp ${port}`) });
      assert.equal(await greetingOf(port), 'again');
      await new Promise((done) => again.close(done));
      await adopted.kill(9, 'init');
      await finish(adopted);
      await assert.rejects(greetingOf(port), { code: 'ECONNREFUSED' }, 'closed with its monitor');
    });

    it('keep: a new set pulls what is new, leaves what stays and closes what goes; a wrong number changes nothing', async () => {
      const files = ['a', 'b', 'c'].map((name) => openSync(`/proc/self/${{ a: 'status', b: 'limits', c: 'maps' }[name]}`, 'r'));
      const [a = 0, b = 0, c = 0] = files;
      const container = await start(['sleep', '1000'], {
        keep: [
          { label: 'a', fd: a },
          { label: 'b', fd: b },
        ],
      });
      const monitorFile = (label: string): string => {
        const kept = container.kept.descriptors.find((descriptor) => descriptor.label === label);
        return readlinkSync(`/proc/${container.kept.pid}/fd/${kept?.fd}`);
      };
      const before = container.kept;
      await container.keep([
        { label: 'b', fd: 1_000_000 },
        { label: 'c', fd: c },
      ]);
      assert.deepEqual(
        container.kept.descriptors.map(({ label }) => label),
        ['b', 'c'],
      );
      assert.match(monitorFile('b'), /limits$/);
      assert.match(monitorFile('c'), /maps$/);
      assert.throws(() => readlinkSync(`/proc/${before.pid}/fd/${before.descriptors.find(({ label }) => label === 'a')?.fd}`));
      await assert.rejects(container.keep([{ label: 'd', fd: 1_000_000 }]));
      assert.match(monitorFile('b'), /limits$/);
      for (const file of files) closeSync(file);
      await container.kill(9, 'init');
      await finish(container);
    });

    it('keep: a descriptor that cannot be taken fails the start, and nothing is left', async () => {
      const attempt = { ...request(['sleep', '1000']), keep: [{ label: 'none', fd: 1_000_000 }] };
      await assert.rejects(
        fixture.runtime.start(attempt),
        (thrown) => thrown instanceof StartError && /network and port descriptors.*EBADF/.test(thrown.message),
      );
      assert.equal(await fixture.runtime.adopt(attempt.id), 'lost');
    });

    it('keep: thousands, beyond the limit that the container itself has', async () => {
      const file = openSync('/dev/null', 'r');
      const keep = Array.from({ length: 4000 }, (_, index) => ({ label: `tcp 0.0.0.0:${index}`, fd: file }));
      const container = await start(['sh', '-c', 'ulimit -n; sleep 1000'], { keep, attach: output });
      const limit = Number(/\d+/.exec(await readUntil(container.attached[0] as StdioStream, '\n'))?.[0]);
      assert.equal(container.kept.descriptors.length, 4000);
      const without = await runSh('ulimit -n');
      assert.equal(limit, Number(without.out));
      closeSync(file);
      await container.kill(9, 'init');
      await finish(container);
    });

    describe('hooks', () => {
      let directory: string;
      before(() => {
        directory = mkdtempSync(join(tmpdir(), 'gantry-hooks-'));
      });
      after(() => rmSync(directory, { recursive: true }));
      let count = 0;

      /** A program of the host, for all points but `startContainer`. */
      function program(script: string, rest: Partial<Hook> = {}): Hook {
        const path = join(directory, `hook-${++count}`);
        writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
        return { path, ...rest };
      }

      const inside = (script: string, rest: Partial<Hook> = {}): Hook => ({ path: '/bin/sh', args: ['sh', '-c', script], ...rest });

      function newFile(): { file: string; lines: () => readonly string[] } {
        const file = join(directory, `file-${++count}`);
        writeFileSync(file, '');
        return {
          file,
          lines: () =>
            readFileSync(file, 'utf8')
              .split('\n')
              .filter((line) => line !== ''),
        };
      }

      async function failingStart(hooks: Hooks, launch: Launch = {}): Promise<string> {
        const attempt = request(['sleep', '1000'], { ...launch, hooks });
        const failure = await fixture.runtime.start(attempt).then(
          () => assert.fail('it was started'),
          (thrown: unknown) => thrown,
        );
        assert.ok(failure instanceof StartError, String(failure));
        assert.equal(await fixture.runtime.adopt(attempt.id), 'lost');
        return failure.message;
      }

      it('each at its point, in order, with the state on stdin, in the namespaces of its point', async () => {
        const { file, lines } = newFile();
        const note = (point: HookPoint): Hook =>
          program(`state=$(cat); echo "$0 $@ $(readlink /proc/self/ns/uts) $(readlink /proc/self/ns/mnt) $state" >> ${file}`, {
            args: ['named', point],
            env: ['PATH=/usr/bin:/bin'],
          });
        const points = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'] as const;
        const hooks = {
          ...Object.fromEntries(points.map((point) => [point, [note(point)]])),
          startContainer: [inside('cat > /dev/state')],
        };
        const container = await start(['sh', '-c', 'cat /dev/state; read x'], { hooks, attach: everything, stdin: 'open' });
        const stream = container.attached[0] as StdioStream;
        const started = JSON.parse((await readUntil(stream, '}')).slice(8)) as Record<string, unknown>;
        assert.deepEqual([started.id, started.status, started.pid], [container.id, 'created', 1]);
        const namespaceOf = (pid: string | number, type: string): string => readlinkSync(`/proc/${pid}/ns/${type}`);
        const [ownMounts, hostUts] = [namespaceOf(container.pid, 'mnt'), namespaceOf('self', 'uts')];
        stream.write('\n');
        await finish(container);
        const entries = lines().map((line) => {
          const [, point, uts, mnt, text] = /^\S+ (\w+) (\S+) (\S+) (.*)$/.exec(line) ?? [];
          return { point, uts, mnt, state: JSON.parse(text ?? '') as Record<string, unknown> };
        });
        assert.deepEqual(
          entries.map(({ point, state }) => [point, point === 'poststart' || state.status, state.pid, state.id]),
          [
            ['prestart', 'creating', container.pid, container.id],
            ['createRuntime', 'creating', container.pid, container.id],
            ['createContainer', 'creating', 1, container.id],
            // `created` by runc.
            ['poststart', true, container.pid, container.id],
            ['poststop', 'stopped', undefined, container.id],
          ],
        );
        for (const { point, uts, mnt } of entries) {
          if (point === 'createContainer') assert.equal(mnt, ownMounts);
          else assert.equal(uts, hostUts, `${point}`);
        }
      });

      it('the bundle tells where the root is, and createContainer finds it there', async () => {
        const find = `bundle=$(sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/'); root=$(sed 's/.*"root":{"path":"\\([^"]*\\)".*/\\1/' "$bundle/config.json"); test -x "$root/bin/busybox" && echo "made by a hook" > "$root/dev/made"`;
        const { out } = await runSh('cat /dev/made', { hooks: { createContainer: [program(find, { env: ['PATH=/usr/bin:/bin'] })] } });
        assert.equal(out, 'made by a hook\n');
      });

      it('the environment is what is given: nothing of the container, nothing of ours', async () => {
        const { file, lines } = newFile();
        const show = `tr '\\0' '\\n' < /proc/self/environ >> ${file}`;
        const all = (point: HookPoint): Hooks => ({ [point]: [program(show), program(show, { env: ['ONLY=this', 'EMPTY='] })] });
        const hooks = { ...all('createRuntime'), ...all('createContainer'), ...all('poststop') };
        const { out } = await runSh('cat /dev/seen', {
          env: ['PATH=/bin', 'LD_PRELOAD=/evil.so', 'ONLY=image'],
          hooks: { ...hooks, startContainer: [inside('/bin/env > /dev/seen', { env: ['ONLY=inside'] })] },
        });
        // The last is what busybox's shell makes of none.
        const ofShell = /^(PWD|OLDPWD|SHLVL|_)=|^PATH=\/sbin:/;
        const given = [...lines(), ...out.split('\n')].filter((line) => line !== '' && !ofShell.test(line));
        assert.deepEqual(given, ['ONLY=this', 'EMPTY=', 'ONLY=this', 'EMPTY=', 'ONLY=this', 'EMPTY=', 'ONLY=inside']);
      });

      it('startContainer is confined as the process is', async () => {
        const { out } = await runSh('cat /dev/seen; grep -E "^(CapEff|Seccomp)" /proc/self/status; ls /proc/self/fd', {
          hooks: { startContainer: [inside('grep -E "^(CapEff|Seccomp)" /proc/self/status > /dev/seen; ls /proc/self/fd >> /dev/seen')] },
        });
        const lines = out.split('\n');
        // The redirection of the hook's `ls` is descriptor 1; both have a directory open.
        assert.deepEqual(lines.filter((line) => /^CapEff/.test(line)).length, 2);
        assert.equal(new Set(lines.filter((line) => /^(CapEff|Seccomp:)/.test(line))).size, 2);
      });

      it('one that fails before the start fails it, the rest is not run but poststop, and nothing is left', async () => {
        // runc 1.1 starts the container and ends it with 1 when one of `startContainer` fails.
        const last = fixture.runtime.name === 'native' ? (['startContainer'] as const) : [];
        for (const point of ['prestart', 'createRuntime', 'createContainer', ...last] as const) {
          const { file, lines } = newFile();
          const failing = point === 'startContainer' ? inside('echo "went wrong" >&2; exit 3') : program('echo "went wrong" >&2; exit 3');
          const message = await failingStart({
            [point]: [failing],
            poststart: [program(`echo poststart >> ${file}`)],
            poststop: [program(`echo poststop >> ${file}`)],
          });
          assert.match(message, /went wrong/);
          assert.match(message, /status:? 3/);
          assert.deepEqual(lines(), ['poststop'], point);
        }
      });

      it('one that is not there, and one that hangs: killed with what it started', async () => {
        for (const point of ['createRuntime', 'createContainer'] as const) {
          assert.match(await failingStart({ [point]: [{ path: '/no/such/hook' }] }), /no such file|ENOENT/i);
          // runc 1.1 kills the hook alone, and waits for what it has started.
          const script = fixture.runtime.name === 'native' ? 'sleep 1000 & sleep 1000' : 'exec sleep 1000';
          const hung = program(`echo hanging >&2; ${script}`, { timeout: 1 });
          assert.match(
            await failingStart({ [point]: [hung] }),
            /did not end within 1 s and was killed: hanging|ran past specified timeout/,
          );
          assert.equal(commandLines().filter((line) => line.includes(hung.path)).length, 0);
        }
      });

      it('poststart and poststop: a failure changes nothing', async () => {
        const { exit } = await runSh('exit 4', { hooks: { poststop: [program('exit 1')] } });
        assert.equal(exit.code, 4);
      });

      it('poststop is run by the daemon that learns of the end', async () => {
        const { file, lines } = newFile();
        const id = newContainerId();
        const hooks = { poststop: [program(`echo "$(cat)" >> ${file}`)] };
        await fixture.runtime.start(request(['sh', '-c', 'sleep 0.1; exit 24'], { hooks }, id));
        const runtime = await fixture.restart();
        await delay(300);
        const exit = await runtime.adopt(id);
        assert.ok(exit !== 'lost' && 'code' in exit);
        assert.deepEqual(
          lines().map((line) => (JSON.parse(line) as { status: string }).status),
          ['stopped'],
        );
        await runtime.adopt(id);
        assert.equal(lines().length, 1, 'once');
      });
    });

    it('memory limit: the OOM killer is reported', async (context) => {
      if (fixture.whyNoMemoryLimit !== null) return context.skip(fixture.whyNoMemoryLimit);
      const { exit } = await runSh('x=a; while :; do x=$x$x; done', { memoryLimitBytes: 16 * 1024 * 1024 });
      assert.equal(exit.code, 137);
      assert.equal(exit.oomKilled, true);
    });

    it('descriptors: the process sees 0, 1 and 2 only, and we keep none', async () => {
      const { out } = await runSh('ls -l /proc/self/fd/ | wc -l; ls /proc/self/fd/3 /proc/self/fd/4 2>/dev/null; cat /dev/null');
      // `ls` has its own directory descriptor 3: total, 0, 1, 2, 3.
      assert.equal(out.split('\n')[0], '5');
      const seen = openDescriptors();
      for (let i = 0; i < 5; i++) await runSh('true');
      await delay(50);
      assert.ok(openDescriptors() <= seen, `${openDescriptors()} descriptors after, ${seen} before`);
    });

    async function runLogged(
      script: string,
      log: NonNullable<Launch['log']>,
    ): Promise<{ exit: ExitStatus; id: ContainerId; position: number }> {
      const container = await start(['sh', '-c', script], { log });
      const exit = known(await container.exited);
      const position = container.logPosition.sizeBytes;
      await container.release();
      return { exit, id: container.id, position };
    }
  });
}
