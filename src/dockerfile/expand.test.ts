import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expand, expandHeredoc, expandWords } from './expand.ts';

const values: Readonly<Record<string, string>> = { A: 'e', EMPTY: '', P: '/usr/lib/x.tar.gz', TWO: 'a b', S: 'xaxbx' };
const variables = { get: (name: string) => (Object.hasOwn(values, name) ? values[name] : undefined) };

/** text → result, or the error's text */
const single: readonly (readonly [string, string])[] = [
  [`'$PATH'`, '$PATH'],
  ['\\$PATH', '$PATH'],
  ['"\\$PATH"', '$PATH'],
  [`"it's"`, "it's"],
  [`'a"b'`, 'a"b'],
  ['a\\ b', 'a b'],
  ['$$', ''],
  ['$1x', 'x'],
  ['$@$*$#$?$-$!$0', ''],
  ['$', '$'],
  ['a$,b', 'a$,b'],
  ['\\\\$A', '\\e'],
  ['end\\', 'end'],
  ['${A}', 'e'],
  ['${U}', ''],
  ['${U-w}', 'w'],
  ['${EMPTY-w}', ''],
  ['${EMPTY:-w}', 'w'],
  ['${A:-w}', 'e'],
  ['${U+w}', ''],
  ['${EMPTY+w}', 'w'],
  ['${EMPTY:+w}', ''],
  ['${A:+w}', 'w'],
  ['${U:-${A}}', 'e'],
  ['${U:-"}"}', '}'],
  ['${U:-\\}}', '}'],
  ['${A?}', 'e'],
  ['${P##*/}', 'x.tar.gz'],
  ['${P#*/}', 'usr/lib/x.tar.gz'],
  ['${P%.*}', '/usr/lib/x.tar'],
  ['${P%%.*}', '/usr/lib/x'],
  ['${P/\\//_}', '_usr/lib/x.tar.gz'],
  ['${P//\\//_}', '_usr_lib_x.tar.gz'],
  ['${S/x*/_}', '_'],
  ['${S//x/}', 'ab'],
  ['${P%[a]}', '/usr/lib/x.tar.gz'],
];

for (const [text, expected] of single) {
  test(`expand ${text}`, () => assert.equal(expand(text, { variables }), expected));
}

const refused: readonly (readonly [string, RegExp])[] = [
  ['${B:=x}', /unsupported modifier \(:=\) in substitution/],
  ['${A^^}', /unsupported modifier \(\^\) in substitution/],
  ['${A:1:2}', /unsupported modifier \(:1\) in substitution/],
  ['${U:?no b}', /U: no b$/],
  ['${U?}', /U: is not allowed to be unset/],
  ['${EMPTY:?}', /EMPTY: is not allowed to be empty/],
  ['${}', /bad substitution/],
  ['${:-x}', /bad substitution/],
  ['${{x}', /bad substitution/],
  ['${A', /missing '}'/],
  ['${A:-x', /missing '}'/],
  ['${A/x}', /missing '\/'/],
  ["'a", /single-quote/],
  ['"a', /double-quote/],
  ['${A#\\q}', /invalid pattern/],
];

for (const [text, expected] of refused) {
  test(`expand refuses ${text}`, () => assert.throws(() => expand(text, { variables }), expected));
}

test('expandWords splits at blanks of values, not at quoted ones', () => {
  assert.deepEqual(expandWords('x$TWO "$TWO" \\ y', { variables }), ['xa', 'b', 'a b', ' y']);
  assert.deepEqual(expandWords("  '' z ", { variables }), ['', 'z']);
  assert.deepEqual(expandWords('$U', { variables }), []);
});

test('expand with a backtick as escape leaves backslashes alone', () => {
  assert.equal(expand('C:\\x`$A', { variables, escape: '`' }), 'C:\\x$A');
});

test('expand tells of variables that are not set, but not of those with a default', () => {
  const unset: string[] = [];
  expand('$U ${V} ${W:-x} $A $1 ${X#p}', { variables, onUnset: (name) => unset.push(name) });
  assert.deepEqual(unset, ['U', 'V', 'X']);
});

test('expandHeredoc keeps quotes and unlike a shell drops every backslash but the one before a line feed', () => {
  assert.equal(expandHeredoc('x $U \\$U a\\tb\n', { variables }), 'x  $U atb\n');
  assert.equal(expandHeredoc('"$A" \'$A\' \\\\ \\\n$(x) `y`', { variables }), '"e" \'e\' \\ \\\n$(x) `y`');
});

test('SEC-18: what grows, nests or matches without end is refused, at once', () => {
  const long = { get: (name: string) => (name === 'L' ? 'a'.repeat(10_000) : undefined) };
  const started = performance.now();
  for (const text of ['$L'.repeat(1000), `"${'$L'.repeat(1000)}"`]) {
    assert.throws(() => expand(text, { variables: long }), /expands to more than 1048576 characters/);
  }
  assert.throws(() => expand('${x:-'.repeat(100_000), { variables: long }), /nested more than 100 deep/);
  assert.equal(expand(`\${L//${'a*'.repeat(20)}b/x}`, { variables: long }).length, 10_000);
  assert.equal(expand(`\${L##${'*a'.repeat(20)}b}`, { variables: long }).length, 10_000);
  assert.throws(() => expand(`\${L//${'a*'.repeat(1000)}b/x}`, { variables: long }), /too long for a substitution by patterns/);
  assert.ok(performance.now() - started < 5000);
});

test('patterns match what expressions match', () => {
  const expressionOf = (pattern: string, star: string) => pattern.replaceAll('?', '.').replaceAll('*', star);
  const words = (letters: string, length: number): readonly string[] =>
    length === 0
      ? ['']
      : words(letters, length - 1).flatMap((word) =>
          word.length === length - 1 ? [word, ...[...letters].map((letter) => word + letter)] : [word],
        );
  for (const value of words('ab', 4)) {
    const of = { get: () => value };
    for (const pattern of words('ab*?', 3)) {
      const [lazy, greedy] = [expressionOf(pattern, '.*?'), expressionOf(pattern, '.*')];
      const told = `${value} ${pattern}`;
      assert.equal(expand(`\${v#${pattern}}`, { variables: of }), value.replace(new RegExp(`^${lazy}`), ''), told);
      if (pattern !== '') assert.equal(expand(`\${v##${pattern}}`, { variables: of }), value.replace(new RegExp(`^${greedy}`), ''), told);
      assert.equal(expand(`\${v%${pattern}}`, { variables: of }), value.replace(new RegExp(`^(.*)${lazy}$`), '$1'), told);
      if (pattern !== '')
        assert.equal(expand(`\${v%%${pattern}}`, { variables: of }), value.replace(new RegExp(`^(.*?)${greedy}$`), '$1'), told);
      if (pattern !== '') assert.equal(expand(`\${v/${pattern}/R}`, { variables: of }), value.replace(new RegExp(greedy), 'R'), told);
    }
  }
});
