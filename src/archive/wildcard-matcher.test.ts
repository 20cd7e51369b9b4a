import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type WildcardPiece, wildcardMatcher } from './wildcard-matcher.ts';

const star: WildcardPiece = { kind: 'run', source: '[^/]' };
const folders: WildcardPiece = { kind: 'folders' };
const one = (source: string): WildcardPiece => ({ kind: 'one', source });

test('wildcardMatcher: with many wildcards as an expression would, on all short names', () => {
  const alphabet = ['a', 'b', '/'];
  const names = [''];
  for (const name of names) if (name.length < 6) names.push(...alphabet.map((char) => name + char));
  const patterns: readonly [readonly WildcardPiece[], RegExp][] = [
    [[star, one('a'), star, one('b'), star], /^[^/]*a[^/]*b[^/]*$/],
    [[folders, star, one('a'), folders, one('b')], /^(?:.*\/)?[^/]*a(?:.*\/)?b$/],
    [[folders, folders, one('[ab]'), { kind: 'run', source: '.' }], /^(?:.*\/)?(?:.*\/)?[ab].*$/],
    [[one('(?!/)[^b]'), star, star, star], /^(?!\/)[^b][^/]*$/],
  ];
  for (const [pieces, expression] of patterns) {
    const match = wildcardMatcher(pieces);
    for (const name of names) assert.equal(match(name), expression.test(name), `${expression} ${name}`);
  }
});

test('SEC-18: wildcardMatcher: no pattern takes long', () => {
  const started = performance.now();
  const pieces = Array.from({ length: 50 }, () => [folders, star, one('a')]).flat();
  assert.equal(wildcardMatcher([...pieces, one('b')])('a'.repeat(250)), false);
  assert.equal(wildcardMatcher([...pieces, one('b')])('a/'.repeat(100)), false);
  assert.ok(performance.now() - started < 5000);
});
