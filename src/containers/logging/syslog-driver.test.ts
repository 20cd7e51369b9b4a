import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { bindUnixDatagram } from '../../linux/unix-datagram-socket.ts';
import type { LogOptions, LogSink } from './log-driver.ts';
import { message, never, streamReceiver, subject, temporaryDirectory, udpReceiver, until } from './receivers.ts';
import { syslogDriver } from './syslog-driver.ts';

function open(options: LogOptions): LogSink {
  const plan = syslogDriver.sink?.(options);
  assert.ok(plan);
  return plan.open(subject);
}

const local = new Date(1_767_323_045_678);
const stamp = `Jan ${String(local.getDate()).padStart(2, ' ')} ${local.toTimeString().slice(0, 8)}`;

test('syslog over udp: one datagram a line, with the facility, the line’s time and a tag', async (context) => {
  const { port, datagrams } = await udpReceiver(context);
  const sink = open({ 'syslog-address': `udp://127.0.0.1:${port}`, 'syslog-facility': 'local3', tag: '{{.Name}}/{{.ImageName}}' });
  await sink.send([message('hello'), message('oops', { stderr: true })], never);
  await until(() => datagrams.length === 2, 'two datagrams');
  sink.close();
  assert.deepEqual(datagrams.map(String).sort(), [
    `<155>${stamp} web/busybox[${process.pid}]: oops`, // 19 × 8 + 3
    `<158>${stamp} web/busybox[${process.pid}]: hello`,
  ]);
});

test('syslog over tcp: the formats', async (context) => {
  const expected = {
    rfc3164: `<30>${stamp} host1 abcdef012345[${process.pid}]: x\n`,
    rfc5424: `<30>1 2026-01-02T03:04:05Z host1 abcdef012345 ${process.pid} abcdef012345 - x\n`,
    rfc5424micro: `<30>1 2026-01-02T03:04:05.678901Z host1 abcdef012345 ${process.pid} abcdef012345 - x\n`,
  };
  for (const [format, line] of Object.entries(expected)) {
    const receiver = await streamReceiver(context);
    const sink = open({ 'syslog-address': `tcp://127.0.0.1:${receiver.port}`, 'syslog-format': format });
    await sink.send([message('x')], never);
    await until(() => receiver.text() === line, `${format}: ${receiver.text()}`);
    sink.close();
  }
});

test('syslog over unix and unixgram', async (context) => {
  const directory = temporaryDirectory(context);
  const receiver = await streamReceiver(context, { path: join(directory, 'stream') });
  const stream = open({ 'syslog-address': `unix://${directory}/stream` });
  await stream.send([message('a'), message('b')], never);
  await until(() => receiver.text().split('\n').length === 3, 'two lines');
  stream.close();
  const datagrams = bindUnixDatagram(join(directory, 'datagram'));
  const datagram = open({ 'syslog-address': `unixgram://${directory}/datagram` });
  await datagram.send([message('c')], never);
  assert.match(String(datagrams.receive()), /^<30>.*: c$/);
  datagram.close();
  datagrams.close();
});

test('syslog over tcp+tls: the certificate is checked, rfc5424 tells its lengths', async (context) => {
  const directory = temporaryDirectory(context);
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost'].concat([
      '-addext',
      'subjectAltName=DNS:localhost',
      '-keyout',
      join(directory, 'key'),
      '-out',
      join(directory, 'cert'),
    ]),
  );
  if (made.status !== 0) return context.skip('needs openssl');
  const tls = { key: readFileSync(join(directory, 'key')), cert: readFileSync(join(directory, 'cert')) };
  const receiver = await streamReceiver(context, { server: (onSocket) => createTlsServer(tls, onSocket) });
  const options = { 'syslog-address': `tcp+tls://localhost:${receiver.port}`, 'syslog-format': 'rfc5424' };
  const stranger = open(options);
  await assert.rejects(stranger.connect(never), /self-signed certificate/);
  for (const trust of [{ 'syslog-tls-ca-cert': join(directory, 'cert') }, { 'syslog-tls-skip-verify': 'true' }]) {
    const sink = open({ ...options, ...trust });
    const before = receiver.text().length;
    await sink.send([message('x')], never);
    const line = `<30>1 2026-01-02T03:04:05Z host1 abcdef012345 ${process.pid} abcdef012345 - x\n`;
    await until(() => receiver.text().slice(before) === `${line.length} ${line}`, 'a counted line');
    sink.close();
  }
});

test('syslog: a connection that broke is opened again', async (context) => {
  const first = await streamReceiver(context);
  const sink = open({ 'syslog-address': `tcp://127.0.0.1:${first.port}` });
  await sink.send([message('one')], never);
  await until(() => first.text().includes('one'), 'the first line');
  await first.stop();
  await assert.rejects(
    sink.send([message('two')], never).then(() => sink.send([message('two')], never)),
    /ECONNREFUSED|closed|reset|EPIPE/i,
  );
  const second = await streamReceiver(context, { port: first.port });
  await sink.send([message('two')], never);
  await until(() => second.text().includes('two'), 'the second line');
  sink.close();
});

test('syslog: wrong options are refused with Docker’s texts', () => {
  const refuses = (options: LogOptions, text: string | RegExp) => assert.throws(() => syslogDriver.sink?.(options), { message: text });
  refuses({ foo: '1' }, "unknown log opt 'foo' for syslog log driver");
  refuses({ 'syslog-address': 'x' }, 'syslog-address should be in form proto://address, got x');
  refuses({ 'syslog-address': 'foo://x' }, 'syslog-address should be in form proto://address, got foo://x');
  refuses({ 'syslog-address': 'unix:///nope' }, 'stat /nope: no such file or directory');
  refuses({ 'syslog-facility': 'zz' }, 'invalid syslog facility');
  refuses({ 'syslog-format': 'zz' }, 'Invalid syslog format');
  refuses({ tag: '{{.Foo}}' }, /can't evaluate field Foo in type \*logger.Info/);
});

test('syslog: a FIFO in place of a certificate is refused, not waited for', async (context) => {
  const fifo = join(temporaryDirectory(context), 'fifo');
  spawnSync('mkfifo', [fifo]);
  const sink = open({ 'syslog-address': 'tcp+tls://127.0.0.1:1', 'syslog-tls-ca-cert': fifo });
  await assert.rejects(sink.connect(never), /could not read syslog-tls-ca-cert .*fifo: it is not a file/);
});

test('syslog: nobody listens', async () => {
  await assert.rejects(open({ 'syslog-address': 'tcp://127.0.0.1:1' }).connect(never), { message: /dial tcp 127.0.0.1:1: .*ECONNREFUSED/ });
});
