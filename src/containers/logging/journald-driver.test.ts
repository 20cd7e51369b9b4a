import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { bindUnixDatagram } from '../../linux/unix-datagram-socket.ts';
import { journaldDriver, journaldPlan } from './journald-driver.ts';
import { message, never, subject, temporaryDirectory } from './receivers.ts';

test('journald: one datagram an entry, with its fields', async (context) => {
  const path = join(temporaryDirectory(context), 'socket');
  const journal = bindUnixDatagram(path);
  const sink = journaldPlan({ labels: 'tier', env: 'STAGE', tag: '{{.Name}}' }, path).open(subject);
  await sink.connect(never);
  await sink.send([message('hello'), message('two\nlines', { stderr: true, partial: true })], never);
  const own =
    `CONTAINER_ID=abcdef012345\nCONTAINER_ID_FULL=${subject.id}\nCONTAINER_NAME=web\nCONTAINER_TAG=web\nIMAGE_NAME=busybox\n` +
    'SYSLOG_IDENTIFIER=web\nTIER=front\nSTAGE=test\n';
  const time = 'SYSLOG_TIMESTAMP=2026-01-02T03:04:05.678901234Z\n';
  assert.equal(String(journal.receive()), `MESSAGE=hello\nPRIORITY=6\n${time}${own}`);
  assert.equal(
    String(journal.receive()),
    `MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=3\n${time}CONTAINER_PARTIAL_MESSAGE=true\n${own}`, // length 9, u64 le
  );
  sink.close();
  journal.close();
});

test('journald: labels too large for a datagram are left out, not the line', async (context) => {
  const path = join(temporaryDirectory(context), 'socket');
  const journal = bindUnixDatagram(path);
  const sink = journaldPlan({ labels: 'huge' }, path).open({ ...subject, labels: { huge: 'x'.repeat(8_000_000) } });
  await sink.send([message('hello')], never);
  const entry = String(journal.receive());
  assert.match(entry, /^MESSAGE=hello\n/);
  assert.doesNotMatch(entry, /HUGE/);
  sink.close();
  journal.close();
});

test('journald: a receiver that reads nothing is waited for, and no longer than wanted', async (context) => {
  const path = join(temporaryDirectory(context), 'socket');
  const journal = bindUnixDatagram(path);
  const sink = journaldPlan({}, path).open(subject);
  const stop = new AbortController();
  let sent = 0;
  const sending = (async () => {
    for (; sent < 100_000; sent++) await sink.send([message('x')], stop.signal);
  })();
  setTimeout(() => stop.abort(), 100);
  await assert.rejects(sending, /given up/);
  assert.ok(sent > 0 && sent < 100_000);
  sink.close();
  journal.close();
});

test('journald: where there is none, that is what the error says', async () => {
  await assert.rejects(journaldPlan({}, '/nowhere/socket').open(subject).connect(never), /journald is not enabled on this host/);
  assert.throws(() => journaldDriver.sink?.({ foo: '1' }), { message: "unknown log opt 'foo' for journald log driver" });
});
