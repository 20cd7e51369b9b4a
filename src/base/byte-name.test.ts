import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeName, encodeCString, encodeName, printableName } from './byte-name.ts';

test('decodeName and encodeName: any bytes survive, and different bytes give different names', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }), (a, b) => {
      assert.deepEqual(new Uint8Array(encodeName(decodeName(a))), a);
      assert.equal(decodeName(a) === decodeName(b), Buffer.compare(a, b) === 0);
    }),
  );
});

test('decodeName: valid UTF-8 stays as it is, other bytes become lone surrogates', () => {
  assert.equal(decodeName(Buffer.from('größe')), 'größe');
  assert.equal(decodeName(Buffer.from([0x61, 0xff, 0x62])), 'a\udcffb');
  assert.deepEqual(encodeCString('a\udcff'), Buffer.from([0x61, 0xff, 0]));
});

test('printableName: one line, whatever is in it', () => {
  assert.equal(printableName('a\nb\u001b[31m'), '"a\\nb\\u001b[31m"');
  assert.equal(printableName('\udcff'), '"\\udcff"');
});
