import assert from 'node:assert/strict';
import test from 'node:test';
import { hostsText, resolvText } from './network-files.ts';

const nothing = { NetworkMode: 'none', Dns: [], DnsSearch: [], DnsOptions: [] };

test('hostsText: extra hosts go after what is there', () => {
  assert.equal(
    hostsText('127.0.0.1\tlocalhost', { ExtraHosts: ['a:1.2.3.4', 'six:::1', 'new=5.6.7.8'] }),
    '127.0.0.1\tlocalhost\n1.2.3.4\ta\n::1\tsix\n5.6.7.8\tnew\n',
  );
});

test('resolvText: the host’s, less its loopback servers, with what the request replaces', () => {
  const host = 'search corp\nnameserver 127.0.0.53\nnameserver 10.0.0.1\noptions edns0\n';
  assert.equal(resolvText(host, { ...nothing, NetworkMode: 'host' }), host);
  assert.equal(resolvText(host, nothing), 'search corp\nnameserver 10.0.0.1\noptions edns0\n');
  assert.equal(
    resolvText(host, { ...nothing, Dns: ['9.9.9.9'], DnsSearch: ['example.com'], DnsOptions: ['ndots:2'] }),
    'search example.com\nnameserver 9.9.9.9\noptions ndots:2\n',
  );
  assert.equal(resolvText(host, { ...nothing, DnsSearch: ['.'] }), 'nameserver 10.0.0.1\noptions edns0\n');
});
