import assert from 'node:assert/strict';
import { test } from 'node:test';
import { macOf, parseMacAddress } from './mac-address.ts';
import { parseAddress } from './testing/parsed.ts';

test('parseMacAddress writes every form in one, and refuses what no interface can have', () => {
  for (const text of ['02:42:AC:11:00:02', '02-42-ac-11-00-02', '0242.ac11.0002']) assert.equal(parseMacAddress(text), '02:42:ac:11:00:02');
  for (const text of ['', '02:42:ac:11:00', '02:42:ac:11:00:0g', '02:42-ac:11:00:02', '0242ac110002'])
    assert.throws(() => parseMacAddress(text), /invalid MAC address/);
  for (const text of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00'])
    assert.throws(() => parseMacAddress(text), /group address/);
});

test('macOf is 02:42 and the last four bytes of the address', () => {
  assert.equal(macOf(parseAddress('172.17.0.2')), '02:42:ac:11:00:02');
  assert.equal(macOf(parseAddress('fd00::1:2:3')), '02:42:00:02:00:03');
});
