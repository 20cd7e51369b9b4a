import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { judgeRealm, siteOf } from './token-realm.ts';

const judge = (domain: string, realm: string, more: Partial<Parameters<typeof judgeRealm>[0]> = {}) =>
  judgeRealm({ domain, registryHost: domain, realm: new URL(realm), isInsecure: false, allowedRealms: {}, ...more });

test('SEC-28 judgeRealm: who may see the credentials of a registry', () => {
  assert.equal(judge('docker.io', 'https://auth.docker.io/token', { registryHost: 'registry-1.docker.io' }), 'allowed');
  assert.equal(judge('ghcr.io', 'https://ghcr.io/token'), 'same-host');
  assert.equal(judge('reg.example:5000', 'https://reg.example:5001/token'), 'same-host');
  assert.equal(judge('registry.gitlab.com', 'https://gitlab.com/jwt/auth'), 'same-site');
  assert.equal(judge('registry.corp.example', 'https://gitlab.corp.example/jwt/auth'), 'same-site');
  const allowedRealms = { 'reg.example': ['auth.other.example', 'x.example:8443'] };
  assert.equal(judge('reg.example', 'https://auth.other.example/t', { allowedRealms }), 'allowed');
  assert.equal(judge('reg.example', 'https://x.example:8443/t', { allowedRealms }), 'allowed');
  assert.equal(judge('reg.example', 'https://x.example/t', { allowedRealms }), 'stranger');
});

test('SEC-28 judgeRealm: strangers, plain HTTP and shared suffixes get nothing', () => {
  assert.equal(judge('reg.example', 'https://evil.example/token'), 'stranger');
  assert.equal(judge('reg.corp.example', 'https://corp.example.evil.test/token'), 'stranger');
  assert.equal(judge('reg.corp.example', 'https://evilcorp.example/token'), 'stranger');
  assert.equal(judge('shop.co.uk', 'https://evil.co.uk/token'), 'stranger');
  assert.equal(judge('mine.azurecr.io', 'https://evil.azurecr.io/token'), 'stranger');
  assert.equal(judge('1.dkr.ecr.eu-west-1.amazonaws.com', 'https://2.dkr.ecr.eu-west-1.amazonaws.com/t'), 'stranger');
  assert.equal(judge('ghcr.io', 'http://ghcr.io/token'), 'stranger');
  assert.equal(judge('docker.io', 'http://auth.docker.io/token', { registryHost: 'registry-1.docker.io' }), 'stranger');
  assert.equal(judge('10.0.0.1:5000', 'https://10.0.0.2/token', { isInsecure: true }), 'stranger');
  // Whoever answers for an insecure name may be anybody: it does not vouch for neighbours.
  assert.equal(judge('reg.corp.example', 'https://auth.corp.example/token', { isInsecure: true }), 'stranger');
  assert.equal(judge('reg.example', 'http://reg.example/token', { isInsecure: true }), 'same-host');
  assert.equal(judge('__proto__', 'https://evil.example/token'), 'stranger');
});

test('siteOf: at least two labels, and never the whole name', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 5 }), (labels) => {
      const site = siteOf(labels.join('.'));
      if (site === null) return;
      assert.ok(site.split('.').length >= 2);
      assert.equal(`${labels[0]}.${site}`, labels.join('.'));
    }),
  );
});
