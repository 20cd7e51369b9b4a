import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { it } from 'node:test';
import { clientAddress, clientOrigin, limitKey } from './client-address.ts';

const request = (remoteAddress: string, headers: Record<string, string> = {}, socket: object = {}): IncomingMessage =>
  ({ socket: { remoteAddress, ...socket }, headers: { host: 'r.example', ...headers } }) as unknown as IncomingMessage;

it('clientAddress believes proxies that are trusted, and of what they say only what they added', () => {
  const proxies = ['10.0.0.0/8', '::1'];
  const rows: readonly (readonly [remote: string, forwarded: string, address: string])[] = [
    ['192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['10.0.0.1', '203.0.113.9, 198.51.100.1', '198.51.100.1'],
    ['10.0.0.1', '198.51.100.1, 10.0.0.2', '198.51.100.1'],
    ['::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['::1', '2001:db8::7', '2001:db8::7'],
    ['10.0.0.1', 'nonsense', '10.0.0.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.3', '10.0.0.3'],
  ];
  for (const [remote, forwarded, address] of rows)
    assert.equal(clientAddress(request(remote, { 'x-forwarded-for': forwarded }), proxies), address, `${remote} ${forwarded}`);
  assert.equal(clientAddress(request('10.0.0.1', { 'x-forwarded-for': '198.51.100.1' }), []), '10.0.0.1');
});

it('clientOrigin: TLS is what the connection has, or a trusted proxy says', () => {
  const told = { 'x-forwarded-proto': 'https' };
  assert.equal(clientOrigin(request('10.0.0.1', told), ['10.0.0.0/8']), 'https://r.example');
  assert.equal(clientOrigin(request('192.0.2.1', told), ['10.0.0.0/8']), 'http://r.example');
  assert.equal(clientOrigin(request('192.0.2.1', {}, { encrypted: true }), []), 'https://r.example');
});

it('limitKey: all of a /64 is one', () => {
  assert.equal(limitKey('2001:db8:1:2:3:4:5:6'), limitKey('2001:db8:1:2::1'));
  assert.notEqual(limitKey('2001:db8:1:3::1'), limitKey('2001:db8:1:2::1'));
  assert.equal(limitKey('192.0.2.1'), '192.0.2.1');
});
