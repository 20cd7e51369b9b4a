import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { GpuUsage } from '../devices/nvml/gpu-readings.ts';
import { GpuWatch } from './gpu-watch.ts';

const one = [{ uuid: 'GPU-0' }] as unknown as readonly GpuUsage[];

test('GpuWatch: one reading serves those who come within its time', async () => {
  let readings = 0;
  const usage = async () => {
    readings += 1;
    return one;
  };
  const watch = new GpuWatch({ usage }, { freshMs: 60_000, patienceMs: 60_000, staleMs: 60_000 });
  assert.deepEqual(await Promise.all([watch.usage(), watch.usage()]), [one, one]);
  assert.equal(await watch.usage(), one);
  assert.equal(readings, 1);
});

test('GpuWatch: one that does not answer is waited for once; when it does, all is as before', async () => {
  const answers: PromiseWithResolvers<readonly GpuUsage[] | null>[] = [];
  const usage = () => {
    answers.push(Promise.withResolvers());
    return answers.at(-1)?.promise ?? Promise.resolve(null);
  };
  const watch = new GpuWatch({ usage }, { freshMs: 0, patienceMs: 30, staleMs: 60_000 });
  const first = watch.usage();
  answers[0]?.resolve(one);
  assert.equal(await first, one);
  await delay(5);
  assert.equal(await watch.usage(), one, 'the latest that is known');
  assert.equal(answers.length, 2);
  let isAnswered = false;
  void watch.usage().then(() => (isAnswered = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(isAnswered, 'nobody waits a second time');
  answers[1]?.resolve(null);
  await delay(5);
  const third = watch.usage();
  answers[2]?.resolve(one);
  assert.equal(await third, one);
});

test('GpuWatch: what is too old is not shown', async () => {
  const answers = [Promise.resolve(one)];
  const usage = () => answers.shift() ?? new Promise<never>(() => {});
  const watch = new GpuWatch({ usage }, { freshMs: 0, patienceMs: 20, staleMs: 500 });
  assert.equal(await watch.usage(), one);
  await delay(520);
  assert.equal(await watch.usage(), null);
});
