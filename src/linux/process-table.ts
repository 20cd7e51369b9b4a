/** The processes of this pid namespace (/proc/PID/stat, see proc_pid_stat(5)), and ending just the one that was seen. */
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** At most 15 bytes. */
  readonly name: string;
  /** `Z`: it ended, and its parent has not asked yet. */
  readonly state: string;
  /** Clock ticks since the boot; with the pid it names a process for good. */
  readonly startTime: string;
}

export async function readProcesses(): Promise<readonly ProcessEntry[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(pids.map((pid) => readProcess(Number(pid))));
  return entries.filter((entry) => entry !== null);
}

/** Null: there is none. */
export async function readProcess(pid: number): Promise<ProcessEntry | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null);
  return text === null ? null : parseStat(text);
}

/** The name stands in parentheses and may hold any. */
export function parseStat(text: string): ProcessEntry | null {
  const match = /^(\d+) \((.*)\) (.*)$/s.exec(text.trimEnd());
  const fields = match?.[3]?.split(' ') ?? [];
  const [state, parent] = fields;
  const startTime = fields[19];
  if (match === null || state === undefined || parent === undefined || startTime === undefined) return null;
  return { pid: Number(match[1]), parent: Number(parent), name: match[2] ?? '', state, startTime };
}

/** Arguments, without what follows the last. Empty for kernel threads, and when it is gone. */
export async function readCommandLine(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

/** Nothing when the pid is another process's by now. */
export async function killProcess(entry: ProcessEntry, signal: NodeJS.Signals): Promise<void> {
  const now = await readProcess(entry.pid);
  if (now?.startTime === entry.startTime) process.kill(entry.pid, signal);
}
