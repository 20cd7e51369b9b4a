import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import { BuildFrameDecoder, frameHeader, frameTypes, INITIAL_CREDIT, MAXIMUM_DATA_BYTES } from './build-frames.ts';
import { BuildStreams, type SessionStream } from './build-streams.ts';

async function pair(answer: (question: unknown, stream: SessionStream) => void, onMessage: (value: unknown) => void = () => {}) {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [daemonSide] = (await once(server, 'connection')) as [Socket];
  const closed: string[] = [];
  const asking = new BuildStreams(daemonSide, { opened: null, message: null, closed: (error) => closed.push(`asking: ${error.message}`) });
  const answering = new BuildStreams(client, {
    opened: answer,
    message: onMessage,
    closed: (error) => closed.push(`answering: ${error.message}`),
  });
  const end = () => {
    asking.end();
    answering.end();
    client.destroy();
    daemonSide.destroy();
    server.close();
  };
  return { asking, answering, closed, client, daemonSide, end };
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test('frames are what the drawing says, in whatever pieces they come', () => {
  const bytes = Buffer.concat([
    frameHeader('open', 1, 2),
    Buffer.from('{}'),
    frameHeader('data', 0x01020304, 3),
    Buffer.from('abc'),
    frameHeader('end', 1, 0),
  ]);
  // type, stream, length, payload
  assert.equal(bytes.toString('hex'), '010000000100000002' + '7b7d' + '020102030400000003' + '616263' + '030000000100000000');
  for (const size of [1, 2, 7, 100]) {
    const seen: string[] = [];
    const decoder = new BuildFrameDecoder({ frame: (type, stream, payload) => seen.push(`${type} ${stream} ${payload}`) });
    for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size));
    assert.equal(
      seen
        .filter((line) => line.startsWith('data'))
        .map((line) => line.split(' ')[2])
        .join(''),
      'abc',
    );
    assert.deepEqual([seen[0], seen.at(-1)], ['open 1 {}', 'end 1 ']);
  }
  assert.equal(Object.keys(frameTypes).length, 6);
});

test('SEC-18 frames that no honest side sends end the session', () => {
  const decoder = () => new BuildFrameDecoder({ frame() {} });
  assert.throws(() => decoder().push(Buffer.alloc(9, 0xff)), /unknown frame/);
  assert.throws(() => decoder().push(frameHeader('data', 1, MAXIMUM_DATA_BYTES + 1)), /a frame of/);
  assert.throws(() => decoder().push(frameHeader('message', 0, 1024 ** 3)), /a frame of/);
});

test('questions are answered, both ways at once', async () => {
  const { asking, end } = await pair((question, stream) => {
    stream.write(`${JSON.stringify(question)} `);
    stream.pipe(stream);
  });
  const stream = asking.open({ ask: 'echo' });
  stream.end('what was sent');
  assert.equal(await textOf(stream), '{"ask":"echo"} what was sent');
  end();
});

test('a failure reaches whoever asked, with its code', async () => {
  const { asking, end, closed } = await pair((_, stream) => stream.destroy(new EngineError('not-found', 'there is no secret "x"')));
  await assert.rejects(textOf(asking.open({})), { code: 'not-found', message: 'there is no secret "x"' });
  assert.deepEqual(closed, []);
  end();
});

test('a stream that nobody reads holds up no other, and fills no memory', async () => {
  let sent = 0;
  const { asking, end } = await pair((question, stream) => {
    if (question === 'small') {
      stream.end('answer');
      return;
    }
    const source = Readable.from(
      (function* () {
        for (;;) {
          sent += 65_536;
          yield Buffer.alloc(65_536);
        }
      })(),
    );
    pipeline(source, stream).catch(() => {});
  });
  const stuck = asking.open('endless');
  for (let settled = -1; settled !== sent; ) {
    settled = sent;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  assert.ok(sent <= INITIAL_CREDIT + 2 * 1024 * 1024, `${sent} bytes were sent`);
  assert.equal(await textOf(asking.open('small')), 'answer');
  stuck.destroy();
  await once(stuck, 'close');
  end();
});

test('bytes come whole and in order when the reader is slow', async () => {
  const { asking, end } = await pair((_, stream) => {
    const numbers = Readable.from(
      (function* () {
        for (let number = 0; number < 40; number++) yield Buffer.alloc(300_000, number);
      })(),
    );
    pipeline(numbers, stream).catch(() => {});
  });
  let seen = 0;
  const slow = new Writable({
    highWaterMark: 1024,
    write(chunk: Buffer, _encoding, done) {
      for (const byte of [chunk[0], chunk.at(-1)])
        assert.ok(byte === Math.floor(seen / 300_000) || byte === Math.floor((seen + chunk.length - 1) / 300_000));
      seen += chunk.length;
      setImmediate(done);
    },
  });
  await pipeline(asking.open({}), slow);
  assert.equal(seen, 12_000_000);
  end();
});

test('messages come in order; a connection that is cut ends every stream', async () => {
  const messages: unknown[] = [];
  const { asking, closed, client, end } = await pair(
    () => {},
    (value) => messages.push(value),
  );
  for (let number = 0; number < 5; number++) asking.send({ number });
  const stream = asking.open({});
  while (messages.length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(
    messages,
    [0, 1, 2, 3, 4].map((number) => ({ number })),
  );
  client.destroy();
  await assert.rejects(textOf(stream), /the connection of the build was closed/);
  while (closed.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(closed.sort(), ['answering: the connection of the build was closed', 'asking: the connection of the build was closed']);
  end();
});

test('SEC-18 a side that asks or tells what it may not ends the session', async () => {
  for (const bytes of [frameHeader('open', 1, 2), frameHeader('message', 0, 2)]) {
    const { closed, client, end } = await pair(() => {});
    client.write(Buffer.concat([bytes, Buffer.from('{}')]));
    while (closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.match(closed[0] ?? '', /asking: the build session is broken: the other side sent/);
    end();
  }
});
