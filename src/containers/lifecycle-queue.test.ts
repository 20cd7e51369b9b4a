import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { admit, emptyQueue, finish, type LifecycleQueue, maxWaiting, type TransitionKind } from './lifecycle-queue.ts';

const plain = (kind: TransitionKind) => ({ kind, force: false });

function admitAll(kinds: readonly TransitionKind[]): LifecycleQueue {
  return kinds.reduce((queue, kind) => admit(queue, plain(kind)).queue, emptyQueue);
}

test('admit: the first transition runs at once, a different one waits', () => {
  const first = admit(emptyQueue, plain('start'));
  assert.deepEqual(first.decision, { kind: 'run', ticket: 1 });
  assert.deepEqual(admit(first.queue, plain('stop')).decision, { kind: 'wait', ticket: 2, preempts: null });
});

test('admit: the same transition as the last accepted one is a duplicate of it', () => {
  const queue = admitAll(['start', 'stop']);
  assert.deepEqual(admit(queue, plain('stop')).decision, { kind: 'duplicate', of: 2 });
  assert.equal(admit(queue, plain('start')).decision.kind, 'wait');
});

test('admit: nothing is accepted behind a removal, whoever asks', () => {
  for (const kind of ['start', 'stop', 'restart', 'remove', 'rename'] as const) {
    assert.deepEqual(admit(admitAll(['stop', 'remove']), plain(kind)).decision, { kind: 'denied', reason: 'removal-in-progress' });
  }
});

test('admit: a forced removal pre-empts a stop under way, a plain one does not', () => {
  const queue = admitAll(['stop']);
  assert.deepEqual(admit(queue, { kind: 'remove', force: true }).decision, { kind: 'wait', ticket: 2, preempts: 1 });
  assert.deepEqual(admit(queue, plain('remove')).decision, { kind: 'wait', ticket: 2, preempts: null });
});

test('queue: every accepted transition runs exactly once, in order, and the queue stays bounded (property)', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom<TransitionKind>('start', 'stop', 'restart', 'rename', 'remove'), force: fc.boolean() }),
    fc.constant('finish' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      let queue = emptyQueue;
      const accepted: number[] = [];
      const ran: number[] = [];
      for (const request of steps) {
        if (request === 'finish') {
          if (queue.current === null) continue;
          const result = finish(queue);
          queue = result.queue;
          if (result.next !== null) ran.push(result.next.ticket);
          continue;
        }
        const before = queue;
        const admission = admit(queue, request);
        queue = admission.queue;
        const { decision } = admission;
        if (decision.kind === 'run' || decision.kind === 'wait') accepted.push(decision.ticket);
        else assert.equal(queue, before, 'a request that is not accepted changes nothing');
        if (decision.kind === 'run') ran.push(decision.ticket);
        if (decision.kind === 'duplicate') assert.ok([queue.current, ...queue.waiting].some((t) => t?.ticket === decision.of));
        assert.ok(queue.waiting.length <= maxWaiting);
      }
      while (queue.current !== null) {
        const result = finish(queue);
        queue = result.queue;
        if (result.next !== null) ran.push(result.next.ticket);
      }
      assert.deepEqual(ran, accepted);
    }),
  );
});
