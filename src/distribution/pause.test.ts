import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseWords, retryAfter, scrub } from './answer-failure.ts';
import { delayMs, patienceMs } from './pause.ts';
import { RegistryError } from './registry-error.ts';

const busy = (retryAfterMs: number) =>
  new RegistryError('unavailable', 'busy', { host: 'h', status: 429, registryCode: null, retryable: true, retryAfterMs });

test('delayMs: grows to its cap, never less than half; Retry-After counts, within reason', () => {
  const backoff = { firstMs: 100, capMs: 1000 };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, random) => {
      const delay = delayMs(failures, null, backoff, () => random) ?? Number.NaN;
      const grown = Math.min(1000, 100 * 2 ** (failures - 1));
      assert.ok(delay >= grown / 2 && delay <= grown);
    }),
  );
  assert.equal(
    delayMs(1, busy(7000), backoff, () => 0),
    7000,
  );
  assert.equal(delayMs(1, busy(patienceMs + 1), backoff), null);
});

test('retryAfter: seconds, dates, nonsense', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(retryAfter('120', now), 120_000);
  assert.equal(retryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now), 30_000);
  assert.equal(retryAfter('Wed, 31 Dec 2025 00:00:30 GMT', now), 0);
  for (const text of ['soon', '99999999999', undefined]) assert.equal(retryAfter(text, now), null);
});

test('parseWords: what registries and token servers say, without control characters', () => {
  assert.deepEqual(parseWords('{"errors":[{"code":"DENIED","message":"no\\u001b[31m way\\n"}]}'), {
    code: 'DENIED',
    message: 'no [31m way',
  });
  assert.deepEqual(parseWords('{"details":"incorrect username or password"}'), { code: null, message: 'incorrect username or password' });
  for (const text of ['', 'null', '[]', '{}', '<html>', '{"errors":[]}', '{"errors":[{}]}']) assert.equal(parseWords(text), null);
  assert.equal(parseWords(JSON.stringify({ message: 'x'.repeat(5000) }))?.message.length, 501);
});

test('scrub: secrets that come back are not passed on', () => {
  assert.equal(scrub('bad token s3cret-token, s3cret-token', ['s3cret-token', '']), 'bad token ***, ***');
});
