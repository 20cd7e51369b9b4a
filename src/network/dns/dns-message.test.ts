import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  answersQuestion,
  encodeName,
  nameKey,
  type ParsedQuery,
  parseQuery,
  type Query,
  rcode,
  typeA,
  udpLimit,
  writeAnswer,
  writeBareFailure,
  writeFailure,
} from './dns-message.ts';
import { question, readAnswer, wireName } from './testing/dns-client.ts';

function queryOf(packet: Buffer): Query {
  const parsed = parseQuery(packet);
  assert.equal(parsed.kind, 'query');
  return parsed.kind === 'query' ? parsed.query : assert.fail();
}

const codeOf = (parsed: ParsedQuery) => (parsed.kind === 'error' ? parsed.rcode : parsed.kind);

function changed(packet: Buffer, offset: number, ...bytes: readonly number[]): Buffer {
  const copy = Buffer.from(packet);
  copy.set(bytes, offset);
  return copy;
}

test('parseQuery: name in lower case, type, EDNS', () => {
  const packet = question('Web.My-Net', 'AAAA', { ednsSize: 4096 });
  assert.deepEqual(queryOf(packet), {
    name: 'web.my-net',
    type: 28,
    class: 1,
    questionEnd: 12 + 12 + 4,
    edns: { udpBytes: 4096, version: 0, dnssecOk: true },
  });
  assert.equal(queryOf(question('', 'A')).name, '');
});

test('parseQuery: bounds of labels and names', () => {
  const longest = Array.from({ length: 4 }, (_, index) => 'x'.repeat(index === 3 ? 61 : 63)).join('.');
  assert.equal(queryOf(question(longest, 'A')).name, longest);
  assert.equal(codeOf(parseQuery(question(`${longest}x`, 'A'))), rcode.formatError);
  assert.equal(codeOf(parseQuery(changed(question('ab', 'A'), 12, 64))), rcode.formatError);
  assert.equal(codeOf(parseQuery(changed(question('ab', 'A'), 12, 0xc0, 0x0c))), rcode.formatError);
  assert.equal(queryOf(changed(question('a-b', 'A'), 14, 0x2e)).name, null);
});

test('parseQuery: what is no question', () => {
  const packet = question('web', 'A');
  for (let length = 12; length < packet.length; length++) assert.equal(codeOf(parseQuery(packet.subarray(0, length))), rcode.formatError);
  for (let length = 0; length < 12; length++) assert.equal(codeOf(parseQuery(packet.subarray(0, length))), 'drop');
  assert.equal(codeOf(parseQuery(changed(packet, 2, 0x81))), 'drop');
  assert.equal(codeOf(parseQuery(changed(packet, 2, 0x29))), rcode.notImplemented);
  for (const count of [0, 2, 255]) assert.equal(codeOf(parseQuery(changed(packet, 5, count))), rcode.formatError);
  assert.equal(codeOf(parseQuery(question('web', 'A', { ednsSize: 512 }).subarray(0, -1))), rcode.formatError);
});

test('writeAnswer: as Docker: TTL 600, recursion available; EDNS is echoed', () => {
  const packet = question('web', 'A', { ednsSize: 1400 });
  const records = ['1', '2', '3'].map((last) => ({ type: typeA, data: Buffer.from([10, 0, 0, Number(last)]) }));
  const answer = readAnswer(writeAnswer(packet, queryOf(packet), records, 1, 512));
  assert.deepEqual(answer.answers, ['web A 600 10.0.0.2', 'web A 600 10.0.0.3', 'web A 600 10.0.0.1']);
  assert.deepEqual([answer.id, answer.rcode, answer.recursionAvailable, answer.truncated], [0x1234, 0, true, false]);
  assert.deepEqual(answer.edns, { size: 1232, extendedRcode: 0, dnssecOk: true });
});

test('writeAnswer: what does not fit is left out and said', () => {
  const packet = question('web', 'A');
  const records = Array.from({ length: 40 }, (_, index) => ({ type: typeA, data: Buffer.from([10, 0, 0, index]) }));
  const short = readAnswer(writeAnswer(packet, queryOf(packet), records, 0, udpLimit(queryOf(packet))));
  assert.deepEqual([short.truncated, short.answers.length, short.bytes <= 512], [true, 30, true]);
  const wide = question('web', 'A', { ednsSize: 1232 });
  assert.deepEqual(readAnswer(writeAnswer(wide, queryOf(wide), records, 0, udpLimit(queryOf(wide)))).answers.length, 40);
});

test('writeFailure: an extended code is split between header and OPT', () => {
  const packet = question('web', 'A', { ednsSize: 512, ednsVersion: 3 });
  const answer = readAnswer(writeFailure(packet, queryOf(packet), rcode.badVersion));
  assert.deepEqual([answer.rcode, answer.edns?.extendedRcode], [0, 1]);
});

test('encodeName: what DNS can say', () => {
  assert.deepEqual(encodeName('a.bc'), Buffer.from('\u0001a\u0002bc\0'));
  assert.equal(encodeName('x'.repeat(64)), null);
  assert.equal(encodeName('a..b'), null);
  assert.equal(encodeName(Array.from({ length: 128 }, () => 'a').join('.')), null);
});

test('answersQuestion: same question in any case; a failing server may leave it out', () => {
  const packet = question('Web.example', 'A');
  const query = queryOf(packet);
  const answer = writeAnswer(question('wEB.EXAMPLE', 'A'), query, [], 0, 512);
  assert.equal(answersQuestion(answer, packet, query), true);
  assert.equal(answersQuestion(writeAnswer(question('bad.example', 'A'), query, [], 0, 512), packet, query), false);
  assert.equal(answersQuestion(writeAnswer(question('Web.example', 'AAAA'), query, [], 0, 512), packet, query), false);
  assert.equal(answersQuestion(packet, packet, query), false);
  assert.equal(answersQuestion(writeBareFailure(packet, rcode.refused), packet, query), true);
  assert.equal(answersQuestion(writeBareFailure(packet, 0), packet, query), false);
});

test('property: any bytes are dropped, refused or answered, without a throw and within bounds', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const nearly = fc.tuple(fc.uint8Array({ maxLength: 80 }), fc.boolean()).map(([tail, additional]) => {
    const header = [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional ? 1 : 0];
    return Uint8Array.from([...header, ...tail]);
  });
  fc.assert(
    fc.property(fc.oneof(bytes, nearly), fc.nat(200), fc.nat(5), (input, count, first) => {
      const packet = Buffer.from(input);
      const parsed = parseQuery(packet);
      if (parsed.kind === 'drop') return true;
      if (parsed.kind === 'error') return writeBareFailure(packet, parsed.rcode).length === 12;
      const { query } = parsed;
      const limit = udpLimit(query);
      const records = Array.from({ length: count }, () => ({ type: typeA, data: Buffer.alloc(4) }));
      const answer = writeAnswer(packet, query, records, first, limit);
      readAnswer(answer);
      return query.questionEnd <= packet.length && answer.length <= limit && writeFailure(packet, query, 2).length <= limit;
    }),
    { numRuns: 3000 },
  );
});

test('property: a name comes back as nameKey spells it', () => {
  const label = fc.stringMatching(/^[A-Za-z0-9_é-]{1,20}$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 5 }), (labels) => {
      const name = labels.join('.');
      const encoded = encodeName(name);
      if (encoded === null) return;
      const header = question('', 'A').subarray(0, 12);
      assert.equal(queryOf(Buffer.concat([header, encoded, Buffer.from([0, 1, 0, 1])])).name, nameKey(name));
    }),
  );
  assert.equal(nameKey('Web.'), 'web');
  assert.deepEqual(wireName('web'), encodeName('web'));
});
