/** Health checks over a clock that the test turns: when they are made, and when not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLogger } from '../base/log.ts';
import type { Container } from './container.ts';
import type { Running } from './container-state.ts';
import { type HealthClock, HealthWatch } from './health-watch.ts';

class TestClock implements HealthClock {
  #now = 0;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now = () => this.#now;
  date = () => 1_000_000 + this.#now;

  sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { at: this.#now + milliseconds, wake: resolve };
    this.#sleepers.add(sleeper);
    signal.addEventListener('abort', () => {
      this.#sleepers.delete(sleeper);
      reject(signal.reason);
    });
    return promise;
  }

  async pass(milliseconds: number): Promise<void> {
    for (const end = this.#now + milliseconds; this.#now < end; this.#now += 100) {
      for (const sleeper of this.#sleepers) {
        if (sleeper.at > this.#now) continue;
        this.#sleepers.delete(sleeper);
        sleeper.wake();
      }
      await turn();
    }
  }
}

interface World {
  readonly clock: TestClock;
  readonly container: Container;
  readonly running: Running;
  readonly probes: number[];
  readonly events: string[];
  exitCode: number;
  begin(): () => void;
}

function world(Healthcheck: Container['config']['Healthcheck']): World {
  const clock = new TestClock();
  const events: string[] = [];
  const probes: number[] = [];
  const running = { status: 'running', since: 0, freezer: 'thawed', last: { startedAt: new Date(clock.date()) } } as unknown as Running;
  const container = { id: 'c', config: { Healthcheck }, health: null, state: running, record: {} } as unknown as Container;
  const made: World = { clock, container, running, probes, events, exitCode: 0, begin: () => watch.begin(container, running) };
  const watch = new HealthWatch({
    probe: async () => {
      probes.push(clock.now());
      return { start: clock.date(), end: clock.date(), exitCode: made.exitCode, output: '' };
    },
    store: async () => {},
    emit: (action) => events.push(action),
    logger: silentLogger,
    clock,
  });
  return made;
}

const ms = 1_000_000;

test('HealthWatch: every interval, every start interval within the start period, and never after the end', async () => {
  const w = world({ Test: ['CMD', 'x'], Interval: 3000 * ms, StartPeriod: 2500 * ms, StartInterval: 1000 * ms, Retries: 2 });
  w.exitCode = 1;
  const end = w.begin();
  assert.equal(w.container.health?.status, 'starting');
  await w.clock.pass(2500);
  assert.deepEqual(w.probes, [1000, 2000]);
  assert.equal(w.container.health?.failingStreak, 0);
  await w.clock.pass(7000);
  assert.deepEqual(w.events, ['health_status: unhealthy']);
  w.exitCode = 0;
  await w.clock.pass(3500);
  assert.deepEqual(w.events, ['health_status: unhealthy', 'health_status: healthy']);
  const { length } = w.probes;
  end();
  await w.clock.pass(10_000);
  assert.equal(w.probes.length, length);
});

test('HealthWatch: a paused container waits; another daemon goes on at the time when the next check is due', async () => {
  const w = world({ Test: ['CMD', 'x'], Interval: 3000 * ms });
  const end = w.begin();
  await w.clock.pass(4000);
  w.running.freezer = 'frozen';
  await w.clock.pass(10_000);
  assert.deepEqual(w.probes, [3000]);
  w.running.freezer = 'thawed';
  await w.clock.pass(1500);
  assert.equal(w.probes.length, 2);
  end();
  const before = w.container.health;
  const last = w.probes.at(-1) ?? 0;
  await w.clock.pass(1000);
  w.begin();
  assert.equal(w.container.health, before);
  await w.clock.pass(3000);
  const next = w.probes.at(-1) ?? 0;
  assert.ok(next > last && next - last <= 3200, `${last} ${next}`);
});

test('HealthWatch: no check, no health', async () => {
  const w = world({ Test: ['NONE'] });
  w.begin();
  await w.clock.pass(100_000);
  assert.deepEqual([w.container.health, w.probes], [null, []]);
});
