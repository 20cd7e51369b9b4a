import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatenated, NftBatch, rule } from './batch.ts';
import { parseElements } from './elements.ts';
import {
  accept,
  connectionState,
  drop,
  iifname,
  inSet,
  interfaceName,
  ipDaddr,
  matchLeadingBytes,
  NFPROTO_INET,
  NFT_GOTO,
  port,
  protocol,
} from './expressions.ts';

/** Expected bytes, one annotated piece a line. */
function hex(...pieces: readonly string[]): string {
  return pieces.map((piece) => piece.replace(/ {2}.*$/, '').replaceAll(' ', '')).join('');
}

function payloads(batch: NftBatch): string[] {
  return batch.messages.map(({ payload }) => Buffer.from(payload).toString('hex'));
}

test('NftBatch.addTable asks for its flags and leaves a comment', () => {
  const batch = new NftBatch(NFPROTO_INET, 'g').addTable(6, 'v1');
  assert.equal(batch.messages[0]?.type, 0x0a00, 'NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE');
  assert.deepEqual(payloads(batch), [
    hex(
      '01 00 0000  nfgenmsg: NFPROTO_INET, version, resource',
      '0600 0100 6700 0000  NFTA_TABLE_NAME "g"',
      '0800 0200 00000006  NFTA_TABLE_FLAGS owner | persist',
      '0900 0600 00 03 763100 000000  NFTA_TABLE_USERDATA: comment, 3 bytes, "v1"',
    ),
  ]);
});

test('NftBatch.addSet of a map with concatenated key and data', () => {
  const batch = new NftBatch(NFPROTO_INET, 'g').addSet({
    name: 'm',
    key: ['inet_proto', 'inet_service'],
    data: ['ipv4_addr', 'inet_service'],
  });
  assert.deepEqual(payloads(batch), [
    hex(
      '01 00 0000',
      '0600 0100 6700 0000  NFTA_SET_TABLE',
      '0600 0200 6d00 0000  NFTA_SET_NAME',
      '0800 0300 00000008  NFTA_SET_FLAGS map',
      '0800 0400 0000030d  NFTA_SET_KEY_TYPE 12 (inet_proto) << 6 | 13 (inet_service)',
      '0800 0500 00000008  NFTA_SET_KEY_LEN: each part padded to 4',
      '0800 0a00 00000001  NFTA_SET_ID',
      '0a00 0d00 00 04 02000000 0000  NFTA_SET_USERDATA: key in network order',
      '0800 0600 000001cd  NFTA_SET_DATA_TYPE 7 (ipv4_addr) << 6 | 13',
      '0800 0700 00000008  NFTA_SET_DATA_LEN',
    ),
  ]);
});

test('NftBatch.addElements: a published port, a verdict; parseElements reads them back', () => {
  const published = { key: concatenated(protocol('tcp'), port(8080)), data: concatenated(Buffer.from([10, 0, 0, 2]), port(80)) };
  const batch = new NftBatch(NFPROTO_INET, 'g').addElements('m', [published]);
  assert.equal(batch.messages[0]?.flags, 0x600, 'NLM_F_CREATE | NLM_F_EXCL');
  assert.deepEqual(payloads(batch), [
    hex(
      '01 00 0000',
      '0600 0100 6700 0000  NFTA_SET_ELEM_LIST_TABLE',
      '0600 0200 6d00 0000  NFTA_SET_ELEM_LIST_SET',
      '2800 0380  NFTA_SET_ELEM_LIST_ELEMENTS, nested',
      '2400 0180  NFTA_LIST_ELEM',
      '1000 0180 0c00 0100 06000000 1f900000  key: tcp . 8080',
      '1000 0280 0c00 0100 0a000002 00500000  data: 10.0.0.2 . 80',
    ),
  ]);
  const verdict = { key: interfaceName('br0'), data: { code: NFT_GOTO, chain: 'routed' } };
  for (const element of [published, verdict]) {
    const [message] = new NftBatch(NFPROTO_INET, 'g').addElements('m', [element]).messages;
    assert.deepEqual(parseElements(Buffer.from(message?.payload ?? [])), [{ ...element, key: Buffer.from(element.key) }]);
  }
});

test('NftBatch splits many elements over messages that fit', () => {
  const elements = Array.from({ length: 1000 }, (_, index) => ({ key: port(index), data: null }));
  const { messages } = new NftBatch(NFPROTO_INET, 'g').addElements('s', elements);
  assert.equal(messages.length, 3);
  assert.equal(messages.flatMap(({ payload }) => parseElements(Buffer.from(payload))).length, 1000);
});

test('NftBatch.appendRule: iifname @s ip daddr 127.0.0.0/8 drop', () => {
  const batch = new NftBatch(NFPROTO_INET, 'g').appendRule('c', rule(inSet([iifname], 's'), matchLeadingBytes(ipDaddr, 127), drop));
  assert.equal(batch.messages[0]?.flags, 0xc00, 'NLM_F_CREATE | NLM_F_APPEND');
  assert.deepEqual(payloads(batch), [
    hex(
      '01 00 0000',
      '0600 0100 6700 0000  NFTA_RULE_TABLE',
      '0600 0200 6300 0000  NFTA_RULE_CHAIN',
      '2c01 0480  NFTA_RULE_EXPRESSIONS, nested',
      '2400 0180 0900 0100 6d65746100 000000 1400 0280 0800 0100 00000008 0800 0200 00000006  meta: NFT_REG32_00 = iifname',
      '2400 0180 0b00 0100 6c6f6f6b757000 00 1400 0280 0600 0100 7300 0000 0800 0200 00000008  lookup: register 8 in "s"',
      '2400 0180 0900 0100 6d65746100 000000 1400 0280 0800 0100 00000008 0800 0200 0000000f  meta: register 8 = nfproto',
      '2c00 0180 0800 0100 636d7000 2000 0280 0800 0100 00000008 0800 0200 00000000 0c00 0380 0500 0100 02 000000  cmp: equals IPv4',
      '3400 0180 0c00 0100 7061796c6f616400 2400 0280 0800 0100 00000008 0800 0200 00000001 0800 0300 00000010 0800 0400 00000001  payload: 1 byte at 16 of the network header',
      '2c00 0180 0800 0100 636d7000 2000 0280 0800 0100 00000008 0800 0200 00000000 0c00 0380 0500 0100 7f 000000  cmp: equals 127',
      '3000 0180 0e00 0100 696d6d65646961746500 0000 1c00 0280 0800 0100 00000000 1000 0280 0c00 0280 0800 0100 00000000  immediate: verdict NF_DROP',
    ),
  ]);
});

test('NftBatch.insertRule goes before the others; a comment is kept in its user data', () => {
  const [message] = new NftBatch(NFPROTO_INET, 'g').insertRule('c', {
    statements: [connectionState('established'), accept],
    comment: 'x',
  }).messages;
  assert.equal(message?.flags, 0x400, 'NLM_F_CREATE without NLM_F_APPEND');
  assert.ok(
    Buffer.from(message?.payload ?? [])
      .toString('hex')
      .endsWith(hex('0800 0700 00 02 7800  NFTA_RULE_USERDATA')),
  );
});
