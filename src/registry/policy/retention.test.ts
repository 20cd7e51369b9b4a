import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Digest } from '../../base/brand.ts';
import { digestOf } from '../../oci/digest.ts';
import { type RetentionRule, readConfiguration } from '../configuration/registry-configuration.ts';
import type { ManifestInfo } from '../registry.ts';
import { immutableRefusal } from './immutable-tags.ts';
import { chooseExpired, type RepositoryContent } from './retention.ts';

const day = 86_400_000;
const now = Date.parse('2026-06-01T00:00:00Z');
const digestFor = (name: string): Digest => digestOf(Buffer.from(name));

function rule(value: object): RetentionRule {
  return readConfiguration(JSON.stringify({ retention: { rules: [value] } }), 'test').retention.rules[0] ?? assert.fail();
}

/** `name: [age in days, tags, names, subject]`. */
type Sketch = Readonly<Record<string, readonly [age: number, tags: string, names?: string, subject?: string]>>;

const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');

function contentOf(sketch: Sketch): RepositoryContent {
  const manifests = Object.entries(sketch).map(
    ([name, [age, tags, names = '', subject]]): ManifestInfo => ({
      digest: digestFor(name),
      mediaType: 'x',
      sizeBytes: 1,
      subject: subject === undefined ? null : digestFor(subject),
      artifactType: null,
      pushedAt: new Date(now - age * day),
      names: words(names).map(digestFor),
      tags: words(tags),
    }),
  );
  return { manifests, tags: manifests.flatMap(({ tags, digest, pushedAt }) => tags.map((tag) => ({ tag, digest, movedAt: pushedAt }))) };
}

function gone(given: object, sketch: Sketch, fixed: string[] = []): readonly [tags: string, manifests: string] {
  const names = new Map(Object.keys(sketch).map((name) => [digestFor(name), name]));
  const { tags, manifests } = chooseExpired(rule(given), contentOf(sketch), now, (tag) => fixed.includes(tag));
  return [
    tags
      .map(({ tag }) => tag)
      .sort()
      .join(' '),
    manifests.map((digest) => names.get(digest)).join(' '),
  ];
}

describe('chooseExpired', () => {
  const five: Sketch = { m1: [1, 'v1'], m2: [2, 'v2'], m3: [3, 'v3'], m4: [40, 'v4'], m5: [50, 'latest v5'] };
  const rows: readonly (readonly [what: string, rule: object, sketch: Sketch, tags: string, manifests: string])[] = [
    ['keepLast', { keepLast: 2 }, five, 'latest v3 v4 v5', 'm3 m4 m5'],
    ['keepTags, which count for themselves', { keepLast: 2, keepTags: ['latest'] }, five, 'v3 v4 v5', 'm3 m4'],
    ['keepYoungerThan', { keepYoungerThan: '30d' }, five, 'latest v4 v5', 'm4 m5'],
    ['any reason keeps', { keepLast: 4, keepYoungerThan: '2d' }, five, 'latest v5', 'm5'],
    ['a tag pattern: others stay', { tag: 'v*', keepLast: 0 }, five, 'v1 v2 v3 v4 v5', 'm1 m2 m3 m4'],
    ['only untagged', { removeUntaggedAfter: '10d' }, { old: [20, ''], young: [1, ''], tagged: [20, 'v1'] }, '', 'old'],
    [
      'an index takes its parts and its signature with it, parts that another names stay',
      { keepLast: 1 },
      {
        a: [9, 'old', 'amd arm'],
        amd: [9, ''],
        arm: [9, ''],
        b: [1, 'new', 'arm'],
        sig: [9, '', '', 'a'],
        sigsig: [9, '', '', 'sig'],
        other: [9, '', '', 'b'],
      },
      'old',
      'a sig sigsig amd',
    ],
    [
      'what is needed stays, however old: parts of an index, referrers of an image',
      { removeUntaggedAfter: '10d' },
      { index: [90, 'v1', 'part'], part: [90, '', 'deep'], deep: [90, ''], sbom: [90, '', '', 'part'], lost: [90, '', '', 'nowhere'] },
      '',
      'lost',
    ],
    ['a manifest with another tag stays', { tag: 'tmp-*', keepLast: 0 }, { m: [9, 'tmp-1 v1'] }, 'tmp-1', ''],
  ];
  for (const [what, given, sketch, tags, manifests] of rows) it(what, () => assert.deepEqual(gone(given, sketch), [tags, manifests]));

  it('leaves immutable tags and what they name', () => {
    assert.deepEqual(gone({ keepLast: 0 }, { a: [9, 'fixed', 'p'], p: [9, ''], b: [9, 'v1'] }, ['fixed']), ['v1', 'b']);
  });
});

it('immutableRefusal: the same again yes, another or nothing no', () => {
  const { immutableTags } = readConfiguration('{"immutableTags":[{"repository":"prod/**","tag":["v*","latest"]}]}', 'test');
  const [one, two] = [digestFor('1'), digestFor('2')];
  const refused = (repository: string, tag: string, to: Digest | null) =>
    immutableRefusal(immutableTags, repository, tag, one, to) !== null;
  assert.deepEqual(
    [
      refused('prod/a', 'v1', one),
      refused('prod/a', 'v1', two),
      refused('prod/a', 'v1', null),
      refused('prod/a', 'w1', two),
      refused('dev/a', 'v1', two),
    ],
    [false, true, true, false, false],
  );
});
