import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, parseListenAddress, refuseOpenTcp, tlsFiles } from './listen-addresses.ts';

const noTls = { verify: false, tls: false, authority: null, certificate: null, key: null };
const files = { authority: '/ca', certificate: '/cert', key: '/key' };

test('parseListenAddress takes dockerd’s forms', () => {
  assert.deepEqual(parseListenAddress('unix:///run/x.sock', false), { kind: 'unix', path: '/run/x.sock' });
  assert.deepEqual(parseListenAddress('/run/x.sock', false), { kind: 'unix', path: '/run/x.sock' });
  for (const text of ['fd://', 'fd://3', 'fd://*']) assert.deepEqual(parseListenAddress(text, false), { kind: 'passed' });
  assert.deepEqual(parseListenAddress('tcp://', false), { kind: 'tcp', host: '127.0.0.1', port: 2375 });
  assert.deepEqual(parseListenAddress('tcp://', true), { kind: 'tcp', host: '127.0.0.1', port: 2376 });
  assert.deepEqual(parseListenAddress('tcp://:2376', true), { kind: 'tcp', host: '0.0.0.0', port: 2376 });
  assert.deepEqual(parseListenAddress('tcp://10.0.0.1', true), { kind: 'tcp', host: '10.0.0.1', port: 2376 });
  assert.deepEqual(parseListenAddress('tcp://[::1]:99', true), { kind: 'tcp', host: '::1', port: 99 });
  for (const text of ['tcp://a:b', 'tcp://a:99999', 'tcp://a/path', 'x', 'http://a', 'tcp://::1:99'])
    assert.throws(() => parseListenAddress(text, false), { code: 'invalid' }, text);
});

test('SEC-30 refuseOpenTcp wants mutual TLS, or loopback and a word', () => {
  const at = (host: string, tls: boolean, insecureTcp: boolean) => () =>
    refuseOpenTcp({ addresses: [{ kind: 'tcp', host, port: 2375 }], tls: tls ? files : null, insecureTcp });
  at('0.0.0.0', true, false)();
  at('127.0.0.1', false, true)();
  at('::1', false, true)();
  assert.throws(at('127.0.0.1', false, false), /every user of this host would be root/);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.0.0.1.example.org'])
    assert.throws(at(host, false, true), /whoever reaches it would be root on this host/, host);
});

test('tlsFiles: --tlsverify takes the named files, or those of DOCKER_CERT_PATH', () => {
  assert.equal(tlsFiles(noTls), null);
  assert.deepEqual(tlsFiles({ ...noTls, verify: true, key: '/k' }, { DOCKER_CERT_PATH: '/certs' }), {
    authority: '/certs/ca.pem',
    certificate: '/certs/cert.pem',
    key: '/k',
  });
  assert.throws(() => tlsFiles({ ...noTls, tls: true }), /--tls alone would serve everybody/);
  assert.throws(() => tlsFiles({ ...noTls, key: '/k' }), /are for --tlsverify/);
});

test('isLoopback', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '128.0.0.1', '127.0.0.1.evil.org', '']) assert.ok(!isLoopback(host), host);
});
