import assert from 'node:assert/strict';
import { it } from 'node:test';
import { humanDuration } from './human-duration.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const cases: readonly (readonly [number, string])[] = [
  [-5, 'Less than a second'],
  [0, 'Less than a second'],
  [999, 'Less than a second'],
  [second, '1 second'],
  [59 * second, '59 seconds'],
  [minute, 'About a minute'],
  [119 * second, 'About a minute'],
  [2 * minute, '2 minutes'],
  [59 * minute, '59 minutes'],
  [hour, 'About an hour'],
  [89 * minute, 'About an hour'],
  [90 * minute, '2 hours'],
  [47 * hour, '47 hours'],
  [2 * day, '2 days'],
  [13 * day, '13 days'],
  [14 * day, '2 weeks'],
  [59 * day, '8 weeks'],
  [60 * day, '2 months'],
  [729 * day, '24 months'],
  [730 * day, '2 years'],
];
for (const [milliseconds, expected] of cases) {
  it(`humanDuration says ${expected}`, () => assert.equal(humanDuration(milliseconds), expected));
}
