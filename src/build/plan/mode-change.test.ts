import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedMode, parseModeChange } from './mode-change.ts';

/** change, mode before, is a directory, mode after */
const cases: readonly (readonly [string, number, boolean, number])[] = [
  ['644', 0o755, false, 0o644],
  ['04755', 0o644, false, 0o4755],
  ['u=rwX,go=rX', 0o600, false, 0o644],
  ['u=rwX,go=rX', 0o700, false, 0o755],
  ['u=rwX,go=rX', 0o600, true, 0o755],
  ['+x', 0o644, false, 0o755],
  ['go-w', 0o666, false, 0o644],
  ['a=r', 0o4777, false, 0o444],
  ['g=u', 0o640, false, 0o660],
  ['u+s', 0o755, false, 0o4755],
  ['+t', 0o777, true, 0o1777],
  ['u+w-x', 0o555, false, 0o655],
];

for (const [text, before, isDirectory, after] of cases) {
  test(`changedMode ${text} of ${before.toString(8)}${isDirectory ? ' (directory)' : ''}`, () =>
    assert.equal(changedMode(parseModeChange(text), before, isDirectory).toString(8), after.toString(8)));
}

for (const text of ['64a', '8', '77777', 'u=z', '', 'x', 'u', '=,', 'u+r,']) {
  test(`parseModeChange refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseModeChange(text), /invalid chmod parameter/));
}
