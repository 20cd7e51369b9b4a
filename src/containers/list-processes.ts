/**
 * `docker top`: the lines of the host's `ps` that are a container's processes.
 *
 * `ps` runs as a child with a time-out: it reads command lines out of the processes' own memory, and a container can make that wait for ever (memory that a
 * file server of its own pages in). Where there is no `ps`, the default columns are read from what the kernel itself knows; the command is its name only.
 */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { hasErrnoCode } from '../base/errors.ts';
import { processesOfCgroup } from '../linux/cgroups.ts';
import { readProcessFacts } from '../linux/process-facts.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import { requireRunning } from './container-state.ts';
import { checkPsArguments, failed, type ProcessTable, parsePsOutput } from './ps-output.ts';

const defaultArguments = '-ef';
const psTimeoutMs = 10_000;
const maxOutputBytes = 64 * 1024 * 1024;
/** Starting a child holds the event loop up for milliseconds: many at once wait for each other. */
const maxChildren = 4;
const turnMs = 10;
let children = 0;

export async function listProcesses(context: ContainerContext, container: Container, given: string): Promise<ProcessTable> {
  const text = given === '' ? defaultArguments : given;
  checkPsArguments(text);
  const { process: init } = requireRunning(container.id, container.state);
  const pids = new Set([init.pid, ...processesOfCgroup(cgroupsPathOf(context, container))]);
  const isDefault = text === defaultArguments;
  // Some hosts have a smaller `ps`, which does not know the default options.
  const output = await psOutput(text.split(' '), pids).catch((error) => (isDefault ? null : Promise.reject(error)));
  if (output !== null) return parsePsOutput(output, pids);
  if (isDefault) return defaultTable([...pids]);
  throw failed('ps: not found on this host; install it (procps), or ask without options');
}

/** Null: there is no `ps` here. */
async function psOutput(options: readonly string[], pids: ReadonlySet<number>): Promise<string | null> {
  while (children >= maxChildren) await delay(turnMs);
  children += 1;
  try {
    // Options that choose processes themselves cannot be used together with -q.
    return await run([...options, `-q${[...pids].join(',')}`]).catch((error) => (isMissing(error) ? null : run(options)));
  } catch (error) {
    throw explained(error);
  } finally {
    children -= 1;
  }
}

interface PsFailure extends Error {
  readonly code?: number | string | null;
  readonly killed?: boolean;
  readonly stderr?: string;
}

function run(options: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { COLUMNS: _columns, LINES: _lines, ...env } = process.env;
  const limits = { timeout: psTimeoutMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes } as const;
  execFile('ps', options, { ...limits, env, cwd: '/' }, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(Object.assign(error, { stderr }));
  });
  return promise;
}

function isMissing(error: unknown): boolean {
  return hasErrnoCode(error, 'ENOENT');
}

/** The first line that `ps` complains with says why. */
function explained(thrown: unknown): Error {
  const { killed = false, stderr = '', code, message } = thrown as PsFailure;
  if (killed)
    return failed(`ps: it did not answer within ${psTimeoutMs / 1000} s and was ended; a process of the container may be stuck`, thrown);
  const [line = ''] = stderr.split('\n');
  return failed(`ps: ${line !== '' ? line : typeof code === 'number' ? `exit status ${code}` : message}`, thrown);
}

function defaultTable(pids: readonly number[]): ProcessTable {
  const titles = ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'];
  const rows = pids.flatMap((pid) => {
    const facts = readProcessFacts(pid);
    if (facts === null) return [];
    const { uid, ppid, cpuSeconds, startedAt, name } = facts;
    const share = String(Math.min(99, Math.floor((cpuSeconds * 100_000) / Math.max(1, Date.now() - startedAt.getTime()))));
    return [[String(uid), String(pid), String(ppid), share, startText(startedAt), '?', timeText(cpuSeconds), `[${name}]`]];
  });
  return { titles, processes: rows };
}

/** As `ps` tells it: the time of day, on another day the date. */
function startText(at: Date): string {
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? at.toTimeString().slice(0, 5) : at.toDateString().slice(4, 10).replace(' ', '');
}

function timeText(seconds: number): string {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}
