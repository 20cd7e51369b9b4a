import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { askSettings, needsEmbeddedResolver, parseResolvConf, reachableFromContainer, readHostResolvConf } from './resolv-conf.ts';

test('parseResolvConf: servers, the last search list, all options, other words', () => {
  const text = [
    '# comment',
    '; comment',
    'domain old.example',
    ' nameserver 10.0.0.1  # first',
    'nameserver fe80::1%eth0',
    'nameserver not-an-address',
    'nameserver',
    'search a.example b.example',
    'options edns0 timeout:1',
    'options rotate',
    'sortlist 130.155.160.0',
  ].join('\n');
  assert.deepEqual(parseResolvConf(text), {
    nameservers: ['10.0.0.1', 'fe80::1%eth0'],
    search: ['a.example', 'b.example'],
    options: ['edns0', 'timeout:1', 'rotate'],
    other: ['sortlist 130.155.160.0'],
  });
});

test('reachableFromContainer: no loopback, no scope, IPv6 where the container has it', () => {
  const reachable = (address: string) => [reachableFromContainer(address, false), reachableFromContainer(address, true)];
  assert.deepEqual(reachable('10.0.0.1'), [true, true]);
  assert.deepEqual(reachable('fd00::1'), [false, true]);
  for (const address of ['127.0.0.53', '0.0.0.0', '::1', '0:0::1', '::', '::ffff:127.0.0.1', 'fe80::1%eth0']) {
    assert.deepEqual(reachable(address), [false, false], address);
  }
});

test('needsEmbeddedResolver: when no server is left', () => {
  assert.equal(needsEmbeddedResolver('nameserver 127.0.0.53\n'), true);
  assert.equal(needsEmbeddedResolver('nameserver fd00::1\n'), true);
  assert.equal(needsEmbeddedResolver('nameserver fd00::1\n', true), false);
  assert.equal(needsEmbeddedResolver('nameserver 127.0.0.53\nnameserver 9.9.9.9\n'), false);
  assert.equal(needsEmbeddedResolver(''), true);
});

test('readHostResolvConf: what stands behind systemd-resolved', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'resolv-'));
  t.after(() => rm(directory, { recursive: true }));
  const paths = { host: join(directory, 'host'), systemd: join(directory, 'systemd') };
  assert.equal(await readHostResolvConf(paths), '');
  await writeFile(paths.host, 'nameserver 127.0.0.53\n');
  assert.equal(await readHostResolvConf(paths), 'nameserver 127.0.0.53\n');
  await writeFile(paths.systemd, 'nameserver 192.0.2.1\n');
  assert.equal(await readHostResolvConf(paths), 'nameserver 192.0.2.1\n');
  await writeFile(paths.host, 'nameserver 10.0.0.1\n');
  assert.equal(await readHostResolvConf(paths), 'nameserver 10.0.0.1\n');
});

test('askSettings: with the bounds of the C library', () => {
  assert.deepEqual(askSettings([]), { timeoutMs: null, attempts: 2, rotate: false });
  assert.deepEqual(askSettings(['timeout:1', 'attempts:9', 'rotate', 'timeout:99']), { timeoutMs: 30_000, attempts: 5, rotate: true });
  assert.deepEqual(askSettings(['timeout:0', 'attempts:0', 'timeout:x']), { timeoutMs: null, attempts: 1, rotate: false });
});
