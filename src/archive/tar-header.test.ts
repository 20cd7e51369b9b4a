import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePaxRecord, formatPaxTime, paxTime } from './pax.ts';
import { parseHeader } from './tar-header.ts';
import { encodeTarHeader } from './tar-writer.ts';

/** Fields of a header, one a line: text is padded with NULs to the length. */
function block(...fields: readonly (readonly [length: number, text: string])[]): Buffer {
  const bytes = Buffer.concat(
    fields.map(([length, text]) => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(length - text.length)])),
  );
  return Buffer.concat([bytes, Buffer.alloc(512 - bytes.length)]);
}

test('encodeTarHeader: a file, byte by byte', () => {
  const header = encodeTarHeader({
    type: 'file',
    path: 'bin/true',
    sizeBytes: 1234,
    mode: 0o4755,
    uid: 10,
    gid: 20,
    userName: 'root',
    groupName: 'wheel',
    modifiedAt: { seconds: 1_700_000_000, nanoseconds: 0 },
  });
  assert.equal(
    header.toString('hex'),
    block(
      [100, 'bin/true'], // name
      [8, '0004755'], // mode
      [8, '0000012'], // uid
      [8, '0000024'], // gid
      [12, '00000002322'], // size
      [12, '14524770400'], // mtime
      [8, '012671\0 '], // checksum
      [1, '0'], // type
      [100, ''], // link
      [8, 'ustar\x0000'], // magic and version
      [32, 'root'],
      [32, 'wheel'],
      [8, '0000000'], // device major
      [8, '0000000'], // device minor
      [155, ''], // prefix
    ).toString('hex'),
  );
});

test('encodeTarHeader: a device, and a path split at a slash', () => {
  const header = encodeTarHeader({
    type: 'block-device',
    path: `${'d'.repeat(120)}/${'n'.repeat(90)}`,
    mode: 0o660,
    deviceMajor: 8,
    deviceMinor: 17,
  });
  assert.equal(header.length, 512);
  assert.equal(header.toString('latin1', 0, 100), `${'n'.repeat(90)}${'\0'.repeat(10)}`);
  assert.equal(header.toString('latin1', 156, 157), '4');
  assert.equal(header.toString('latin1', 329, 345), '0000010\x000000021\0');
  assert.equal(header.toString('latin1', 345, 500), `${'d'.repeat(120)}${'\0'.repeat(35)}`);
});

test('encodeTarHeader: PAX records only for what ustar cannot hold, in a fixed order', () => {
  const header = encodeTarHeader({
    type: 'file',
    path: 'p'.repeat(101),
    sizeBytes: 8 ** 11,
    uid: 2_097_152,
    modifiedAt: { seconds: 1, nanoseconds: 500_000_000 },
    extendedAttributes: new Map([
      ['user.b', Buffer.from([0, 255])],
      ['user.a', Buffer.from('x')],
    ]),
  });
  assert.equal(header.length, 512 + 512 + 512);
  assert.equal(header.toString('latin1', 156, 157), 'x');
  assert.equal(header.toString('latin1', 0, 100), `PaxHeaders.0/${'p'.repeat(80)}${'\0'.repeat(7)}`);
  const records = [
    `111 path=${'p'.repeat(101)}\n`,
    '15 uid=2097152\n',
    '19 size=8589934592\n',
    '13 mtime=1.5\n',
    '25 SCHILY.xattr.user.a=x\n',
    '26 SCHILY.xattr.user.b=\x00\xff\n',
  ].join('');
  assert.equal(header.toString('latin1', 512, 512 + records.length), records);
});

test('encodePaxRecord: the length counts its own digits', () => {
  assert.equal(encodePaxRecord('a', Buffer.from('b')).toString(), '6 a=b\n');
  for (let length = 0; length < 2000; length++) {
    const record = encodePaxRecord('key', Buffer.alloc(length, 'v'));
    assert.equal(Number.parseInt(record.toString(), 10), record.length);
  }
});

test('paxTime and formatPaxTime: fractions and times before 1970', () => {
  for (const [text, seconds, nanoseconds] of [
    ['0', 0, 0],
    ['1.5', 1, 500_000_000],
    ['1700000000.123456789', 1_700_000_000, 123_456_789],
    ['-1', -1, 0],
    ['-0.5', -1, 500_000_000],
    ['-1.25', -2, 750_000_000],
  ] as const) {
    assert.deepEqual(paxTime(Buffer.from(text), 'mtime'), { seconds, nanoseconds });
    assert.equal(formatPaxTime({ seconds, nanoseconds }), text);
  }
});

test('parseHeader: base-256 numbers, positive and negative', () => {
  const header = encodeTarHeader({ type: 'file', path: 'f' });
  const patched = (at: number, ...bytes: readonly number[]) => {
    const copy = Buffer.from(header);
    copy.set(bytes, at);
    return rechecked(copy);
  };
  assert.equal(parseHeader(patched(124, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 1)).size, 2 ** 33 + 1);
  assert.equal(parseHeader(patched(136, ...Array(12).fill(0xff))).mtimeSeconds, -1);
  assert.throws(() => parseHeader(patched(124, ...Array(12).fill(0xff))), { code: 'invalid', message: /negative size/ });
  assert.throws(() => parseHeader(patched(124, 0x80, 0xff, ...Array(10).fill(0xff))), { code: 'invalid', message: /absurd size/ });
  assert.throws(() => parseHeader(patched(124, 0x39)), { code: 'invalid', message: /size of an entry is not a number/ });
});

test('parseHeader: a wrong checksum', () => {
  const header = encodeTarHeader({ type: 'file', path: 'f' });
  header[0] = 0x67;
  assert.throws(() => parseHeader(header), { code: 'invalid', message: /checksum/ });
});

function rechecked(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
