import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goDuration } from './go-duration.ts';

test('goDuration: as Go writes them', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [0.5, '500µs'],
    [300, '300ms'],
    [1000, '1s'],
    [1500, '1.5s'],
    [60_000, '1m0s'],
    [90_500, '1m30.5s'],
    [3_600_000, '1h0m0s'],
  ];
  for (const [milliseconds, text] of cases) assert.equal(goDuration(milliseconds), text);
});
