/**
 * Runs hooks in the daemon's own namespaces, one after the other: the state on stdin, the environment that is given and nothing else, a session of their own that is
 * killed as a whole when the time is over. What a hook leaves running on purpose after it has ended well is its own affair.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { endStarted, startTicks } from '../linux/end-session.ts';
import type { Hook, HookPoint } from '../oci/runtime-spec.ts';
import { argvOf, type HookEnd, type HookState, hookEndText, hookTitle, patienceMsOf } from './hooks.ts';

/** A hook that has ended, but whose child holds its output, is heard for so long. */
const afterwordMs = 200;
const heardBytes = 4096;

/** Of one daemon: so that it can end what runs when it leaves. */
export class HookRunner {
  readonly #running = new Set<number>();

  /** Throws an error that names the hook, how it ended and what it said. */
  async run(point: HookPoint, hook: Hook, state: HookState): Promise<void> {
    const title = `cannot run ${hookTitle(point, hook)}`;
    const [name, ...args] = argvOf(hook);
    const child = spawn(hook.path, args, { argv0: name, env: environmentOf(hook), cwd: state.bundle, detached: true, stdio: 'pipe' });
    const ended = Promise.withResolvers<HookEnd>();
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        said = (said + bytes.toString()).slice(-heardBytes);
      });
    }
    child.on('error', (error: NodeJS.ErrnoException) =>
      ended.reject(new EngineError('system', `${title}: ${error.code ?? error.message}`)),
    );
    child.on('exit', (code, signal) => ended.resolve({ code, signal }));
    const closed = new Promise((done) => child.once('close', done));
    // It need not read its state.
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(state));
    const { pid } = child;
    if (pid !== undefined) this.#running.add(pid);
    const timer = setTimeout(() => {
      ended.resolve('timeout');
      if (pid !== undefined) killGroup(pid);
    }, patienceMsOf(hook));
    try {
      if (pid !== undefined) noteRunning(state.bundle, pid);
      const end = await ended.promise;
      await Promise.race([closed, delay(afterwordMs, undefined, { ref: false })]);
      if (end === 'timeout' || end.code !== 0) throw new EngineError('system', `${title}: ${hookEndText(end, patienceMsOf(hook), said)}`);
    } catch (thrown) {
      if (pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(pid);
      throw thrown;
    } finally {
      clearTimeout(timer);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      if (pid !== undefined) this.#running.delete(pid);
      rmSync(noteFile(state.bundle), { force: true });
    }
  }

  /** The daemon leaves. */
  endAll(): void {
    for (const pid of this.#running) killGroup(pid);
  }
}

/** What a daemon that was killed left behind in that bundle. */
export function endFormerHook(bundle: string): void {
  if (!existsSync(noteFile(bundle))) return;
  const [pid = 0, ticks = 0] = readFileSync(noteFile(bundle), 'utf8').split(' ').map(Number);
  if (pid > 1) endStarted(pid, ticks);
  rmSync(noteFile(bundle), { force: true });
}

/** Written at once: a few bytes in memory, and no moment in which the hook runs and nobody knows of it. */
function noteRunning(bundle: string, pid: number): void {
  writeFileSync(noteFile(bundle), `${pid} ${startTicks(pid) ?? 0}`);
}

function noteFile(bundle: string): string {
  return join(bundle, 'hook.pid');
}

function environmentOf({ env = [] }: Hook): Record<string, string> {
  return Object.fromEntries(
    env.map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
