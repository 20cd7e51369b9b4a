import assert from 'node:assert/strict';
import test from 'node:test';
import { TransitionLane } from './transition-lane.ts';

function lane(preempt: () => void = () => {}): TransitionLane {
  return new TransitionLane((reason) => reason, preempt);
}

test('TransitionLane: runs one at a time, in order, also after a failure', async () => {
  const log: string[] = [];
  const task = (name: string, kind: 'start' | 'stop', fail = false) => ({
    kind,
    force: false,
    run: async () => {
      log.push(`${name}+`);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`${name}-`);
      if (fail) throw new Error(name);
      return name;
    },
  });
  const under = lane();
  const first = under.submit(task('a', 'start', true));
  const second = under.submit(task('b', 'stop'));
  await assert.rejects(first, /a/);
  assert.equal(await second, 'b');
  assert.deepEqual(log, ['a+', 'a-', 'b+', 'b-']);
  await Promise.resolve();
  assert.ok(under.idle);
});

test('TransitionLane: a duplicate shares the outcome, told apart by joined', async () => {
  const under = lane();
  const gate = Promise.withResolvers<void>();
  const start = { kind: 'start' as const, force: false, run: () => gate.promise.then(() => 'started'), joined: () => 'already-running' };
  const both = [under.submit(start), under.submit(start)];
  gate.resolve();
  assert.deepEqual(await Promise.all(both), ['started', 'already-running']);
});

test('TransitionLane: rm -f hastens a stop under way', async () => {
  const gate = Promise.withResolvers<void>();
  const under = lane(() => gate.resolve());
  const stop = under.submit({ kind: 'stop', force: false, run: () => gate.promise });
  const remove = under.submit({ kind: 'remove', force: true, run: async () => 'removed' });
  await stop;
  assert.equal(await remove, 'removed');
});

test('TransitionLane: a denial is a conflict with its reason', async () => {
  const under = lane();
  const gate = Promise.withResolvers<void>();
  const remove = under.submit({ kind: 'remove', force: false, run: () => gate.promise });
  await assert.rejects(under.submit({ kind: 'start', force: false, run: async () => {} }), {
    code: 'conflict',
    message: 'removal-in-progress',
  });
  gate.resolve();
  await remove;
});
