import assert from 'node:assert/strict';
import test from 'node:test';
import { fluentdDriver } from './fluentd-driver.ts';
import type { LogOptions } from './log-driver.ts';
import { EventTime, pack } from './msgpack.ts';
import { message, never, streamReceiver, subject, temporaryDirectory, until } from './receivers.ts';

test('pack: bytes of MessagePack', () => {
  const hex = (value: Parameters<typeof pack>[0]) => pack(value).toString('hex');
  assert.equal(hex(['a', 7, {}]), '93' + 'a161' + '07' + '80');
  assert.equal(hex({ k: 'v' }), '81' + 'a16b' + 'a176');
  assert.equal(hex('x'.repeat(32)), `d920${'78'.repeat(32)}`); // str 8
  assert.equal(hex('x'.repeat(256)).slice(0, 6), 'da0100'); // str 16
  assert.equal(hex('x'.repeat(65536)).slice(0, 10), 'db00010000'); // str 32
  assert.equal(hex(Array.from({ length: 16 }, () => 1)).slice(0, 6), 'dc0010'); // array 16
  assert.equal(hex(1_767_323_045), 'ce695735a5'); // uint 32
  assert.equal(hex(2 ** 32), 'cf0000000100000000'); // uint 64
  assert.equal(hex(new EventTime(1_767_323_045_000_000_007n)), 'd700' + '695735a5' + '00000007'); // fixext 8, type 0
});

test('fluentd: Forward mode, whole', async (context) => {
  const receiver = await streamReceiver(context);
  const options = { 'fluentd-address': `127.0.0.1:${receiver.port}`, tag: 'docker.{{.Name}}', env: 'STAGE' };
  const sink = fluentdDriver.sink?.(options).open(subject);
  await sink?.send([message('hello'), message('half', { stderr: true, partial: true })], never);
  const record = (more: Record<string, string>) => ({ container_id: subject.id, container_name: '/web', ...more });
  const expected = pack([
    'docker.web',
    [
      [1_767_323_045, record({ source: 'stdout', log: 'hello', STAGE: 'test' })],
      [1_767_323_045, record({ source: 'stderr', log: 'half', STAGE: 'test', partial_message: 'true' })],
    ],
    { size: 2 },
  ]);
  await until(() => receiver.bytes().length >= expected.length, 'the message');
  sink?.close();
  assert.deepEqual(receiver.bytes(), expected);
});

test('fluentd: an acknowledgement is waited for, over a unix socket, and without one lines are not taken as sent', async (context) => {
  const path = `${temporaryDirectory(context)}/f`;
  let acknowledge = true;
  const receiver = await streamReceiver(context, {
    path,
    onData(socket, data) {
      const at = data.indexOf('chunk');
      if (!acknowledge) socket.destroy();
      else socket.write(pack({ ack: data.toString('latin1', at + 6, at + 6 + 24) }));
    },
  });
  const sink = fluentdDriver.sink?.({ 'fluentd-address': `unix://${path}`, 'fluentd-request-ack': 'true' }).open(subject);
  await sink?.send([message('one')], never);
  acknowledge = false;
  await assert.rejects(sink?.send([message('two')], never) ?? Promise.resolve(), /closed/);
  acknowledge = true;
  await sink?.send([message('two')], never);
  assert.equal(receiver.connections, 2);
  sink?.close();
});

test('fluentd: wrong options are refused with Docker’s texts', () => {
  const refuses = (options: LogOptions, text: string | RegExp) => assert.throws(() => fluentdDriver.sink?.(options), { message: text });
  refuses({ foo: '1' }, "unknown log opt 'foo' for fluentd log driver");
  refuses({ 'fluentd-address': 'foo://x' }, /invalid fluentd-address foo:\/\/x/);
  refuses({ 'fluentd-address': ':99999999' }, /address 99999999: invalid port/);
  for (const name of ['async', 'sub-second-precision', 'request-ack']) {
    refuses({ [`fluentd-${name}`]: 'zz' }, 'strconv.ParseBool: parsing "zz": invalid syntax');
  }
  refuses({ 'fluentd-buffer-limit': 'zz' }, "invalid size: 'zz'");
  refuses({ 'fluentd-retry-wait': 'zz' }, 'time: invalid duration "zz"');
  refuses({ 'fluentd-max-retries': 'zz' }, 'strconv.ParseUint: parsing "zz": invalid syntax');
  assert.equal(fluentdDriver.sink?.({ 'fluentd-async': 'true' }).lazy, true);
  assert.deepEqual(fluentdDriver.sink?.({ 'fluentd-retry-wait': '1m1.5s', 'fluentd-max-retries': '3' }).retry, {
    waitMs: 61_500,
    maxRetries: 3,
  });
});
