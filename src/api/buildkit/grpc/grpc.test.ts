import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { invalid, notFound, notImplemented } from '../../../base/errors.ts';
import { metadataOf, timeoutMs } from './call.ts';
import { frame, messageLimitBytes, messagesOf } from './frames.ts';
import { decodeMessage, encodeMessage, GrpcError, grpcErrorOf, readStatus, statusTrailers } from './status.ts';

async function read(chunks: Iterable<Uint8Array>): Promise<Buffer[]> {
  const found: Buffer[] = [];
  const body = async function* () {
    yield* chunks;
  };
  for await (const message of messagesOf(body())) found.push(Buffer.from(message));
  return found;
}

test('messages come out as they went in, however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 })),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      async (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(frame));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = cuts[turn % cuts.length] ?? 1;
          chunks.push(bytes.subarray(at, at + length));
          at += length;
        }
        assert.deepEqual(
          await read(chunks),
          messages.map((message) => Buffer.from(message)),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('SEC-18 compressed, oversized and cut messages are refused before their bytes are kept', async () => {
  await assert.rejects(read([Buffer.from([1, 0, 0, 0, 0])]), /compressed/);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(messageLimitBytes + 1, 1);
  await assert.rejects(read([head]), /larger than max \(16777217 vs\. 16777216\)/);
  await assert.rejects(read([frame(Buffer.from('abc')).subarray(0, 6)]), /ends within a message/);
});

test('grpc-message is percent-encoded UTF-8, and read back', () => {
  assert.equal(encodeMessage('50 % – ü\n'), '50 %25 %E2%80%93 %C3%BC%0A');
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (message) => assert.equal(decodeMessage(encodeMessage(message)), message)));
  assert.equal(decodeMessage('100%zz'), '100%zz');
});

test('trailers: code, message, details, and none that are too large', () => {
  assert.deepEqual(statusTrailers(null), { 'grpc-status': '0' });
  assert.equal(readStatus(statusTrailers(null)), null);
  const error = new GrpcError(9, 'no\nway', [{ typeUrl: 'errdefs.Source', value: Buffer.from('v') }]);
  const again = readStatus(statusTrailers(error));
  assert.deepEqual([again?.code, again?.message, again?.details], [9, 'no\nway', [{ typeUrl: 'errdefs.Source', value: Buffer.from('v') }]]);
  const large = new GrpcError(2, 'x'.repeat(100_000), [{ typeUrl: 'a', value: Buffer.alloc(1_000_000) }]);
  const trailers = statusTrailers(large);
  assert.ok((trailers['grpc-message'] ?? '').length < 70_000);
  assert.equal(trailers['grpc-status-details-bin'], undefined);
});

test('what the other side sends as a status is never more than an error', () => {
  assert.equal(readStatus({})?.code, 13);
  assert.equal(readStatus({ 'grpc-status': 'x' })?.code, 2);
  assert.deepEqual(readStatus({ 'grpc-status': '5', 'grpc-status-details-bin': '////' })?.details, []);
});

test('errors of ours have codes of gRPC', () => {
  const codes = [invalid('a'), notFound('b'), notImplemented('c'), new Error('d'), 'e'].map((error) => grpcErrorOf(error).code);
  assert.deepEqual(codes, [3, 5, 12, 2, 2]);
});

test('grpc-timeout, and metadata that come several times', () => {
  const of = (value: string) => timeoutMs(new Map([['grpc-timeout', [value]]]));
  assert.deepEqual(
    [of('15S'), of('2M'), of('250m'), of('99999999H'), of('1n'), of('-1S'), of('S'), timeoutMs(new Map())],
    [15_000, 120_000, 250, 2 ** 31 - 1, 1, null, null, null],
  );
  assert.deepEqual([...metadataOf([':path', '/a', 'K', '1', 'k', '2'])], [['k', ['1', '2']]]);
});
