/** A daemon of ours from source, with its own socket, data root and run root; stopped by pid, its containers too, and its directories removed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from './command.ts';
import { fsckFindings } from './fsck.ts';
import { programEntry, programPath } from './program.ts';

/** GANTRY_TEST_RUNTIME=runc: any suite with a daemon of ours runs its containers by that runtime. */
const testRuntime = process.env.GANTRY_TEST_RUNTIME ?? 'native';

/** By a wrapper that claims to be new: the warning about an old one, which every create would print, has tests of its own. */
function testRuntimeFlags(directory: string): readonly string[] {
  if (testRuntime === 'native') return [];
  const wrapper = join(directory, testRuntime);
  writeFileSync(wrapper, `#!/bin/sh\n[ "$1" = --version ] && { echo "${testRuntime} version 99.0.0"; exit; }\nexec ${testRuntime} "$@"\n`, {
    mode: 0o755,
  });
  return ['--add-runtime', `${testRuntime}=${wrapper}`, '--default-runtime', testRuntime];
}

export interface GantryDaemon {
  readonly host: string;
  readonly directory: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pid: number;
  log(): string;
  /** SIGKILL, as a crash. */
  crash(): Promise<void>;
  /** SIGTERM and the end of it. */
  stop(): Promise<void>;
  /** Starts again on the same roots after `crash` or `stop`; `failpoint`: dies there (src/base/failpoints.ts). */
  restart(failpoint?: string): Promise<void>;
  /** Resolves when it has died by itself. */
  died(): Promise<void>;
  /** Starts again and is SIGKILLed after that time, ready or not. */
  restartAndCrash(afterMs: number): Promise<void>;
  /**
   * Removes all containers, ends the daemon and what it left running, and removes its directories. Throws when `system fsck` found something, with the
   * containers or without them.
   */
  dispose(): Promise<void>;
}

export interface GantryOptions {
  readonly flags?: readonly string[];
  /** Runs the bundle in build/, as users do, also where tests start the source. */
  readonly bundled?: boolean;
  /** A command that the daemon's own command line is appended to; it must end in exec. `$DATA_ROOT` is set. */
  readonly wrapper?: readonly string[];
  /** False: the test damages what the daemon has, and looks at the findings itself. */
  readonly fsck?: false;
}

export async function startGantry(options: GantryOptions = {}): Promise<GantryDaemon> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-test-'));
  const host = `unix://${directory}/g.sock`;
  let child = await launch(directory, host, options).catch((error: unknown) => {
    // One that was refused has nothing to take down.
    rmSync(directory, { recursive: true, force: true });
    throw error;
  });
  const daemon: GantryDaemon = {
    host,
    directory,
    dataRoot: join(directory, 'data'),
    execRoot: join(directory, 'run'),
    get pid() {
      return child.pid ?? -1;
    },
    log: () => readFileSync(join(directory, 'log'), 'utf8'),
    crash: () => end(child, 'SIGKILL'),
    stop: () => end(child, 'SIGTERM'),
    restart: async (failpoint) => {
      child = await launch(directory, host, options, failpoint);
    },
    died: () => gone(child),
    restartAndCrash: async (afterMs) => {
      child = spawnDaemon(directory, host, options);
      await delay(afterMs);
      await end(child, 'SIGKILL');
    },
    dispose: async () => {
      if (child.exitCode !== null || child.signalCode !== null) child = await launch(directory, host, options);
      // The daemon ends in any case: one that stays keeps the test process alive.
      const look = async (): Promise<readonly string[]> =>
        options.fsck === false ? [] : await fsckFindings(host).catch((error: unknown) => [String(error)]);
      const findings = [...(await look())];
      await runCommand(['/bin/sh', '-c', 'ids=$(docker ps -aq); [ -z "$ids" ] || docker rm -f $ids'], {
        env: { ...process.env, DOCKER_HOST: host },
      });
      findings.push(...(await look()));
      await end(child, 'SIGTERM');
      await launcherGone(join(directory, 'run'));
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
      if (findings.length > 0) throw new Error(`system fsck found:\n${[...new Set(findings)].join('\n')}`);
    },
  };
  return daemon;
}

function spawnDaemon(directory: string, host: string, options: GantryOptions, failpoint = ''): ChildProcess {
  const entry = options.bundled === true ? programPath({ bundle: true }) : programEntry;
  const script = 'exec "$@" >>"$LOG" 2>&1';
  const flags = [
    '-H',
    host,
    '--data-root',
    `${directory}/data`,
    '--exec-root',
    `${directory}/run`,
    '--pidfile',
    `${directory}/pid`,
    ...testRuntimeFlags(directory),
    ...(options.flags ?? []),
  ];
  const command = [...(options.wrapper ?? []), process.execPath, '--no-warnings', entry, 'daemon', ...flags];
  return spawn('/bin/sh', ['-c', script, 'sh', ...command], {
    stdio: 'ignore',
    env: { ...process.env, LOG: `${directory}/log`, DATA_ROOT: `${directory}/data`, GANTRY_FAILPOINT: failpoint },
  });
}

async function launch(directory: string, host: string, options: GantryOptions, failpoint?: string): Promise<ChildProcess> {
  const child = spawnDaemon(directory, host, options, failpoint);
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (await answers(`${directory}/g.sock`)) return child;
    if (child.exitCode !== null) break;
    await delay(50);
  }
  if (child.exitCode === null) child.kill('SIGKILL');
  throw new Error(`the daemon did not start: ${readFileSync(`${directory}/log`, 'utf8').slice(-3000)}`);
}

/** Whether a daemon serves there; by a request of our own, as daemons are started hundreds of times and a command line takes longer than that. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = get({ socketPath, path: '/_ping', agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      response.on('close', () => resolve(response.statusCode === 200));
    });
    asked.on('error', () => resolve(false));
    asked.on('timeout', () => asked.destroy());
  });
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  process.kill(child.pid, signal);
  await gone(child);
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await Promise.race([
    ended,
    delay(30_000, undefined, { ref: false }).then(() => Promise.reject(new Error('the daemon did not stop within 30 s'))),
  ]);
}

/** The launcher leaves by itself once it has neither monitors nor a daemon. */
async function launcherGone(execRoot: string): Promise<void> {
  for (let attempt = 0; attempt < 100 && existsSync(join(execRoot, 'launcher.sock')); attempt++) await delay(50);
}
