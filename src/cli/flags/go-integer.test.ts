import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { integerComplaint, parseGoInteger } from './go-integer.ts';

describe('parseGoInteger', () => {
  const values: readonly (readonly [string, bigint | null])[] = [
    ['0', 0n], ['-7', -7n], ['+7', 7n], ['010', 8n], ['0o17', 15n], ['0x1F', 31n], ['0b101', 5n], ['1_000', 1000n], ['0x_ff', 255n], ['-0x10', -16n], ['9223372036854775808', 9223372036854775808n],
    ['', null], ['-', null], ['1__0', null], ['_1', null], ['1_', null], ['08', null], ['0b2', null], ['0x', null], ['1.5', null], ['ff', null], [' 1', null], ['--1', null],
  ]; // biome-ignore format: a table
  for (const [text, value] of values) it(JSON.stringify(text), () => assert.equal(parseGoInteger(text), value));
});

describe('integerComplaint', () => {
  it('knows the range of each type', () => {
    assert.equal(integerComplaint('uint16', '65535'), null);
    assert.equal(integerComplaint('uint16', '65536'), 'strconv.ParseUint: parsing "65536": value out of range');
    assert.equal(integerComplaint('uint16', '-1'), 'strconv.ParseUint: parsing "-1": invalid syntax');
    assert.equal(integerComplaint('int', '-9223372036854775808'), null);
    assert.equal(integerComplaint('int', '9223372036854775808'), 'strconv.ParseInt: parsing "9223372036854775808": value out of range');
  });
});
