/**
 * The resident launcher of an exec root, as the daemon sees it: found when one runs, started when none does, replaced when it is of another build or lives in
 * another mount namespace than ours (its containers would not see our files). The standing connection keeps it alive while we are; it leaves by itself after us and its last monitor.
 *
 *   ensure() ─ connect ─┬─ same build, same mount namespace ────────▶ use it
 *                       ├─ else: DRAIN, then as if none ────────┐
 *                       └─ nobody there ────────────────────────┴─ spawn ─┬─ "ready" ──────────────▶ connect
 *                                                                         └─ exit 75: lock held ──▶ connect, again and again for a while
 *
 * Spawning forks this process, which costs milliseconds of the event loop: it happens at boot, and when a launcher has died.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, readlink } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerId } from '../base/brand.ts';
import { EngineError, errorText } from '../base/errors.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { withPatience } from '../base/patience.ts';
import { askOnce, connectSocket, FrameConnection, isNobodyThere } from './monitor-connection.ts';
import { exitLockHeld, message, PayloadWriter, protocolVersion } from './protocol.ts';

export interface LauncherOptions {
  readonly execRoot: string;
  /** The program `gantry-launcher`. */
  readonly program: string;
  /** `tasks` or `cgroup.procs` files of the launcher's own control groups. */
  readonly cgroupFiles?: readonly string[];
  readonly logger?: Logger;
}

interface Standing {
  readonly connection: FrameConnection;
  readonly pid: number;
}

const connectPatienceMs = 10_000;
/** It answers at once, on a busy machine within a fraction of a second. */
const patienceMs = 5000;
/** Not asked again after an answer as young as this. */
const recentMs = 1000;
const retryMs = 20;

export class Launcher {
  readonly #options: LauncherOptions;
  readonly #logger: Logger;
  #standing: Promise<Standing> | null = null;
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
  }

  /** Its process id, after making sure that there is one. */
  async ensure(): Promise<number> {
    return (await this.#stand()).pid;
  }

  /** A new connection to it, for a start. */
  async connect(): Promise<Socket> {
    await this.#requireAnswer(await this.#stand());
    try {
      return await connectSocket(this.#socketPath());
    } catch (thrown) {
      if (!isNobodyThere(thrown)) throw thrown;
      await this.#abandon();
      await this.#stand();
      return connectSocket(this.#socketPath());
    }
  }

  /** Resolves when no monitor of the container is alive, or none whose exit is still to be recorded. */
  async awaitGone(id: ContainerId): Promise<void> {
    const { connection } = await this.#stand();
    await connection.request(message.awaitGone, new PayloadWriter().text(id).finish());
  }

  /** The launcher stays; it leaves after its last monitor. */
  async close(): Promise<void> {
    const standing = this.#standing;
    this.#standing = null;
    if (standing === null) return;
    const settled = await standing.catch(() => null);
    settled?.connection.close();
    await settled?.connection.closed;
  }

  #socketPath(): string {
    return join(this.#options.execRoot, 'launcher.sock');
  }

  async #stand(): Promise<Standing> {
    const current = this.#standing;
    if (current !== null) {
      const standing = await current.catch(() => null);
      if (standing !== null && !standing.connection.isClosed) return standing;
      if (this.#standing === current) this.#standing = null;
    }
    this.#standing ??= this.#establish();
    return this.#standing;
  }

  /** A start that is sent to a launcher that was stopped, or hangs, could neither be waited for nor be taken back. */
  async #requireAnswer({ connection, pid }: Standing): Promise<void> {
    if (performance.now() - this.#answeredAt < recentMs) return;
    const question = new PayloadWriter().text('0'.repeat(64)).finish();
    // One that is gone is found out, and replaced, by whoever connects.
    const answer = connection.request(message.awaitGone, question).catch(() => null);
    if ((await withPatience(answer, patienceMs)) === 'late') throw silentLauncher(this.#options.execRoot, pid);
    this.#answeredAt = performance.now();
  }

  async #abandon(): Promise<void> {
    const standing = await this.#standing?.catch(() => null);
    standing?.connection.close();
    this.#standing = null;
  }

  async #establish(): Promise<Standing> {
    await mkdir(this.#options.execRoot, { recursive: true, mode: 0o700 });
    const found = await this.#greet();
    if (found !== null) {
      const why = await this.#whyReplace(found.pid);
      if (why === null) return found;
      this.#logger.warn({ pid: found.pid }, `the launcher ${why}: starting a new one, the old one leaves after its containers`);
      await found.connection.request(message.drain);
      found.connection.close();
    }
    await this.#spawn();
    const deadline = Date.now() + connectPatienceMs;
    for (;;) {
      const standing = await this.#greet();
      if (standing !== null) return standing;
      if (Date.now() > deadline) {
        throw new EngineError(
          'system',
          `cannot reach the launcher of ${this.#options.execRoot}: its lock is held, but nobody listens on launcher.sock`,
        );
      }
      await delay(retryMs);
    }
  }

  async #whyReplace(pid: number): Promise<string | null> {
    if (!(await isInOurMountNamespace(pid))) return 'lives in another mount namespace';
    const [ours, its] = await Promise.all([readFile(this.#options.program), readFile(`/proc/${pid}/exe`)]);
    return ours.equals(its) ? null : 'is of another build';
  }

  async #greet(): Promise<Standing | null> {
    try {
      const socket = await connectSocket(this.#socketPath());
      const reply = await withPatience(askOnce(socket, message.hello, new PayloadWriter().u32(protocolVersion).finish()), patienceMs);
      if (reply === 'late') {
        socket.destroy();
        throw silentLauncher(this.#options.execRoot, 0);
      }
      reply.payload.u32(); // its version: every version so far is ours
      const pid = reply.payload.u32();
      return { connection: new FrameConnection(socket), pid };
    } catch (thrown) {
      if (isNobodyThere(thrown) || (thrown instanceof EngineError && thrown.code === 'unavailable')) return null;
      throw thrown;
    }
  }

  async #spawn(): Promise<void> {
    const { program, execRoot, cgroupFiles = [] } = this.#options;
    const args = ['--exec-root', execRoot, ...cgroupFiles.flatMap((file) => ['--cgroup-tasks', file])];
    const child = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: {}, cwd: '/' });
    child.unref();
    const exit = Promise.withResolvers<number | null | 'ready'>();
    child.once('error', (thrown) =>
      exit.reject(new EngineError('system', `cannot run ${program}: ${errorText(thrown)}`, { cause: thrown })),
    );
    child.once('exit', (code) => exit.resolve(code));
    const errors = collect(child.stderr);
    const ready = collect(child.stdout).end;
    try {
      const code = await Promise.race([ready.then((text) => (text.startsWith('ready') ? 'ready' : exit.promise)), exit.promise]);
      if (code === 'ready' || code === exitLockHeld) return;
      await errors.end;
      throw new EngineError('system', `the launcher ${program} ended with status ${String(code)}: ${errors.text().trim() || 'no message'}`);
    } finally {
      exit.promise.catch(() => {});
      child.stdout.destroy();
      child.stderr.destroy();
    }
  }
}

/** What hangs, and what can be done about it. `pid` 0: it never said. */
function silentLauncher(execRoot: string, pid: number): EngineError {
  const process = pid === 0 ? '' : ` (process ${pid})`;
  const number = pid === 0 ? 'PID, see pgrep -f gantry-launcher' : String(pid);
  return new EngineError(
    'system',
    `the launcher${process} of ${execRoot} does not answer: it was stopped by a signal, or it hangs. Containers run on, none can be started. ` +
      `Let it go on (kill -CONT ${number}), or end it (kill -KILL ${number}): another one is started then`,
    { details: { launcher: pid } },
  );
}

function collect(stream: Readable): { readonly end: Promise<string>; text(): string } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    text += piece;
  });
  stream.once('close', () => resolve(text));
  return { end: promise, text: () => text };
}

async function isInOurMountNamespace(pid: number): Promise<boolean> {
  const [ours, its] = await Promise.all([readlink('/proc/self/ns/mnt'), readlink(`/proc/${pid}/ns/mnt`).catch(() => '')]);
  return ours === its;
}
