import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../oci/digest.ts';
import { type DownloadOptions, downloadBlob } from './download-blob.ts';
import { createRegistryClient } from './http-registry-client.ts';
import type { RegistrySettings } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { memorySink } from './testing/memory-sink.ts';
import { type Answering, type Asked, type SmallServer, smallServer, testSettings } from './testing/small-server.ts';

const blob = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
const digest = digestOf(blob);
const backoff = { firstMs: 1, capMs: 4 };

/** Where a request wants to start. */
const startOf = ({ headers }: Asked): number => Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);

/** Sends `count` bytes of what was asked for and cuts the connection, unless that was all. */
function sendPart(asked: Asked, response: ServerResponse, count: number): void {
  const start = startOf(asked);
  const range = start > 0 ? { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` } : {};
  response.writeHead(start > 0 ? 206 : 200, { 'content-length': blob.length - start, ...range });
  const part = blob.subarray(start, start + count);
  if (start + count >= blob.length) response.end(part);
  else response.write(part, () => setImmediate(() => response.socket?.destroy()));
}

function download(server: SmallServer, sink = memorySink(), options: DownloadOptions = {}, settings: Partial<RegistrySettings> = {}) {
  const client = createRegistryClient(testSettings(settings));
  const repository = client.repository({ domain: server.host, path: 'a' }, null);
  return downloadBlob(repository, { digest, size: blob.length }, sink, { backoff, ...options });
}

async function failure(downloading: Promise<void>): Promise<RegistryError> {
  const thrown = await downloading.then(
    () => assert.fail('it came through'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof RegistryError, String(thrown));
  return thrown;
}

test('FAULT downloadBlob: cut anywhere, however often, it completes and no byte comes twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: blob.length }), { maxLength: 20 }), async (pieces) => {
      let wanted = 0;
      let round = 0;
      await using server = await smallServer((asked, response) => {
        // Nothing before what was received is asked for again.
        assert.ok(startOf(asked) >= wanted);
        wanted = startOf(asked);
        sendPart(asked, response, pieces[round++] ?? blob.length);
      });
      const sink = memorySink();
      const seen: number[] = [];
      await download(server, sink, { onProgress: (size) => seen.push(size) });
      assert.deepEqual(sink.bytes(), blob);
      assert.equal(sink.restarts, 0);
      assert.deepEqual(
        seen,
        [...seen].sort((one, other) => one - other),
      );
    }),
    { numRuns: 15 },
  );
});

test('downloadBlob: goes on from what a sink has; a full one asks nothing, one that has too much starts again', async () => {
  await using server = await smallServer((asked, response) => sendPart(asked, response, blob.length));
  const half = memorySink(blob.subarray(0, 50_000));
  await download(server, half);
  assert.deepEqual(half.bytes(), blob);
  assert.equal(server.asked[0]?.headers.range, 'bytes=50000-');
  await download(server, memorySink(blob));
  assert.equal(server.asked.length, 1);
  const tooMuch = memorySink(Buffer.concat([blob, blob]));
  await download(server, tooMuch);
  assert.deepEqual(tooMuch.bytes(), blob);
});

test('downloadBlob: a registry without ranges (200, or 416) starts from 0', async () => {
  const whole: Answering = (_, response) => void response.writeHead(200, { 'content-length': blob.length }).end(blob);
  await using without = await smallServer(whole);
  const sink = memorySink(blob.subarray(0, 10));
  await download(without, sink);
  assert.deepEqual([sink.bytes(), sink.restarts], [blob, 1]);
  await using refusing = await smallServer((asked, response, server) =>
    startOf(asked) > 0 ? void response.writeHead(416).end() : whole(asked, response, server),
  );
  const other = memorySink(blob.subarray(0, 10));
  await download(refusing, other);
  assert.deepEqual([other.bytes(), other.restarts], [blob, 1]);
  await using always = await smallServer((_, response) => void response.writeHead(416).end());
  assert.equal((await failure(download(always, memorySink(blob.subarray(0, 10))))).failure.status, 416);
});

test('FAULT downloadBlob: a registry that gets ranges wrong is one without: from 0, once', async () => {
  const total = blob.length;
  const ranges = [`bytes 0-${total - 1}/${total}`, `bytes 10-${total - 1}/${total + 1}`, `bytes 10-${total}/${total}`, null];
  for (const range of ranges) {
    const wrong: Answering = (_, response) => {
      response.writeHead(206, range === null ? {} : { 'content-range': range });
      response.flushHeaders();
      response.write('x');
    };
    await using server = await smallServer((asked, response, own) =>
      asked.headers.range === undefined ? void response.writeHead(200).end(blob) : wrong(asked, response, own),
    );
    const sink = memorySink(blob.subarray(0, 10));
    await download(server, sink);
    assert.deepEqual([sink.bytes(), sink.restarts, server.asked.length], [blob, 1, 2]);
  }
  await using always = await smallServer((_, response) => {
    response.writeHead(206);
    response.flushHeaders();
    response.write('x');
  });
  assert.match((await failure(download(always, memorySink(blob.subarray(0, 10))))).message, /Content-Range/);
  assert.equal(always.asked.length, 2);
});

test('FAULT downloadBlob: what is announced wrongly is an error that is not repeated', async () => {
  const total = blob.length;
  const answers: readonly (readonly [number, Record<string, string>, RegExp])[] = [
    [200, { 'content-length': String(total + 1) }, /has 100001 bytes to come, the manifest says 100000/],
    [200, { 'content-length': '5' }, /has 5 bytes to come/],
    [200, { 'content-encoding': 'gzip' }, /Content-Encoding gzip/],
  ];
  for (const [status, headers, message] of answers) {
    await using server = await smallServer((_, response) => {
      response.writeHead(status, headers);
      response.flushHeaders();
      response.write('x');
    });
    assert.match((await failure(download(server, memorySink(blob.subarray(0, 10))))).message, message);
    assert.equal(server.asked.length, 1);
  }
  await using longer = await smallServer((_, response) => {
    response.writeHead(200);
    response.write(blob);
    response.end('more');
  });
  const sink = memorySink();
  assert.match((await failure(download(longer, sink))).message, /longer than the 100000 bytes/);
  assert.ok(sink.sizeBytes <= blob.length);
});

test('FAULT downloadBlob: 429 and 503 wait as long as they say, with the seconds told; attempts without progress end', async () => {
  let busy = 2;
  await using server = await smallServer((asked, response) => {
    if (busy-- > 0) return void response.writeHead(busy ? 429 : 503, { 'retry-after': '1' }).end();
    sendPart(asked, response, blob.length);
  });
  const seconds: number[] = [];
  const started = performance.now();
  await download(server, memorySink(), { onRetry: (left) => seconds.push(left) });
  assert.ok(performance.now() - started >= 1900);
  assert.ok(seconds.length >= 2 && seconds.every((left) => left <= 2));
  await using down = await smallServer((_, response) => void response.writeHead(500).end());
  const error = await failure(download(down, memorySink(), {}, { maxAttempts: 2 }));
  assert.equal(error.failure.status, 500);
  await using patient = await smallServer((_, response) => void response.writeHead(429, { 'retry-after': '86400' }).end());
  await failure(download(patient));
  assert.equal(patient.asked.length, 1);
});

test('FAULT downloadBlob: a registry that stalls is left and asked for the rest', async () => {
  let round = 0;
  await using server = await smallServer((asked, response) => {
    if (round++ > 0) return sendPart(asked, response, blob.length);
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 1000));
  });
  const sink = memorySink();
  await download(server, sink, {}, { stallMs: 500 });
  assert.deepEqual(sink.bytes(), blob);
  assert.equal(sink.restarts, 0);
  assert.ok(server.asked.length > 1);
});

test('downloadBlob: a mirror that breaks off is not the first to be asked for the rest', async () => {
  await using mirror = await smallServer((asked, response) => sendPart(asked, response, 30_000));
  await using registry = await smallServer((asked, response) => sendPart(asked, response, blob.length));
  const sink = memorySink();
  await download(registry, sink, {}, { prefixMirrors: [{ prefix: registry.host, urls: [mirror.url] }] });
  assert.deepEqual(sink.bytes(), blob);
  assert.deepEqual([mirror.asked.length, registry.asked.length], [1, 1]);
  assert.equal(registry.asked[0]?.headers.range, 'bytes=30000-');
});

test('downloadBlob: a signal ends it with its reason, in the middle of bytes and of waiting', async () => {
  const leave = new Error('enough');
  await using slow = await smallServer((_, response) => {
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 10));
  });
  const during = new AbortController();
  const sink = memorySink();
  const one = download(slow, sink, { signal: during.signal, onProgress: () => during.abort(leave) });
  await assert.rejects(one, leave);
  assert.equal(sink.sizeBytes, 10);
  await using busy = await smallServer((_, response) => void response.writeHead(503, { 'retry-after': '60' }).end());
  const waiting = new AbortController();
  await assert.rejects(download(busy, memorySink(), { signal: waiting.signal, onRetry: () => waiting.abort(leave) }), leave);
});
