import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatTime, formatTimeNano, parseTimestamp } from './timestamps.ts';

describe('formatTime', () => {
  it('trims the fraction as Go does', () => {
    assert.equal(formatTime(null), '0001-01-01T00:00:00Z');
    assert.equal(formatTime(new Date(1_700_000_000_000)), '2023-11-14T22:13:20Z');
    assert.equal(formatTime(new Date(1_700_000_000_120)), '2023-11-14T22:13:20.12Z');
    assert.equal(formatTime(new Date(1_700_000_000_001)), '2023-11-14T22:13:20.001Z');
    assert.equal(formatTimeNano(1_700_000_000_000_000_456n), '2023-11-14T22:13:20.000000456Z');
    assert.equal(formatTimeNano(1_700_000_010_000_000_000n), '2023-11-14T22:13:30Z');
  });
});

describe('parseTimestamp', () => {
  const cases: readonly (readonly [string, bigint])[] = [
    ['0', 0n],
    ['1700000000', 1_700_000_000_000_000_000n],
    ['1700000000.000000456', 1_700_000_000_000_000_456n],
    ['1700000000.5', 1_700_000_000_500_000_000n],
    ['2023-11-14T22:13:20Z', 1_700_000_000_000_000_000n],
    ['2023-11-14T22:13:20.000000456Z', 1_700_000_000_000_000_456n],
    ['2023-11-14T23:13:20+01:00', 1_700_000_000_000_000_000n],
    ['2023-11-14', 1_699_920_000_000_000_000n],
    ['2023-11-14T22:13', 1_699_999_980_000_000_000n],
  ];
  for (const [text, expected] of cases) {
    it(`reads ${text}`, () => assert.equal(parseTimestamp(text, 'since'), expected));
  }

  for (const text of ['yesterday', '10m', '2023-13-01', '1e9', ' 1', '']) {
    it(`refuses ${JSON.stringify(text)} by name`, () => assert.throws(() => parseTimestamp(text, 'since'), /invalid value for "since"/));
  }

  it('reads back what formatTimeNano writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }), (nanoseconds) => {
        assert.equal(parseTimestamp(formatTimeNano(nanoseconds), 'since'), nanoseconds);
      }),
    );
  });
});
