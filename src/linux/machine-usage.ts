/** What the whole machine used of its processors, and what passed a network namespace's interfaces: `/proc/stat` and `/proc/PID/net/dev`. */
import { readFileSync } from 'node:fs';

export interface MachineCpu {
  /** Nanoseconds of all processors together, idle time included. */
  readonly total: bigint;
  readonly onlineCpus: number;
}

export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxPackets: bigint;
  readonly rxErrors: bigint;
  readonly rxDropped: bigint;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly txDropped: bigint;
}

export function readMachineCpu(): MachineCpu {
  return parseMachineCpu(readFileSync('/proc/stat', 'utf8'));
}

/** Docker adds user, nice, system, idle, iowait, irq and softirq of the first line, in ticks of 10 ms; percentages are told in parts of that sum. */
export function parseMachineCpu(text: string): MachineCpu {
  const [, ...fields] = (/^cpu .*$/m.exec(text)?.[0] ?? '').split(/\s+/);
  const ticks = fields.slice(0, 7).reduce((sum, field) => sum + BigInt(field), 0n);
  return { total: ticks * 10_000_000n, onlineCpus: [...text.matchAll(/^cpu\d+ /gm)].length };
}

/** Of the network namespace that the process is in. Empty when it is gone. */
export function readInterfaces(pid: number): readonly InterfaceCounters[] {
  try {
    return parseInterfaces(readFileSync(`/proc/${pid}/net/dev`, 'utf8'));
  } catch {
    return [];
  }
}

/** `eth0: rx bytes packets errs drop fifo frame compressed multicast, tx bytes packets errs drop …` */
export function parseInterfaces(text: string): readonly InterfaceCounters[] {
  return [...text.matchAll(/^\s*([^\s:]+):\s*(.*)$/gm)].map(([, name = '', rest = '']) => {
    const fields = rest.trim().split(/\s+/);
    const at = (index: number): bigint => BigInt(fields[index] ?? 0);
    return {
      name,
      ...{ rxBytes: at(0), rxPackets: at(1), rxErrors: at(2), rxDropped: at(3) },
      ...{ txBytes: at(8), txPackets: at(9), txErrors: at(10), txDropped: at(11) },
    };
  });
}
