import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Health, type HealthResult, healthAfter, healthCheckOf, startingHealth, untilNextCheckMs } from './health.ts';

const second = 1_000_000_000;
const result = (exitCode: number): HealthResult => ({ start: 0, end: 1, exitCode, output: '' });

function checkOf(Healthcheck: Parameters<typeof healthCheckOf>[0]['Healthcheck'], Shell?: string[]) {
  return healthCheckOf({ ...(Healthcheck && { Healthcheck }), ...(Shell && { Shell }) });
}

test('healthCheckOf: the forms of a check, and Docker’s defaults', () => {
  assert.equal(checkOf(undefined), null);
  for (const Test of [[], ['NONE'], ['CMD'], ['SHELL', 'x']]) assert.equal(checkOf({ Test }), null);
  const shell = checkOf({ Test: ['CMD-SHELL', 'curl x || exit 1'] });
  assert.deepEqual(shell, {
    command: ['/bin/sh', '-c', 'curl x || exit 1'],
    intervalMs: 30_000,
    timeoutMs: 30_000,
    startPeriodMs: 0,
    startIntervalMs: 5000,
    retries: 3,
  });
  assert.deepEqual(checkOf({ Test: ['CMD-SHELL', 'x'] }, ['/bin/bash', '-ec'])?.command, ['/bin/bash', '-ec', 'x']);
  assert.deepEqual(checkOf({ Test: ['CMD', 'curl', '-f', 'x'], Interval: second / 2, Retries: 1 }), {
    ...shell,
    command: ['curl', '-f', 'x'],
    intervalMs: 500,
    startIntervalMs: 500,
    retries: 1,
  });
});

test('healthAfter: unhealthy after failures in a row, healthy after one success, the last five results kept', () => {
  const check = checkOf({ Test: ['CMD', 'x'], Retries: 2, StartPeriod: 10 * second, StartInterval: second, Interval: 3 * second });
  assert.ok(check !== null);
  let health: Health = startingHealth(null);
  const take = (exitCode: number, sinceStartMs: number) => {
    health = healthAfter(health, check, result(exitCode), sinceStartMs);
    return [health.status, health.failingStreak];
  };
  assert.equal(untilNextCheckMs(health, check, 5000), 1000);
  assert.deepEqual(take(1, 9999), ['starting', 0]);
  assert.deepEqual(take(1, 10_000), ['starting', 1]);
  assert.equal(untilNextCheckMs(health, check, 10_000), 3000);
  assert.deepEqual(take(-1, 11_000), ['unhealthy', 2]);
  assert.deepEqual(take(0, 12_000), ['healthy', 0]);
  assert.equal(untilNextCheckMs(health, check, 5000), 3000);
  assert.deepEqual(take(1, 13_000), ['healthy', 1]);
  assert.deepEqual(take(1, 14_000), ['unhealthy', 2]);
  assert.deepEqual(
    health.log.map(({ exitCode }) => exitCode),
    [1, -1, 0, 1, 1],
  );
  // Within the start period a container that was healthy once is judged as any other.
  health = healthAfter(startingHealth(health), check, result(0), 1);
  assert.deepEqual(take(1, 2), ['healthy', 1]);
});
