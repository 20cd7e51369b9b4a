import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProxy, proxyFor } from './proxy-choice.ts';

const proxies = (noProxy: readonly string[]) => ({
  http: 'http://plain.proxy:3128',
  https: 'http://user:pa%40ss@secure.proxy:3129',
  noProxy,
});
const isDirect = (url: string, ...noProxy: readonly string[]) => proxyFor(new URL(url), proxies(noProxy)) === null;

test('proxyFor: by scheme, never for loopback', () => {
  assert.equal(proxyFor(new URL('http://a.example/'), proxies([]))?.url.href, 'http://plain.proxy:3128/');
  const secure = proxyFor(new URL('https://a.example/'), proxies([]));
  assert.equal(secure?.url.href, 'http://secure.proxy:3129/');
  assert.equal(secure?.authorization, `Basic ${Buffer.from('user:pa@ss').toString('base64')}`);
  for (const url of ['https://localhost:5000/', 'http://127.0.0.1/', 'https://[::1]:5000/']) assert.ok(isDirect(url), url);
  assert.equal(proxyFor(new URL('http://a.example/'), { http: null, https: 'http://x', noProxy: [] }), null);
});

test('proxyFor: NO_PROXY entries', () => {
  assert.ok(isDirect('https://a.example/', '*'));
  assert.ok(isDirect('https://a.example/', 'example'));
  assert.ok(isDirect('https://reg.a.example/', 'a.example'));
  assert.ok(isDirect('https://a.example/', ' A.Example '));
  assert.ok(!isDirect('https://ba.example/', 'a.example'));
  assert.ok(isDirect('https://reg.a.example/', '.a.example'));
  assert.ok(!isDirect('https://a.example/', '.a.example'));
  assert.ok(isDirect('https://reg.a.example/', '*.a.example'));
  assert.ok(isDirect('https://a.example:5000/', 'a.example:5000'));
  assert.ok(!isDirect('https://a.example/', 'a.example:5000'));
  assert.ok(isDirect('https://a.example/', 'a.example:443'));
  assert.ok(isDirect('https://10.1.2.3/', '10.0.0.0/8'));
  assert.ok(!isDirect('https://11.1.2.3/', '10.0.0.0/8'));
  assert.ok(isDirect('https://10.1.2.3/', '10.1.2.3'));
  assert.ok(isDirect('https://[fd00::1]/', 'fd00::1'));
  assert.ok(!isDirect('https://a.example/', '', 'b.example'));
});

test('parseProxy: what is no proxy is refused without its password', () => {
  for (const text of ['socks5://me:s3cret@p:1', 'http://me:s3cret@'])
    assert.throws(
      () => parseProxy(text),
      (thrown: Error) => !thrown.message.includes('s3cret'),
    );
  assert.equal(parseProxy('proxy:3128').url.href, 'http://proxy:3128/');
});
