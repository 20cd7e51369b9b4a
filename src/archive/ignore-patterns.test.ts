import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IgnorePatterns } from './ignore-patterns.ts';

/** pattern lines, path, ignored? */
const cases: readonly (readonly [string, string, boolean])[] = [
  ['*.md', 'README.md', true],
  ['*.md', 'docs/README.md', false],
  ['**/*.md', 'README.md', true],
  ['**/*.md', 'docs/a/R.md', true],
  ['docs', 'docs/a/b.txt', true],
  ['/docs', 'docs/a.txt', true],
  ['./docs/', 'docs/a.txt', true],
  ['docs\n!docs/README.md', 'docs/README.md', false],
  ['!docs/README.md\ndocs', 'docs/README.md', true],
  ['*\n!src', 'src/a/b.c', false],
  ['*\n!src\nsrc/tmp', 'src/tmp/x', true],
  ['*\n!*.c', 'src/a.c', true],
  ['*\n!**/*.c', 'src/a.c', false],
  ['abc/**', 'abc', false],
  ['abc/**', 'abc/d/g', true],
  ['a/*.txt', 'a/d/f.txt', false],
  ['a**/*.txt', 'a/d/d/f.txt', true],
  ['a?c', 'a/c', false],
  ['**/node_modules', 'a/node_modules/x', true],
  ['node_modules', 'a/node_modules/x', false],
  [' # foo', '# foo', true],
  ['# foo', '# foo', false],
  ['\\#x', '#x', true],
  ['.*', 'a/.env', false],
  ['**b', 'ab', true],
  ['**/b', 'ab', false],
  ['foo/../bar', 'bar', true],
  ['../foo', 'foo', false],
  ['keep\n!keep/*.log', 'keep/a.log', false],
  ['.', 'anything', false],
  ['/', 'x', false],
  ['FOO', 'foo', false],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'axb', false],
  ['*/temp*', 'a/b/temp.x', false],
  ['{a,b}', 'a', false],
  ['[a-c]x', 'bx', true],
  ['[^a-c]x', 'bx', false],
  ['[^a]x', '/x', false],
  ['\uFEFFa\r\n\r\nb', 'a', true],
];

for (const [patterns, path, ignored] of cases) {
  test(`IgnorePatterns ${JSON.stringify(patterns)}: ${path}`, () => assert.equal(IgnorePatterns.parse(patterns).ignores(path), ignored));
}

test('IgnorePatterns.parse refuses what can mean nothing', () => {
  assert.throws(() => IgnorePatterns.parse('a\n!'), /illegal exclusion pattern: "!"/);
  assert.throws(() => IgnorePatterns.parse('[a'), /illegal pattern "\[a"/);
});

/** patterns, folder, may anything below it be taken back in? */
const pruned: readonly (readonly [string, string, boolean])[] = [
  ['a', 'a', false],
  ['a\n!a/b/c', 'a', true],
  ['a\n!a/b/c', 'a/b', true],
  ['a\n!a/b/c', 'a/x', false],
  ['a\n!a/*', 'a', true],
  ['a\n!b', 'a', false],
  ['!a/b\na', 'a', false],
  ['a\n!**/x', 'a/deep', true],
];

for (const [patterns, folder, expected] of pruned) {
  test(`IgnorePatterns ${JSON.stringify(patterns)} below ${folder}`, () => {
    const parsed = IgnorePatterns.parse(patterns);
    const parts = folder.split('/');
    const state = parts.reduce((parent, _, index) => parsed.look(parts.slice(0, index + 1).join('/'), parent).state, parsed.rootState);
    assert.equal(parsed.mayTakeBackBelow(folder, state), expected);
  });
}
