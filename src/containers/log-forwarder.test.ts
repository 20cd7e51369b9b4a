import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { silentLogger } from '../base/log.ts';
import { StoredCursor } from './log-cursor.ts';
import { LogForwarder } from './log-forwarder.ts';
import { LogStore } from './log-store.ts';
import type { LogMessage, LogSink, RetryPolicy } from './logging/log-driver.ts';
import { until } from './logging/receivers.ts';

function fixture(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'g-FORWARD-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'x-json.log');
  const received: string[] = [];
  const receiver = { down: false, sinks: 0 };
  const openSink = (): LogSink => {
    receiver.sinks++;
    return {
      connect: async () => {},
      async send(messages: readonly LogMessage[]) {
        if (receiver.down) throw new Error('nobody there');
        for (const { text, stderr, partial } of messages) received.push(`${stderr ? 'err' : 'out'} ${text}${partial ? '…' : ''}`);
      },
      close: () => void receiver.sinks--,
    };
  };
  return {
    received,
    receiver,
    cursorPath: join(directory, 'cursor'),
    write: (text: string, stream = 'stdout') =>
      appendFileSync(path, `${JSON.stringify({ log: text, stream, time: '2026-01-01T00:00:00.5Z' })}\n`),
    /** As another daemon makes it. */
    forwarder: (retry: RetryPolicy = { waitMs: 5, maxRetries: null }) =>
      new LogForwarder({
        containerId: 'c',
        store: new LogStore(path, 3),
        cursor: new StoredCursor(join(directory, 'cursor'), silentLogger),
        openSink,
        retry,
        logger: silentLogger,
      }),
  };
}

test('LogForwarder: sends what is there once, from where another daemon stopped, and keeps no connection', async (context) => {
  const { received, receiver, write, forwarder } = fixture(context);
  write('one\n');
  write('two, ');
  write('oops\n', 'stderr');
  const first = forwarder();
  await first.run(null);
  assert.deepEqual(received, ['out one', 'out two, …', 'err oops']);
  assert.equal(receiver.sinks, 0);
  await first.close();
  write('three\n');
  const second = forwarder();
  await second.run(null);
  await second.run(null);
  await second.close();
  assert.deepEqual(received.slice(3), ['out three']);
});

test('LogForwarder: a receiver that is away is waited for; closing does not', async (context) => {
  const { received, receiver, write, forwarder } = fixture(context);
  write('one\n');
  receiver.down = true;
  const waiting = forwarder();
  void waiting.run(null);
  await until(() => waiting.failing, 'a failed try');
  assert.equal(await waiting.settled(10_000), false);
  receiver.down = false;
  await until(() => received.length === 1, 'the line');
  write('two\n');
  receiver.down = true;
  const stopped = forwarder({ waitMs: 100_000, maxRetries: null });
  const run = stopped.run(null);
  await until(() => stopped.failing, 'a failed try');
  await stopped.close();
  await run;
  assert.deepEqual(received, ['out one']);
});

test('LogForwarder: lines are dropped after as many repetitions as were asked for', async (context) => {
  const { received, receiver, write, forwarder } = fixture(context);
  write('lost\n');
  receiver.down = true;
  const impatient = forwarder({ waitMs: 1, maxRetries: 2 });
  await impatient.run(null);
  receiver.down = false;
  write('next\n');
  await impatient.run(null);
  assert.deepEqual(received, ['out next']);
});

test('LogForwarder: a damaged cursor means everything again, not nothing', async (context) => {
  const { received, write, forwarder, cursorPath } = fixture(context);
  write('one\n');
  writeFileSync(cursorPath, '{"file":');
  await forwarder().run(null);
  assert.deepEqual(received, ['out one']);
});
