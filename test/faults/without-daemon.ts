/**
 * FAULT "containers live without a daemon": many write, some end, while nobody is there. When a daemon comes back nothing was restarted, every byte is in the logs, and who ended
 * did so with its own code.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { createContainer, engineCall } from './engine-request.ts';

interface Inspected {
  readonly RestartCount: number;
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly StartedAt: string; readonly Pid: number };
}

/** Lines at every length up to this; a line that was cut or mixed with another does not match. */
const filler = 'abcdefghijklmnopqrstuvwxyz'.repeat(4);

export interface WithoutDaemonFigures {
  readonly lines: number;
  readonly bytes: number;
}

/** One container in five ends half-way. */
export async function liveWithoutDaemon(daemon: GantryDaemon, writers: number, awayMs: number): Promise<WithoutDaemonFigures> {
  const names = Array.from({ length: writers }, (_, index) => `alone-${index}`);
  const endsAfter = (index: number): number => (index % 5 === 0 ? Math.ceil(awayMs / 2 / pauseMs) : Number.MAX_SAFE_INTEGER);
  for (const [index, name] of names.entries()) {
    await createContainer(daemon.host, { name, command: writer(endsAfter(index), index) });
    await engineCall(daemon.host, 'POST', `/containers/${name}/start`);
  }
  const before = await Promise.all(names.map((name) => inspect(daemon.host, name)));
  await daemon.crash();
  await delay(awayMs);
  await daemon.restart();
  const figures = { lines: 0, bytes: 0 };
  for (const [index, name] of names.entries()) {
    const after = await inspect(daemon.host, name);
    assert.equal(after.RestartCount, 0, name);
    assert.equal(after.State.StartedAt, before[index]?.State.StartedAt, `${name} was started again`);
    if (index % 5 === 0) {
      assert.equal(after.State.Status, 'exited', name);
      assert.equal(after.State.ExitCode, exitCodeOf(index), name);
    } else {
      assert.equal(after.State.Pid, before[index]?.State.Pid, name);
      await engineCall(daemon.host, 'POST', `/containers/${name}/stop?t=20`);
    }
    const text = await logOf(daemon.host, name);
    figures.lines += checkLog(name, text);
    figures.bytes += text.length;
    await engineCall(daemon.host, 'DELETE', `/containers/${name}`);
  }
  return figures;
}

const pauseMs = 100;
const exitCodeOf = (index: number): number => 10 + (index % 50);

/** Its last line tells how many there were. */
function writer(lines: number, index: number): readonly string[] {
  const line = `echo "$i \${f:0:$((i % 100))}"`;
  const end = `echo "total $i"; exit ${exitCodeOf(index)}`;
  return [
    'sh',
    '-c',
    `f=${filler}; i=0; trap '${end}' TERM; while [ $i -lt ${lines} ]; do i=$((i+1)); ${line}; sleep 0.${pauseMs / 100}; done; ${end}`,
  ];
}

function checkLog(name: string, text: string): number {
  const lines = text.split('\n').slice(0, -1);
  const total = Number(/^total (\d+)$/.exec(lines.pop() ?? '')?.[1]);
  assert.equal(lines.length, total, `${name}: lines in the log, and written`);
  for (const [index, line] of lines.entries()) {
    const number = index + 1;
    assert.equal(line, `${number} ${filler.slice(0, number % 100)}`, `${name}: line ${number}`);
  }
  return total;
}

async function logOf(host: string, name: string): Promise<string> {
  const { status, stdout, stderr } = await runCommand(['docker', '-H', host, 'logs', name]);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function inspect(host: string, name: string): Promise<Inspected> {
  return JSON.parse(await engineCall(host, 'GET', `/containers/${name}/json`)) as Inspected;
}
