/** One way to measure: the same work on both engines, interleaved, medians; rows are printed as they come and kept in bench/results/latest.json. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../test/harness/command.ts';

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number;
  /** ours / peer; for rates peer / ours, so that below 1 is always better. */
  readonly ratio: number;
  /** What the issue aims at, if anything. */
  readonly aim: number | null;
  /** The same work without any engine, where that can be measured. */
  readonly limit: number | null;
  readonly samples: number;
}

export interface Measured {
  readonly unit: string;
  readonly ours: number;
  readonly peer: number;
  readonly samples: number;
  readonly aim?: number | null;
  readonly limit?: number | null;
  /** More is better. */
  readonly rate?: boolean;
}

export interface Both {
  readonly ours: () => Promise<unknown>;
  readonly peer: () => Promise<unknown>;
  /** The same work without any engine. */
  readonly limit?: () => Promise<unknown>;
  /** Before each round of a side; not counted. */
  readonly prepare?: (side: 'ours' | 'peer') => Promise<unknown>;
}

export const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const rows: Row[] = [];

export function selected(name: string): boolean {
  return wanted.length === 0 || wanted.some((part) => name.includes(part));
}

/** Milliseconds of each side's work; the first round is not counted. */
export async function compare(name: string, aim: number | null, samples: number, work: Both): Promise<void> {
  if (!selected(name)) return;
  const times = { ours: [] as number[], peer: [] as number[], limit: [] as number[] };
  for (let round = -1; round < samples; round++) {
    for (const side of ['ours', 'peer', 'limit'] as const) {
      const one = work[side];
      if (one === undefined) continue;
      if (side !== 'limit') await work.prepare?.(side);
      const milliseconds = await timed(one);
      if (round >= 0) times[side].push(milliseconds);
    }
  }
  const limit = work.limit === undefined ? null : median(times.limit);
  record(name, { unit: 'ms', ours: median(times.ours), peer: median(times.peer), limit, aim, samples });
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - started) / 1e6;
}

export function record(name: string, { unit, ours, peer, samples, aim = null, limit = null, rate = false }: Measured): void {
  const ratio = rate ? peer / ours : ours / peer;
  const row = {
    name,
    unit,
    ours: round3(ours),
    peer: round3(peer),
    ratio: round3(ratio),
    aim,
    limit: limit === null ? null : round3(limit),
    samples,
  };
  rows.push(row);
  const verdict = aim === null ? '' : row.ratio <= aim ? `  (aim ${aim}: met)` : `  (aim ${aim}: MISSED)`;
  const bound = row.limit === null ? '' : `  limit ${row.limit}`;
  const figure = (value: number) => `${String(value).padStart(9)} ${unit}`;
  console.log(`${name.padEnd(62)} ours ${figure(row.ours)}   peer ${figure(row.peer)}   ratio ${row.ratio}${bound}${verdict}`);
}

/** A run of a part leaves what the last whole run found. */
export function keep(): void {
  if (wanted.length > 0) return;
  mkdirSync(`${root}bench/results`, { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model ?? '', kernel: release(), node: process.version };
  writeFileSync(`${root}bench/results/latest.json`, `${JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2)}\n`);
}

export async function succeed(argv: readonly [string, ...string[]]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(argv, { timeoutMs: 120_000 });
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout.trim();
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}
