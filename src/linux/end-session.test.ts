import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { endSession, endStarted, startTicks } from './end-session.ts';

test('endSession: the leader and its group, in the cgroup that is named only', async () => {
  // `detached` makes it the leader of a session.
  const child = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const pid = child.pid ?? 0;
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const grandchild = Number(line.toString());
  const cgroup =
    readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^.*?:.*?:/, '') ?? '';
  assert.equal(endSession(pid, '/of/somebody/else'), false);
  assert.equal(child.exitCode, null);
  const ended = once(child, 'exit');
  assert.equal(endSession(pid, cgroup), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  for (let attempt = 0; attempt < 500 && isAlive(grandchild); attempt++) await new Promise((done) => setTimeout(done, 10));
  assert.ok(!isAlive(grandchild));
  assert.equal(endSession(pid, cgroup), false);
});

test('endStarted: that process and no other with its number', async () => {
  const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
  const pid = child.pid ?? 0;
  const ticks = startTicks(pid) ?? 0;
  assert.ok(ticks > 0);
  assert.equal(endStarted(pid, ticks + 1), false);
  const ended = once(child, 'exit');
  assert.equal(endStarted(pid, ticks), true);
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.equal(endStarted(pid, ticks), false);
});

/** Whoever adopts orphans here may not reap them: a zombie has ended. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
