import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import { digestOf } from './digest.ts';
import { canonicalReference, familiarReference, parseAnyReference, parseReference, withDefaultTag } from './reference.ts';

const digest = digestOf('');

test('parseReference: canonical and familiar forms', () => {
  const cases: readonly (readonly [text: string, canonical: string, familiar: string])[] = [
    ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['user/x', 'docker.io/user/x:latest', 'user/x:latest'],
    ['library/x/y', 'docker.io/library/x/y:latest', 'library/x/y:latest'],
    ['localhost/x', 'localhost/x:latest', 'localhost/x:latest'],
    ['localhost:5000/x:y', 'localhost:5000/x:y', 'localhost:5000/x:y'],
    ['host:5000/a/b/c', 'host:5000/a/b/c:latest', 'host:5000/a/b/c:latest'],
    ['Host/x', 'Host/x:latest', 'Host/x:latest'],
    ['[::1]:5000/x', '[::1]:5000/x:latest', '[::1]:5000/x:latest'],
    ['quay.io/a__b/c-d.e:T_a.g-1', 'quay.io/a__b/c-d.e:T_a.g-1', 'quay.io/a__b/c-d.e:T_a.g-1'],
    [`busybox@${digest}`, `docker.io/library/busybox@${digest}`, `busybox@${digest}`],
    [`busybox:1@${digest}`, `docker.io/library/busybox:1@${digest}`, `busybox:1@${digest}`],
    ['docker.io/localhost/x', 'docker.io/localhost/x:latest', 'docker.io/localhost/x:latest'],
  ];
  for (const [text, canonical, familiar] of cases) {
    const reference = withDefaultTag(parseReference(text));
    assert.equal(canonicalReference(reference), canonical, text);
    assert.equal(familiarReference(reference), familiar, text);
  }
});

test('parseReference: refuses with the texts of Docker', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', 'invalid reference format'],
    ['Busybox', 'invalid reference format: repository name (library/Busybox) must be lowercase'],
    ['host.io/A/b', 'invalid reference format: repository name (A/b) must be lowercase'],
    ['a'.repeat(64), `invalid repository name (${'a'.repeat(64)}), cannot specify 64-byte hexadecimal strings`],
    ...[
      ':1',
      'a:',
      'a:-b',
      `a:${'x'.repeat(129)}`,
      'a b',
      '-a',
      'a-',
      'a..b',
      'a//b',
      '/a',
      'a/',
      'host:x/a',
      'a___b',
      '../x',
      'a\nb',
      'x'.repeat(5000),
    ].map((text) => [text, 'invalid reference format'] as const),
    ['a'.repeat(256), 'repository name must not be more than 255 characters'],
    ['a@sha256:12', `invalid reference format: a@sha256:12: "sha256:12" is not a sha256 digest`],
  ];
  for (const [text, message] of cases) assert.throws(() => parseReference(text), { code: 'invalid', message }, text);
});

test('parseAnyReference: 64 hex digits and sha256: are ids', () => {
  assert.deepEqual(parseAnyReference(digest), { kind: 'digest', digest });
  assert.deepEqual(parseAnyReference(digest.slice(7)), { kind: 'digest', digest });
  assert.equal(parseAnyReference('sha256').kind, 'named');
});

const component = fc.stringMatching(/^[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const domain = fc.constantFrom('', 'docker.io/', 'localhost/', 'localhost:1/', 'a.b/', 'A/', 'a:80/', '[::1]/', 'index.docker.io/');
const anyReference = fc
  .tuple(
    domain,
    fc.array(component, { minLength: 1, maxLength: 4 }),
    fc.option(fc.stringMatching(/^\w[\w.-]{0,20}$/), { nil: '' }),
    fc.boolean(),
  )
  .map(([host, path, tag, pinned]) => `${host}${path.join('/')}${tag && `:${tag}`}${pinned ? `@${digest}` : ''}`);

function isReference(text: string): boolean {
  try {
    return Boolean(parseReference(text));
  } catch {
    return false;
  }
}

test('property: canonical and familiar forms parse back to the same reference', () => {
  fc.assert(
    fc.property(anyReference, (text) => {
      // A first component like `a_b.c` is taken for a domain, and is none.
      fc.pre(isReference(text));
      const reference = parseReference(text);
      assert.deepEqual(parseReference(canonicalReference(reference)), reference);
      assert.deepEqual(parseReference(familiarReference(reference)), reference);
    }),
  );
});

test('property: any text either parses or is refused as invalid, quickly', () => {
  const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.stringMatching(/^[a-zA-Z0-9:@/._-]{0,80}$/));
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const reference = parseReference(text);
        assert.deepEqual(parseReference(canonicalReference(reference)), reference);
      } catch (thrown) {
        assert.ok(thrown instanceof EngineError && thrown.code === 'invalid', String(thrown));
      }
    }),
    { numRuns: 500 },
  );
});
