import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endpointsOf, isInsecure } from './endpoints.ts';
import { testSettings } from './testing/small-server.ts';

const places = (settings: Parameters<typeof testSettings>[0], domain: string, path: string) =>
  endpointsOf(testSettings(settings), { domain, path }).map(({ scheme, host, pathPrefix }) => `${scheme}://${host}${pathPrefix}`);

test('endpointsOf: docker.io is another host; its mirrors come first, in order, once', () => {
  const mirrors = ['https://one.example', 'http://two.example:5000/', 'https://one.example/'];
  assert.deepEqual(places({ mirrors }, 'docker.io', 'library/busybox'), [
    'https://one.example',
    'http://two.example:5000',
    'https://registry-1.docker.io',
  ]);
  assert.deepEqual(places({ mirrors }, 'quay.io', 'a/b'), ['https://quay.io']);
});

test('endpointsOf: mirrors of prefixes, the longest first, whole components only', () => {
  const prefixMirrors = [
    { prefix: 'quay.io', urls: ['https://all.example/quay'] },
    { prefix: 'quay.io/team/', urls: ['https://team.example', 'https://spare.example'] },
    { prefix: 'quay.io/te', urls: ['https://wrong.example'] },
    { prefix: 'docker.io/library', urls: ['https://hub.example/cache'] },
  ];
  const mirrors = ['https://m.example'];
  assert.deepEqual(places({ prefixMirrors, mirrors }, 'quay.io', 'team/app'), [
    'https://team.example',
    'https://spare.example',
    'https://all.example/quay',
    'https://quay.io',
  ]);
  assert.deepEqual(places({ prefixMirrors, mirrors }, 'docker.io', 'library/a'), [
    'https://hub.example/cache',
    'https://m.example',
    'https://registry-1.docker.io',
  ]);
  assert.deepEqual(places({ prefixMirrors, mirrors }, 'quay.io.evil.example', 'team/app'), ['https://quay.io.evil.example']);
});

test('endpointsOf: the registry itself is last, alone gets credentials, and is verified unless declared insecure', () => {
  const component = fc.stringMatching(/^[a-z0-9]{1,6}$/);
  fc.assert(
    fc.property(fc.array(component, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(4), { maxLength: 4 }), (parts, cuts) => {
      const full = ['reg.example', ...parts];
      const prefixMirrors = cuts.map((cut, index) => ({ prefix: full.slice(0, cut).join('/'), urls: [`https://m${index}.example`] }));
      const found = endpointsOf(testSettings({ prefixMirrors }), { domain: 'reg.example', path: parts.join('/') });
      assert.deepEqual(
        found.map(({ registryOf }) => registryOf),
        [...found.slice(1).map(() => null), 'reg.example'],
      );
      assert.ok(found.every(({ isVerified }) => isVerified));
    }),
  );
});

test('endpointsOf: mirrors with passwords, queries or other schemes are refused without repeating them', () => {
  for (const url of ['https://me:s3cret@m.example', 'https://m.example/?token=s3cret', 'ftp://m.example', 'm.example'])
    assert.throws(
      () => places({ mirrors: [url] }, 'docker.io', 'library/a'),
      (thrown: Error) => /^invalid mirror/.test(thrown.message) && !thrown.message.includes('s3cret'),
    );
});

test('isInsecure: loopback always, else host with its port, or a network', () => {
  const insecure = ['reg.example:5000', '10.0.0.0/8', 'plain.example'];
  for (const host of [
    'localhost:5000',
    '127.0.0.1:1',
    '[::1]:5000',
    '127.9.0.1',
    'reg.example:5000',
    'REG.example:5000',
    '10.1.2.3:5000',
    'plain.example',
  ])
    assert.equal(isInsecure(insecure, host), true, host);
  for (const host of ['reg.example', 'reg.example:5001', '11.0.0.1', 'plain.example:5000', 'localhost.example', '127.0.0.1.example'])
    assert.equal(isInsecure(insecure, host), false, host);
});
