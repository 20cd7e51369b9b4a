import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { duplexPair, PassThrough, Readable } from 'node:stream';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { type RelayOptions, StdioRelay } from './stdio-relay.ts';

function relay(options: Partial<RelayOptions> = {}): StdioRelay {
  return new StdioRelay({ stdin: true, detach: null, onDetach: () => {}, ended: null, ...options });
}

async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test('StdioRelay: what was written before the process existed arrives first, half-close included', async () => {
  const [ours, process] = duplexPair();
  const under = relay();
  under.write('hello ');
  under.end('world');
  await turn();
  under.connect(ours);
  assert.equal(await text(process), 'hello world');
  process.end('answer');
  assert.equal(await text(under), 'answer');
  assert.ok(under.destroyed);
});

test('StdioRelay: pushes back on the client while there is no process', async () => {
  const under = relay();
  let written = 0;
  while (under.write(Buffer.alloc(16_384))) written += 16_384;
  assert.ok(written <= 1 << 18, `${written} bytes were taken`);
  await turn();
  assert.ok(under.writableNeedDrain);
});

test('StdioRelay: bytes are exact both ways and chunks are not copied', async () => {
  const [ours, process] = duplexPair({ highWaterMark: 1 << 14 });
  const under = relay();
  under.connect(ours);
  const input = randomBytes(3_000_000);
  Readable.from(slices(input), { objectMode: false }).pipe(under);
  process.pipe(process);
  const hash = createHash('sha256');
  for await (const chunk of under) hash.update(chunk as Buffer);
  assert.equal(hash.digest('hex'), createHash('sha256').update(input).digest('hex'));
});

function* slices(input: Buffer): Generator<Buffer> {
  for (let at = 0; at < input.length; at += 7001) yield input.subarray(at, at + 7001);
}

test('StdioRelay: a slow client pushes back on the process', async () => {
  const [ours, process] = duplexPair({ highWaterMark: 1 << 14 });
  const under = relay();
  under.connect(ours);
  let sent = 0;
  for (let rounds = 0; rounds < 100 && process.write(Buffer.alloc(16_384)); rounds++) {
    sent += 16_384;
    await turn();
  }
  assert.ok(sent < 1 << 19, `${sent} bytes were buffered`);
});

test('StdioRelay: detach keys end the client, not the process, and pass on what was typed before', async () => {
  const [ours, process] = duplexPair();
  let detached = 0;
  const under = relay({ detach: new DetachScanner(parseDetachKeys(null)), onDetach: () => detached++ });
  under.connect(ours);
  under.write(Buffer.from('ab\x10'));
  under.write(Buffer.from('\x11after'));
  const typed = new PassThrough();
  process.pipe(typed);
  assert.equal(await text(under), '');
  await turn();
  assert.equal(typed.read()?.toString(), 'ab');
  assert.equal(detached, 1);
});

test('StdioRelay: held-back keys are passed on at half-close', async () => {
  const [ours, process] = duplexPair();
  const under = relay({ detach: new DetachScanner(parseDetachKeys(null)) });
  under.connect(ours);
  under.end(Buffer.from('x\x10'));
  assert.equal(await text(process), 'x\x10');
});

test('StdioRelay: without stdin the input is dropped and its end means nothing', async () => {
  const [ours, process] = duplexPair();
  const under = relay({ stdin: false });
  under.connect(ours);
  under.end('ignored');
  await turn();
  assert.equal(process.readableEnded, false);
  process.end('output');
  assert.equal(await text(under), 'output');
});

test('StdioRelay: replay comes before the live stream', async () => {
  const [ours, process] = duplexPair();
  const under = relay();
  process.end('live');
  void under.replay(Readable.from([Buffer.from('old ')], { objectMode: false })).then(() => under.connect(ours));
  assert.equal(await text(under), 'old live');
});

test('StdioRelay: a client that left before the start detaches from the process at once', async () => {
  const [ours] = duplexPair();
  const under = relay();
  under.destroy();
  await once(under, 'close');
  under.connect(ours);
  assert.ok(ours.destroyed);
});

test('StdioRelay: leaves no listeners on a busy stream', async () => {
  const [ours, process] = duplexPair({ highWaterMark: 64 });
  const under = relay();
  under.connect(ours);
  process.resume();
  for (let round = 0; round < 50; round++) {
    if (!under.write(Buffer.alloc(100))) await once(under, 'drain');
  }
  assert.ok(ours.listenerCount('drain') <= 1);
  assert.ok(ours.listenerCount('close') <= 3);
});

test('StdioRelay: a process stream that ended before it was connected ends the client', { timeout: 5000 }, async () => {
  const [ours, process] = duplexPair();
  process.end();
  ours.resume();
  await once(ours, 'end');
  const under = relay();
  under.connect(ours);
  assert.equal(await text(under), '');
});
