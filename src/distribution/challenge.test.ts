import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from './challenge.ts';

const read = (header: string) => parseChallenges(header).map(({ scheme, parameters }) => ({ scheme, ...Object.fromEntries(parameters) }));

test('parseChallenges: as registries send them', () => {
  assert.deepEqual(read('Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'), [
    { scheme: 'bearer', realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
  ]);
  assert.deepEqual(read('Basic realm="x", Bearer realm="y" , error="invalid_token"'), [
    { scheme: 'basic', realm: 'x' },
    { scheme: 'bearer', realm: 'y', error: 'invalid_token' },
  ]);
  assert.deepEqual(read('Negotiate, Basic realm=plain'), [{ scheme: 'negotiate' }, { scheme: 'basic', realm: 'plain' }]);
  assert.deepEqual(read('NTLM TlRMTVNTUAAB==, BEARER Realm = "a\\"b,c"'), [{ scheme: 'ntlm' }, { scheme: 'bearer', realm: 'a"b,c' }]);
  assert.deepEqual(read('Bearer realm="one",realm="two"'), [{ scheme: 'bearer', realm: 'one' }]);
});

test('parseChallenges: nonsense gives nothing, an open quote ends with the header', () => {
  assert.deepEqual(read(''), []);
  assert.deepEqual(read(' ,;,"'), []);
  assert.deepEqual(read('Bearer realm="open'), [{ scheme: 'bearer', realm: 'open' }]);
  assert.deepEqual(read('Bearer realm='), [{ scheme: 'bearer' }]);
});

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
const challenge = fc.record({
  scheme: fc.stringMatching(/^[A-Za-z][a-z0-9-]{0,8}$/),
  parameters: fc.uniqueArray(fc.tuple(name, fc.string()), { maxLength: 5, selector: ([key]) => key }),
});

test('parseChallenges: reads back what was written, whatever the values hold', () => {
  const quoted = (value: string) => `"${value.replace(/[\\"]/g, '\\$&')}"`;
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
      const header = challenges
        .map(({ scheme, parameters }) => `${scheme} ${parameters.map(([key, value]) => `${key}=${quoted(value)}`).join(', ')}`.trim())
        .join(', ');
      const expected = challenges.map(({ scheme, parameters }) => ({ scheme: scheme.toLowerCase(), parameters: new Map(parameters) }));
      assert.deepEqual(parseChallenges(header), expected);
    }),
  );
});

test('parseChallenges: any text ends, in time that grows with its length', () => {
  const piece = fc.constantFrom('Bearer ', 'realm', '=', '"', '\\', ',', ' ', 'a', '==', 'Basic', '\t', 'é');
  fc.assert(fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => void parseChallenges(pieces.join(''))));
  const started = performance.now();
  for (const text of ['a='.repeat(50_000), '"'.repeat(100_000), 'a '.repeat(50_000), `Basic ${'='.repeat(100_000)}`, 'a/'.repeat(50_000)])
    parseChallenges(text);
  assert.ok(performance.now() - started < 5000);
});
