import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { killProcess, parseStat, readCommandLine, readProcess, readProcesses } from './process-table.ts';

test('parseStat takes a name with spaces and parentheses', () => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 100)).join(' ');
  assert.deepEqual(parseStat(`42 (a) b (c) S 7 ${fields}\n`), { pid: 42, parent: 7, name: 'a) b (c', state: 'S', startTime: '117' });
});

test('parseStat of something else is null', () => {
  assert.equal(parseStat('42 nothing'), null);
  assert.equal(parseStat('42 (a) S 7'), null);
});

test('readProcesses sees us, readCommandLine our arguments', async () => {
  const own = (await readProcesses()).find(({ pid }) => pid === process.pid);
  assert.equal(own?.parent, process.ppid);
  assert.equal((await readCommandLine(process.pid))[0], process.argv0);
});

test('killProcess ends the process that was seen, and never another with its pid', async () => {
  const child = spawn('sleep', ['100']);
  const entry = await readProcess(child.pid ?? -1);
  assert.ok(entry);
  await killProcess({ ...entry, startTime: '1' }, 'SIGKILL');
  assert.equal((await readProcess(entry.pid))?.startTime, entry.startTime);
  const exited = once(child, 'exit');
  await killProcess(entry, 'SIGKILL');
  assert.equal((await exited)[1], 'SIGKILL');
});
