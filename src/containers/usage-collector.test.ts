import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageCollector, type Watched } from './usage-collector.ts';
import type { UsageSample, UsageTarget } from './usage-reading.ts';

const targetOf = (id: string): UsageTarget => ({ id, cgroup: `/c/${id}`, pid: 1, interfaces: [] });
let count = 0;
const sampleOf = () => ({ at: new Date(++count) }) as unknown as UsageSample;
const never = new AbortController().signal;

function collector() {
  const asked: string[][] = [];
  const read = async (targets: readonly UsageTarget[]) => {
    asked.push(targets.map(({ id }) => id));
    return targets.map(() => sampleOf());
  };
  return { asked, collector: new UsageCollector(read, 20) };
}

test('UsageCollector: those who come together share one reading, each container once', async () => {
  const { asked, collector: usage } = collector();
  const watchers = ['a', 'b', 'a'].map((id) => usage.follow(() => targetOf(id), never));
  const first = await Promise.all(watchers.map((watcher) => watcher.next()));
  assert.deepEqual(asked[0], ['a', 'b']);
  assert.equal(first[0]?.value, first[2]?.value);
  await Promise.all(watchers.map((watcher) => watcher.return(null)));
});

test('UsageCollector: nothing is read once nobody watches', async () => {
  const { asked, collector: usage } = collector();
  const watcher = usage.follow(() => targetOf('a'), never);
  await watcher.next();
  await watcher.next();
  await watcher.return(null);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const readings = asked.length;
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(asked.length, readings);
});

test('UsageCollector: a slow watcher gets the newest sample, and none piles up', async () => {
  const { asked, collector: usage } = collector();
  const watcher = usage.follow(() => targetOf('a'), never);
  const first = (await watcher.next()).value as UsageSample;
  const readings = asked.length;
  while (asked.length < readings + 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setImmediate(resolve));
  const second = (await watcher.next()).value as UsageSample;
  assert.ok(second.at.getTime() >= first.at.getTime() + 3);
  await watcher.return(null);
});

test('UsageCollector: stopped is null, gone is the end, an abort ends a wait', async () => {
  const { collector: usage } = collector();
  let now: ReturnType<Watched> = 'stopped';
  const watcher = usage.follow(() => now, never);
  assert.deepEqual(await watcher.next(), { done: false, value: null });
  now = 'gone';
  assert.deepEqual(await watcher.next(), { done: true, value: undefined });
  const abort = new AbortController();
  const waiting = usage.follow(() => targetOf('a'), abort.signal);
  await waiting.next();
  const next = waiting.next();
  abort.abort();
  await next;
  assert.equal((await waiting.next()).done, true);
});

test('UsageCollector: a reading that fails is told to every watcher', async () => {
  const usage = new UsageCollector(() => Promise.reject(new Error('no worker')), 20);
  const watchers = [usage.follow(() => targetOf('a'), never), usage.follow(() => targetOf('b'), never)];
  await Promise.all(watchers.map((watcher) => assert.rejects(watcher.next(), /no worker/)));
});

test('UsageCollector.sample: one reading, null for what does not run', async () => {
  const { asked, collector: usage } = collector();
  assert.ok((await usage.sample(() => targetOf('a'))) !== null);
  assert.equal(await usage.sample(() => 'stopped'), null);
  assert.equal(asked.length, 1);
});
