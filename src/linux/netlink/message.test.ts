import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AttributeWriter,
  encodeMessage,
  listAttributes,
  numberOf,
  numberOfBigEndian,
  parseAttributes,
  parseMessages,
  textOf,
} from './message.ts';

/** Expected bytes, one annotated piece a line. */
function hex(...pieces: readonly string[]): string {
  return pieces.map((piece) => piece.replace(/ {2}.*$/, '').replaceAll(' ', '')).join('');
}

test('AttributeWriter writes every kind of value, padded to 4', () => {
  const bytes = new AttributeWriter(Buffer.from('0200000000000000', 'hex'))
    .u8(1, 0xab)
    .u16(2, 0x1234)
    .u16be(3, 0x1234)
    .u32(4, 0x12345678)
    .u32be(5, 0x12345678)
    .u64(6, 0x1122334455667788n)
    .u64be(7, 0x1122334455667788n)
    .text(8, 'eth0')
    .flag(9)
    .bytes(10, Buffer.from('c0ffee', 'hex'))
    .finish();
  assert.equal(
    bytes.toString('hex'),
    hex(
      '02000000 00000000  fixed header of the family',
      '0500 0100 ab 000000  u8, padded by 3',
      '0600 0200 3412 0000  u16',
      '0600 0300 1234 0000  u16 in network order',
      '0800 0400 78563412  u32',
      '0800 0500 12345678  u32 in network order',
      '0c00 0600 8877665544332211  u64',
      '0c00 0700 1122334455667788  u64 in network order',
      '0900 0800 65746830 00 000000  text with its NUL',
      '0400 0900  flag',
      '0700 0a00 c0ffee 00  bytes',
    ),
  );
});

test('AttributeWriter.nested counts its content and sets NLA_F_NESTED; raw is padded', () => {
  const bytes = new AttributeWriter()
    .nested(18, (info) => info.text(1, 'veth').nested(2, (data) => data.nested(1, (peer) => peer.raw(Buffer.from([1, 2, 3])).u32(28, 7))))
    .finish();
  assert.equal(
    bytes.toString('hex'),
    hex(
      '2400 1280  IFLA_LINKINFO | NLA_F_NESTED',
      '0900 0100 76657468 00 000000  IFLA_INFO_KIND',
      '1400 0280  IFLA_INFO_DATA',
      '1000 0180  VETH_INFO_PEER',
      '010203 00  fixed header, padded',
      '0800 1c00 07000000  IFLA_NET_NS_FD',
    ),
  );
});

test('AttributeWriter grows, and refuses what the 16-bit length cannot say', () => {
  const many = new AttributeWriter();
  for (let index = 0; index < 1000; index++) many.u32(1, index);
  assert.equal(many.finish().length, 8000);
  assert.deepEqual(
    listAttributes(many.finish()).map(({ value }) => numberOf(value)),
    Array.from({ length: 1000 }, (_, index) => index),
  );
  assert.throws(() => new AttributeWriter().bytes(3, Buffer.alloc(0x10000)), /attribute 3 is too long: 65540 bytes/);
  assert.throws(
    () =>
      new AttributeWriter().nested(4, (inner) => {
        for (let index = 0; index < 20_000; index++) inner.flag(1);
      }),
    /attribute 4 is too long/,
  );
});

test('encodeMessage and parseMessages are each other’s inverse', () => {
  const first = encodeMessage(16, 0x605, 1, Buffer.from('aabbcc', 'hex'));
  assert.equal(
    first.toString('hex'),
    hex('13000000  length without padding', '1000 0506  type, flags', '01000000  sequence', '00000000  port', 'aabbcc 00  payload, padded'),
  );
  const both = Buffer.concat([first, encodeMessage(3, 2, 9, Buffer.alloc(4))]);
  assert.deepEqual(parseMessages(both), [
    { type: 16, flags: 0x605, sequence: 1, payload: Buffer.from('aabbcc', 'hex') },
    { type: 3, flags: 2, sequence: 9, payload: Buffer.alloc(4) },
  ]);
});

test('values: numbers in both orders, text to its NUL', () => {
  const attributes = parseAttributes(Buffer.from(hex('0800 0100 78563412', '0600 0280 1234 0000', '0800 0340 65746800'), 'hex'));
  assert.equal(numberOf(attributes.get(1) ?? Buffer.alloc(0)), 0x12345678);
  assert.equal(numberOfBigEndian(attributes.get(2) ?? Buffer.alloc(0)), 0x1234);
  assert.equal(textOf(attributes.get(3) ?? Buffer.alloc(0)), 'eth');
  assert.throws(() => numberOf(Buffer.alloc(3)), /number of 3 bytes/);
});

test('hostile bytes are an error that says where', () => {
  const parse = (text: string) => () => parseAttributes(Buffer.from(text, 'hex'));
  assert.throws(parse('0300 0100'.replaceAll(' ', '')), /attribute at byte 0 of 4 claims to be 3 bytes/);
  assert.throws(parse('0900010000000000'), /attribute at byte 0 of 8 claims to be 9 bytes/);
  assert.throws(parse('0800010000000000ffff0100'), /attribute at byte 8 of 12 claims to be 65535 bytes/);
  // Less than a header at the end is padding.
  assert.equal(parseAttributes(Buffer.from('08000100000000000000', 'hex')).size, 1);
  const messages = (text: string) => () => parseMessages(Buffer.from(text, 'hex'));
  assert.throws(messages('1000'), /header is cut off at byte 0 of 2/);
  assert.throws(messages(`0f000000${'00'.repeat(12)}`), /claims to be 15 bytes/);
  assert.throws(messages(`11000000${'00'.repeat(12)}`), /claims to be 17 bytes/);
});

test('parsers end on any input', () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed >> 16;
  };
  for (let round = 0; round < 5000; round++) {
    const bytes = Buffer.from(Array.from({ length: random() % 40 }, () => (random() % 4 === 0 ? random() & 0xff : random() % 12)));
    for (const parse of [listAttributes, parseMessages]) {
      try {
        parse(bytes);
      } catch (thrown) {
        assert.match(String(thrown), /malformed netlink data/);
      }
    }
  }
});
