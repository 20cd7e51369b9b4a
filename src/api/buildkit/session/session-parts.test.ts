/** Small parts of what passes over a session: metadata, ignore patterns, entries, queues. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goModes } from '../messages/session.ts';
import { ByteQueue } from './byte-queue.ts';
import { patternsOf } from './client-dockerfile.ts';
import { encodeMetadata } from './file-sync.ts';
import { comparePaths, entryOf, goModeOf } from './stat-entry.ts';

test('lists in metadata: plain, or escaped as a whole and said to be', () => {
  assert.deepEqual(encodeMetadata({ a: ['x y', 'z'], none: [] }), { a: ['x y', 'z'] });
  assert.deepEqual(encodeMetadata({ a: ['x y+', 'ü'] }), { a: ['x+y%2B', '%C3%BC'], 'a-encoded': ['1'] });
  assert.deepEqual(encodeMetadata({ a: ['line\nbreak'] }), { a: ['line%0Abreak'], 'a-encoded': ['1'] });
});

test('patterns of an ignore file as the client takes them', () => {
  const file = '\uFEFF# comment\n\n  /a/b/ \n!c\n! /d\n./e/../f\n/\n #no comment\r\n!\n**/x\n';
  assert.deepEqual(patternsOf(file), ['a/b', '!c', '!d', 'f', '/', '#no comment', '**/x']);
});

const stat = {
  path: 'p',
  mode: 0,
  uid: 5,
  gid: 6,
  sizeBytes: 7,
  modifiedAt: -1n,
  linkName: '',
  deviceMajor: 1,
  deviceMinor: 2,
  extendedAttributes: new Map(),
};

test('kinds and modes of files, both ways', () => {
  const kinds = [
    [0o644, 'file'],
    [goModes.directory + 0o755, 'directory'],
    [goModes.symbolicLink + 0o777, 'symbolic-link'],
    [goModes.pipe + 0o600, 'fifo'],
    [goModes.device + 0o600, 'block-device'],
    [goModes.device + goModes.characterDevice + 0o600, 'character-device'],
    [goModes.setuid + goModes.setgid + goModes.sticky + 0o755, 'file'],
  ] as const;
  for (const [mode, type] of kinds) {
    const entry = entryOf({ ...stat, mode });
    assert.equal(entry?.type, type);
    assert.equal(goModeOf(type, entry?.mode ?? 0), mode);
  }
  assert.equal(entryOf({ ...stat, mode: goModes.setuid + goModes.sticky + 0o755 })?.mode, 0o5755);
  assert.equal(entryOf({ ...stat, mode: goModes.socket }), null);
  assert.deepEqual(entryOf({ ...stat, linkName: 'o' })?.type, 'hard-link');
  assert.deepEqual(entryOf(stat)?.modifiedAt, { seconds: -1, nanoseconds: 999_999_999 });
  assert.throws(() => entryOf({ ...stat, sizeBytes: -1 }), /negative size/);
});

test('paths are in the order of a walk', () => {
  assert.deepEqual(['a.b', 'a/b', 'a', 'a-b', 'ä', 'z'].sort(comparePaths), ['a', 'a/b', 'a-b', 'a.b', 'z', 'ä']);
});

test('a queue that nobody reads holds its writer, and lets it go', async () => {
  const budget = { heldBytes: 0, limitBytes: 10 };
  const queue = new ByteQueue(budget);
  await queue.push(Buffer.alloc(10));
  let pushed = false;
  const pushing = queue.push(Buffer.alloc(5)).then(() => {
    pushed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([pushed, budget.heldBytes], [false, 15]);
  const reader = queue.take();
  assert.equal((await reader.next()).value?.length, 10);
  await pushing;
  queue.end();
  assert.equal((await reader.next()).value?.length, 5);
  assert.equal((await reader.next()).done, true);
  assert.equal(budget.heldBytes, 0);
});

test('a queue that was dropped takes what comes and holds nothing; one that failed throws', async () => {
  const budget = { heldBytes: 0, limitBytes: 1 };
  const dropped = new ByteQueue(budget);
  const pushing = dropped.push(Buffer.alloc(9));
  dropped.drop();
  await pushing;
  await dropped.push(Buffer.alloc(9));
  assert.equal(budget.heldBytes, 0);
  const failed = new ByteQueue(budget);
  const reading = failed.take().next();
  failed.fail(new Error('gone'));
  await assert.rejects(reading, /gone/);
});
