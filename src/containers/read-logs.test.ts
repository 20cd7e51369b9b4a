import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allLogs, serviceFixture, textOf } from './testing/service-fixture.ts';

const never = new AbortController().signal;

test('logs: framed without a terminal, raw with one, and Docker’s refusals', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  runtime.process(id).print('out\n');
  runtime.process(id).print('err\n', 'stderr');
  const { stream, tty } = await service.logs(id, allLogs, never);
  assert.equal(tty, false);
  assert.equal(await textOf(stream), '\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n');
  await assert.rejects(service.logs(id, { ...allLogs, stdout: false, stderr: false }, never), {
    message: 'Bad parameters: you must choose at least one stream',
  });
  const silent = await create({}, { LogConfig: { Type: 'none', Config: {} } });
  await assert.rejects(service.logs(silent, allLogs, never), { code: 'not-implemented', message: /does not support reading/ });
});

test('logs: follow gives history and news and ends with the container', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({ Tty: true });
  await service.start(id);
  const process = runtime.process(id);
  process.print('1\n');
  const text = textOf((await service.logs(id, { ...allLogs, follow: true }, never)).stream);
  for (let line = 2; line <= 50; line++) {
    process.print(`${line}\n`);
    if (line % 10 === 0) await sleep(2);
  }
  process.exit(0);
  assert.equal(await text, Array.from({ length: 50 }, (_, index) => `${index + 1}\n`).join(''));
  assert.equal(await textOf((await service.logs(id, { ...allLogs, follow: true, tail: 1 }, never)).stream), '50\n');
});

test('logs: followers that leave take their files and listeners with them', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({ Tty: true });
  await service.start(id);
  const process = runtime.process(id);
  process.print('1\n');
  const listeners = process.logListeners;
  for (let round = 0; round < 20; round++) {
    const leaving = new AbortController();
    const { stream } = await service.logs(id, { ...allLogs, follow: true }, leaving.signal);
    stream.resume();
    await sleep(2);
    if (round % 2 === 0) leaving.abort();
    else stream.destroy();
  }
  await sleep(50);
  assert.equal(process.logListeners, listeners);
  const open = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(id);
    } catch {
      return false;
    }
  });
  assert.deepEqual(open, []);
});
