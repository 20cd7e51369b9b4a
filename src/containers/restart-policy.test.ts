import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noRestarts, type RestartHistory, restartAfter, startsWithDaemon } from './restart-policy.ts';

const policy = (Name: string, MaximumRetryCount = 0) => ({ Name, MaximumRetryCount });
const crash = { exitCode: 1, ranMs: 5, asked: false };

test('restartAfter: 100 ms, doubled up to 60 s, and 100 ms again after a run of 10 s', () => {
  const delays: number[] = [];
  let history: RestartHistory = noRestarts;
  for (let turn = 0; turn < 12; turn++) {
    history = restartAfter(policy('always'), history, crash) ?? noRestarts;
    delays.push(history.delayMs);
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  assert.equal(history.count, 12);
  assert.equal(restartAfter(policy('always'), history, { ...crash, ranMs: 9999 })?.delayMs, 60_000);
  const settled = restartAfter(policy('always'), history, { ...crash, ranMs: 10_000 });
  assert.deepEqual(settled, { count: 13, delayMs: 100, stoppedByHand: false });
});

test('restartAfter: which policy restarts what', () => {
  const restarts = (name: string, exitCode: number, history = noRestarts, most = 0) =>
    restartAfter(policy(name, most), history, { ...crash, exitCode }) !== null;
  assert.deepEqual([restarts('', 1), restarts('no', 1)], [false, false]);
  assert.deepEqual([restarts('always', 0), restarts('always', 137)], [true, true]);
  assert.deepEqual([restarts('on-failure', 0), restarts('on-failure', 1)], [false, true]);
  const third = { ...noRestarts, count: 3 };
  assert.deepEqual([restarts('on-failure', 1, { ...third, count: 2 }, 3), restarts('on-failure', 1, third, 3)], [true, false]);
  const stopped = { ...noRestarts, stoppedByHand: true };
  assert.deepEqual([restarts('unless-stopped', 0), restarts('unless-stopped', 0, stopped)], [true, false]);
  assert.equal(restartAfter(policy('always'), noRestarts, { ...crash, asked: true }), null);
});

test('startsWithDaemon: always does even what was stopped, the others do not', () => {
  const stopped = { ...noRestarts, stoppedByHand: true };
  assert.equal(startsWithDaemon(policy('always'), stopped, 0), true);
  assert.equal(startsWithDaemon(policy('unless-stopped'), stopped, 255), false);
  assert.equal(startsWithDaemon(policy('unless-stopped'), noRestarts, 255), true);
  assert.equal(startsWithDaemon(policy('on-failure'), noRestarts, 255), true);
  assert.equal(startsWithDaemon(policy('on-failure'), noRestarts, 0), false);
  assert.equal(startsWithDaemon(policy('on-failure'), stopped, 137), false);
  assert.equal(startsWithDaemon(policy('no'), noRestarts, 255), false);
});
