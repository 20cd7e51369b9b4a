import assert from 'node:assert/strict';
import test from 'node:test';
import { gunzipSync, inflateSync } from 'node:zlib';
import { gelfDatagrams, gelfDriver } from './gelf-driver.ts';
import type { LogOptions } from './log-driver.ts';
import { message, never, streamReceiver, subject, udpReceiver, until } from './receivers.ts';

const expected = {
  version: '1.1',
  host: 'host1',
  short_message: 'hello',
  timestamp: 1767323045.678,
  level: 6,
  _tier: 'front',
  _command: 'sh -c true',
  _container_id: subject.id,
  _container_name: 'web',
  _created: '2026-01-02T03:04:05.678Z',
  _image_id: subject.imageId,
  _image_name: 'busybox',
  _tag: 'abcdef012345',
};

for (const [type, unpack] of [
  ['gzip', gunzipSync],
  ['zlib', inflateSync],
  ['none', (bytes: Buffer) => bytes],
] as const) {
  test(`gelf over udp, ${type}`, async (context) => {
    const { port, datagrams } = await udpReceiver(context);
    const options = { 'gelf-address': `udp://127.0.0.1:${port}`, 'gelf-compression-type': type, labels: 'tier' };
    const sink = gelfDriver.sink?.(options).open(subject);
    await sink?.send([message('hello'), message('')], never);
    await until(() => datagrams.length > 0, 'a datagram');
    sink?.close();
    assert.deepEqual(JSON.parse(String(unpack(datagrams[0] as Buffer))), expected);
  });
}

test('gelfDatagrams: a large message in chunks, as bytes; one too large for any receiver is not sent', () => {
  const packed = Buffer.alloc(3000, 7);
  const chunks = gelfDatagrams(packed);
  assert.equal(chunks.length, 3);
  for (const [index, chunk] of chunks.entries()) {
    assert.equal(chunk.toString('hex', 0, 2), '1e0f'); // magic
    assert.deepEqual(chunk.subarray(2, 10), chunks[0]?.subarray(2, 10)); // message id
    assert.deepEqual([chunk[10], chunk[11]], [index, 3]); // number, count
  }
  assert.deepEqual(Buffer.concat(chunks.map((chunk) => chunk.subarray(12))), packed);
  assert.deepEqual(gelfDatagrams(Buffer.alloc(1420 * 128)), []);
});

test('gelf over tcp: documents end in a NUL', async (context) => {
  const receiver = await streamReceiver(context);
  const sink = gelfDriver.sink?.({ 'gelf-address': `tcp://127.0.0.1:${receiver.port}`, labels: 'tier' }).open(subject);
  await sink?.send([message('hello'), message('oops', { stderr: true })], never);
  await until(() => receiver.text().split('\0').length === 3, 'two documents');
  sink?.close();
  const [first, second] = receiver.text().split('\0');
  assert.deepEqual(JSON.parse(first ?? ''), expected);
  assert.equal(JSON.parse(second ?? '').level, 3);
});

test('gelf: wrong options are refused with Docker’s texts', () => {
  const refuses = (options: LogOptions, text: string) => assert.throws(() => gelfDriver.sink?.(options), { message: text });
  const udp = { 'gelf-address': 'udp://127.0.0.1:1' };
  const tcp = { 'gelf-address': 'tcp://127.0.0.1:1' };
  refuses({ foo: '1' }, 'gelf-address is a required parameter');
  refuses({ ...udp, foo: '1' }, "unknown log opt 'foo' for gelf log driver");
  refuses({ 'gelf-address': 'x' }, 'gelf-address should be in form proto://address, got x');
  refuses({ 'gelf-address': 'http://x:1' }, 'gelf-address should be in form proto://address, got http://x:1');
  refuses({ 'gelf-address': 'udp://x' }, 'gelf: please provide gelf-address as proto://host:port');
  refuses({ ...udp, 'gelf-compression-type': 'zz' }, 'unknown value "zz" for log opt "gelf-compression-type" for gelf log driver');
  refuses({ ...udp, 'gelf-compression-level': 'zz' }, 'unknown value "zz" for log opt "gelf-compression-level" for gelf log driver');
  refuses({ ...tcp, 'gelf-compression-level': '1' }, 'compression is only supported on UDP');
  refuses({ ...udp, 'gelf-tcp-max-reconnect': '1' }, '"gelf-tcp-max-reconnect" is only valid for TCP');
  refuses({ ...tcp, 'gelf-tcp-max-reconnect': '-1' }, '"gelf-tcp-max-reconnect" must be a positive integer');
  refuses({ ...tcp, 'gelf-tcp-reconnect-delay': 'zz' }, '"gelf-tcp-reconnect-delay" must be a positive integer');
});
