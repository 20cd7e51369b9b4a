import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGitRemote, parseGitSource, parseSubmoduleRemote } from './git-source.ts';

test('parseGitSource reads every form of an address', () => {
  const read = (text: string) => {
    const { remote, ref, subdir, commit, keepGitDirectory, submodules, times } = parseGitSource(text);
    return [remote.url, ref, subdir, commit, keepGitDirectory, submodules, times];
  };
  const plain = [null, true, 'commit'];
  assert.deepEqual(read('https://h/p.git'), ['https://h/p.git', null, '', null, ...plain]);
  assert.deepEqual(read('https://h/p.git#v1:a/b'), ['https://h/p.git', 'v1', 'a/b', null, ...plain]);
  assert.deepEqual(read('https://h/p.git#:/a/'), ['https://h/p.git', null, 'a', null, ...plain]);
  assert.deepEqual(read('git@h:p/q.git#main'), ['git@h:p/q.git', 'main', '', null, ...plain]);
  assert.deepEqual(read('ssh://git@h:22/p'), ['ssh://git@h:22/p', null, '', null, ...plain]);
  assert.deepEqual(read('git://h/p.git'), ['git://h/p.git', null, '', null, ...plain]);
  assert.deepEqual(read('github.com/a/b#main'), ['https://github.com/a/b', 'main', '', null, ...plain]);
  assert.deepEqual(read('https://h/p.git?tag=v1&subdir=x&submodules=false'), [
    'https://h/p.git',
    'refs/tags/v1',
    'x',
    null,
    null,
    false,
    'commit',
  ]);
  assert.deepEqual(read('https://h/p.git?branch=b&keep-git-dir=1&mtime=checkout&commit=ABCDEF1'), [
    'https://h/p.git',
    'refs/heads/b',
    '',
    'abcdef1',
    true,
    true,
    'checkout',
  ]);
  assert.deepEqual(parseGitSource('https://u:p%40w@h/p.git').remote, {
    url: 'https://h/p.git',
    host: 'h',
    origin: 'https://h',
    credentials: 'u:p@w',
  });
});

test('parseGitSource names what contradicts itself or is not known', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['https://h/p.git?what=1', /unexpected query "what"/],
    ['https://h/p.git?ref=a&ref=b', /more than once/],
    ['https://h/p.git?ref=a#b', /a ref more than once: "b" and "a"/],
    ['https://h/p.git?tag=a&branch=a', /a ref more than once/],
    ['https://h/p.git?commit=xyz', /"xyz" is not a commit/],
    ['https://h/p.git?submodules=perhaps', /true or false/],
    ['https://h/p.git?mtime=now', /checkout or commit/],
    ['https://h/p.git?fetch-by-commit=true', /needs a commit/],
  ];
  for (const [text, pattern] of cases) assert.throws(() => parseGitSource(text), pattern, text);
});

test('SEC-20 what git would take for an option, a program or a file is refused before anything runs', () => {
  const cases = [
    'https://h/p.git#--upload-pack=touch x',
    'https://h/p.git#-x',
    'https://h/p.git?ref=--output=/etc/x',
    'https://h/p.git#main:../../etc',
    'https://h/p.git#main:a/../../b',
    'https://h/p.git?subdir=../x',
    'ext::sh -c touch% x',
    'ext::sh',
    'fd::7',
    'file:///etc/repo.git',
    '/srv/repo.git',
    './repo.git',
    '--upload-pack=x:y',
    'ssh://-oProxyCommand=x/y',
    '-oProxyCommand=x@h:p',
    'git@-oProxyCommand=x:p',
    'git@h:-x',
    'ftp://h/p.git',
    'https://h/p.git\n--x',
    'https://h/p.git#a b',
    'https://h/p.git#a..b',
  ];
  for (const text of cases) assert.throws(() => parseGitSource(text), { code: 'invalid' }, text);
  assert.throws(
    () => parseGitSource('ftp://user:secret@h/p.git'),
    (error: Error) => !error.message.includes('secret'),
  );
});

test('parseSubmoduleRemote takes relative addresses as git does, and nothing of this machine', () => {
  const parent = parseGitRemote('https://h/a/b.git');
  assert.equal(parseSubmoduleRemote('../c.git', parent).url, 'https://h/a/c.git');
  assert.equal(parseSubmoduleRemote('../../x/c.git', parent).url, 'https://h/x/c.git');
  assert.equal(parseSubmoduleRemote('./c', parent).url, 'https://h/a/b.git/c');
  assert.equal(parseSubmoduleRemote('../c.git', parseGitRemote('git@h:a/b.git')).url, 'git@h:a/c.git');
  assert.equal(parseSubmoduleRemote('../c.git', parseGitRemote('git@h:b.git')).url, 'git@h:c.git');
  for (const text of ['../../../../x', 'file:///etc', '/etc/x', 'ext::x', '-x']) {
    assert.throws(() => parseSubmoduleRemote(text, parent), { code: 'invalid' }, text);
  }
});
