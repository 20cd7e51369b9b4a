/** What the kernel itself knows of a process: nothing here reads the process's memory, so nothing can be made to wait by it. */
import { readFileSync } from 'node:fs';

export interface ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  /** Of the program, 15 bytes at most; the process may choose it. */
  readonly name: string;
  /** `R`, `S`, `D`, `Z`, … */
  readonly state: string;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly startedAt: Date;
}

const ticksPerSecond = 100;

/** Null: there is no such process any more. */
export function readProcessFacts(pid: number, read = readProcFile): ProcessFacts | null {
  const stat = read(`/proc/${pid}/stat`);
  const status = read(`/proc/${pid}/status`);
  if (stat === null || status === null) return null;
  // The name stands in parentheses and may hold blanks and parentheses itself.
  const end = stat.lastIndexOf(')');
  const name = stat.slice(stat.indexOf('(') + 1, end);
  const [state = '?', ppid = '0', ...rest] = stat.slice(end + 2).split(' ');
  // proc_pid_stat(5) counts from 1: utime is 14, stime 15, starttime 22; `rest` begins with the 5th.
  const ticks = Number(rest[9]) + Number(rest[10]);
  const sinceBootMs = (Number(rest[17]) * 1000) / ticksPerSecond;
  return {
    pid,
    ppid: Number(ppid),
    uid: Number(/^Uid:\s*\d+\s+(\d+)/m.exec(status)?.[1] ?? 0),
    name: printable(name),
    state,
    cpuSeconds: ticks / ticksPerSecond,
    residentBytes: Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? 0) * 1024,
    startedAt: new Date(bootTimeMs(read) + sinceBootMs),
  };
}

let bootedAt: number | undefined;

function bootTimeMs(read: typeof readProcFile): number {
  bootedAt ??= Number(/^btime (\d+)$/m.exec(read('/proc/stat') ?? '')?.[1] ?? 0) * 1000;
  return bootedAt;
}

/** A process may call itself anything; terminals obey control characters. */
function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, '?');
}

function readProcFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
