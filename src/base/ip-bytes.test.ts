import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesToIp, ipToBytes } from './ip-bytes.ts';

test('ipToBytes and bytesToIp agree, and bytesToIp is canonical', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['172.17.0.2', 'ac110002', '172.17.0.2'],
    ['::', '00000000000000000000000000000000', '::'],
    ['::1', '00000000000000000000000000000001', '::1'],
    ['FD00:0:0:1::2', 'fd000000000000010000000000000002', 'fd00:0:0:1::2'],
    ['fe80::', 'fe800000000000000000000000000000', 'fe80::'],
    ['1:0:2:3:4:5:6:7', '00010000000200030004000500060007', '1:0:2:3:4:5:6:7'],
    ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001', '::ffff:10.0.0.1'],
    ['64:ff9b::192.0.2.1', '0064ff9b0000000000000000c0000201', '64:ff9b::c000:201'],
  ];
  for (const [text, hex, canonical] of cases) {
    assert.equal(ipToBytes(text).toString('hex'), hex);
    assert.equal(bytesToIp(Buffer.from(hex, 'hex')), canonical);
  }
});

test('ipToBytes refuses what is no address', () => {
  for (const text of ['', '1.2.3', '1.2.3.4/24', 'fe80::1%eth0', 'x', '1:2']) assert.throws(() => ipToBytes(text), /invalid IP address/);
  assert.throws(() => bytesToIp(Buffer.alloc(5)), /5 bytes/);
});
