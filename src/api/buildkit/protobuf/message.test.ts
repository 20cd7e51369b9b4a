import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../../../base/errors.ts';
import { ControlSolveRequest, StatusResponse } from '../messages/control.ts';
import { ReturnRequest } from '../messages/gateway.ts';
import { PacketMessage } from '../messages/session.ts';
import { bigInt64, bool, bytes, fileName, int32, int64, list, map, message, optional, repeated, text, uint32 } from './message.ts';

const Inner = message({ name: text(1), number: int32(2) });
const Everything = message({
  text: text(1),
  name: fileName(2),
  bytes: bytes(3),
  flag: bool(4),
  small: uint32(5),
  signed: int32(6),
  large: int64(7),
  huge: bigInt64(8),
  inner: optional(9, Inner),
  texts: repeated(text(10)),
  inners: list(11, Inner),
  labels: map(12, text),
  wide: text(536_870_911),
});

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('bytes of a packet as they were recorded: REQ for id 0, data for id 0', () => {
  assert.equal(hex(PacketMessage.encode({ type: 1, id: 0 })), '0801');
  //                                            08 02 type 2 · 22 03 data of 3 bytes; id 0 is left out
  assert.equal(hex(PacketMessage.encode({ type: 2, id: 0, data: Buffer.from('abc') })), '08022203616263');
  assert.deepEqual(PacketMessage.decode(Buffer.from('08021802220161', 'hex')), { type: 2, stat: null, id: 2, data: Buffer.from('a') });
});

test('negative numbers take ten bytes, as in Go', () => {
  assert.equal(hex(Everything.encode({ signed: -1 })), '30ffffffffffffffffff01');
  assert.equal(Everything.decode(Buffer.from('30ffffffffffffffffff01', 'hex')).signed, -1);
});

const inner = fc.record({ name: fc.string(), number: fc.integer() }, { noNullPrototype: true });
const everything = fc.record(
  {
    text: fc.string({ unit: 'grapheme' }),
    name: fc.uint8Array({ maxLength: 20 }).map((value) =>
      Buffer.from(value)
        .toString('latin1')
        .replace(/[\x80-\xff]/g, 'ü'),
    ),
    bytes: fc.uint8Array().map((value) => Buffer.from(value)),
    flag: fc.boolean(),
    small: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    signed: fc.integer(),
    large: fc.maxSafeInteger(),
    huge: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    inner: fc.option(inner),
    texts: fc.array(fc.string()),
    inners: fc.array(inner),
    labels: fc.array(fc.tuple(fc.string(), fc.string())).map((pairs) => new Map(pairs)),
    wide: fc.string(),
  },
  { noNullPrototype: true },
);

test('what was written is read', () => {
  fc.assert(
    fc.property(everything, (value) => assert.deepEqual(Everything.decode(Everything.encode(value)), value)),
    { numRuns: 300 },
  );
});

test('unknown fields are skipped, the last of two values wins', () => {
  const unknown = Buffer.from(`d80605e20601ffe906${'00'.repeat(8)}ed06${'00'.repeat(4)}`, 'hex');
  assert.deepEqual(Inner.decode(Buffer.concat([unknown, Inner.encode({ name: 'a' }), unknown, Inner.encode({ name: 'b' })])), {
    name: 'b',
    number: 0,
  });
});

const malformed: readonly (readonly [string, string, RegExp])[] = [
  ['a length behind the end', '0a05', /ends within a field/],
  ['a varint that does not end', '10ffffffffffffffffffff01', /longer than ten bytes/],
  ['a varint that is cut', '10ff', /ends within a field/],
  ['field 0', '00', /no field 0/],
  ['a group', '0b', /wire type 3/],
  ['another wire type', '0801', /wire type 0, not 2/],
  ['no UTF-8', '0a01ff', /not UTF-8/],
];
for (const [what, bytes, words] of malformed)
  test(`malformed: ${what}`, () => assert.throws(() => Inner.decode(Buffer.from(bytes, 'hex')), words));

test('a number that no number holds is refused, nesting ends', () => {
  assert.throws(() => Everything.decode(Everything.encode({ huge: 2n ** 60n }).fill(0x38, 0, 1)), /out of range/);
  type Nest = { readonly decode: (bytes: Uint8Array) => unknown; readonly readFrom: never };
  const nest: { type?: Nest } = {};
  const lazy = {
    encode: () => Buffer.alloc(0),
    decode: () => null,
    readFrom: (reader: never) => (nest.type as { readFrom: (r: never) => unknown }).readFrom(reader),
  };
  nest.type = message({ next: optional(1, lazy) }) as never;
  let deep: Buffer = Buffer.alloc(0);
  for (let depth = 0; depth < 40; depth += 1) deep = Buffer.concat([Buffer.from([0x0a, deep.length]), deep]);
  assert.throws(() => nest.type?.decode(deep), /nested deeper/);
});

test('garbage is a message or an error of ours, soon', () => {
  const types = [Everything, PacketMessage, ControlSolveRequest, StatusResponse, ReturnRequest];
  const valid = [
    Everything.encode({ text: 'x', inner: { name: 'y', number: 3 }, labels: new Map([['a', 'b']]), inners: [{ name: 'z', number: 1 }] }),
    ControlSolveRequest.encode({
      ref: 'r',
      frontendAttributes: new Map([['filename', 'Dockerfile']]),
      exporters: [{ type: 'moby', attributes: new Map() }],
    }),
  ];
  const mutated = fc
    .tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat())
    .map(([bytes, changes, cut]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return copy.subarray(0, copy.length - (cut % 4));
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), fc.constantFrom(...types), (bytes, type) => {
      try {
        type.decode(bytes);
      } catch (error) {
        assert.ok(error instanceof EngineError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("another implementation reads what we write (protobuf's own library)", async () => {
  const { decodeMessage } = await import('../../../../test/harness/buildx-client.ts');
  const status = StatusResponse.encode({
    vertexes: [{ digest: 'sha256:1', name: 'ü', inputs: ['a', 'b'], cached: true, startedAt: { seconds: -5, nanoseconds: 7 } }],
    logs: [{ vertex: 'v', stream: 2, bytes: Buffer.from([0, 255]) }],
    statuses: [{ id: 'i', current: 2 ** 40, total: 0 }],
  });
  const read = decodeMessage('moby.buildkit.v1.StatusResponse', status) as never as {
    vertexes: { name: string; inputs: string[]; cached: boolean; started: { seconds: number; nanos: number }; completed: null }[];
    logs: { msg: Buffer }[];
    statuses: { current: number }[];
  };
  const [vertex] = read.vertexes;
  assert.deepEqual([vertex?.name, vertex?.inputs, vertex?.cached, vertex?.completed], ['ü', ['a', 'b'], true, null]);
  assert.deepEqual({ ...vertex?.started }, { seconds: -5, nanos: 7 });
  assert.deepEqual([read.logs[0]?.msg, read.statuses[0]?.current], [Buffer.from([0, 255]), 2 ** 40]);
});
