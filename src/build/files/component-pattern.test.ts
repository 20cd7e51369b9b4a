import assert from 'node:assert/strict';
import { test } from 'node:test';
import { componentMatcher, hasWildcards } from './component-pattern.ts';

test('componentMatcher: as filepath.Match', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', '.hidden', true],
    ['*', '', true],
    ['*.c', 'a.c', true],
    ['*.c', 'a.h', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?c', 'a😀c', true],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['[[]x', '[x', true],
    ['[]x', ']x', false],
    ['[a\\]]', ']', true],
    ['[z-a]', 'b', false],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.b', 'axb', false],
    ['(a|b)', '(a|b)', true],
    ['x$', 'x$', true],
    ['*\n', 'a\n', true],
  ];
  for (const [pattern, name, expected] of cases) {
    if (pattern === '[]x') assert.throws(() => componentMatcher(pattern), { code: 'invalid' });
    else assert.equal(componentMatcher(pattern)(name), expected, `${pattern} ${name}`);
  }
  for (const pattern of ['[a', '[', '[^]', 'a\\', '[a-]', '[-a]'])
    assert.throws(() => componentMatcher(pattern), { code: 'invalid' }, pattern);
});

test('hasWildcards: a backslash hides what follows', () => {
  for (const pattern of ['*', 'a?', '[a]', '\\\\*']) assert.ok(hasWildcards(pattern), pattern);
  for (const pattern of ['a', '\\*', 'a\\?b', '\\[a]']) assert.ok(!hasWildcards(pattern), pattern);
});
