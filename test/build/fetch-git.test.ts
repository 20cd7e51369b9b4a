import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { GitRequest } from '../../src/build/context/context-store.ts';
import { createContextStore, type OpenContextStore } from '../../src/build/context/create-context-store.ts';
import { addCommit, type GitServer, git, makeRepository, serveGit } from '../../src/build/context/testing/git-server.ts';

let directory = '';
let store: OpenContextStore;
let server: GitServer;
let first = '';
let second = '';
const signal = new AbortController().signal;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-git-'));
  store = await createContextStore({ root: join(directory, 'root') });
  const repositories = join(directory, 'repositories');
  const main = makeRepository(repositories, 'main.git', { Dockerfile: 'FROM scratch\n', 'sub/file': 'one' });
  first = git(main, 'rev-parse', 'HEAD');
  git(main, 'tag', '-a', 'v1', '-m', 'first');
  git(main, 'branch', 'feature/x');
  symlinkSync('/etc', join(main, 'outside'));
  second = addCommit(main, { 'sub/file': 'two' });
  makeRepository(repositories, 'module.git', { inner: 'of the submodule' });
  const outer = makeRepository(repositories, 'outer.git', { a: 'a' });
  git(outer, 'submodule', '--quiet', 'add', '../module.git', 'modules/m');
  addCommit(outer, {});
  const hostile = makeRepository(repositories, 'hostile.git', { a: 'a' });
  git(hostile, 'submodule', '--quiet', 'add', '../module.git', 'm');
  addCommit(hostile, { '.gitmodules': '[submodule "m"]\n\tpath = m\n\turl = file:///etc/repo.git\n' });
  const helper = makeRepository(repositories, 'helper.git', { a: 'a' });
  git(helper, 'submodule', '--quiet', 'add', '../module.git', 'm');
  addCommit(helper, { '.gitmodules': `[submodule "m"]\n\tpath = m\n\turl = ext::touch% ${directory}/ran\n` });
  server = await serveGit(repositories);
});

after(async () => {
  server.close();
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

function fetchGit(path: string, request: Partial<GitRequest> = {}, aborts = signal) {
  const secret = async () => null;
  const url = path.includes('://') ? path : `${server.url}/${path}`;
  return store.git({ url, keepGitDirectory: false, checksum: null, secret, connectSshAgent: null, ...request }, aborts);
}

test('a repository is the files of a commit, all of its time, without the directory of git', async () => {
  const context = await fetchGit('main.git');
  const { directory: files } = context.files;
  assert.deepEqual([context.commit, context.committedAt.getTime()], [second, 1_600_000_000_000]);
  assert.deepEqual(readdirSync(files).sort(), ['Dockerfile', 'outside', 'sub']);
  assert.equal(readFileSync(join(files, 'sub/file'), 'utf8'), 'two');
  const stats = lstatSync(join(files, 'sub/file'));
  assert.deepEqual(
    [stats.mode & 0o7777, stats.mtimeMs, lstatSync(join(files, 'sub')).mtimeMs],
    [0o644, 1_600_000_000_000, 1_600_000_000_000],
  );
  assert.equal(await store.newestTime(context.files), 1_600_000_000);
  const again = await fetchGit('main.git');
  assert.equal(again.digest, context.digest);
  await again.release();
  await context.release();
  await store.settled();
  assert.deepEqual(readdirSync(join(directory, 'root/contexts')), []);
});

test('branches, tags, commits, their starts, and folders of them', async () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['main.git#main', second, 'Dockerfile,outside,sub'],
    ['main.git#v1', first, 'Dockerfile,sub'],
    ['main.git#feature/x:sub', first, 'file'],
    ['main.git#refs/tags/v1', first, 'Dockerfile,sub'],
    ['main.git?tag=v1&subdir=sub', first, 'file'],
    [`main.git#${first}`, first, 'Dockerfile,sub'],
    [`main.git#${first.slice(0, 10)}`, first, 'Dockerfile,sub'],
    [`main.git?branch=main&commit=${second.slice(0, 8)}`, second, 'Dockerfile,outside,sub'],
    [`main.git?commit=${first}`, first, 'Dockerfile,sub'],
  ];
  for (const [path, commit, names] of cases) {
    const context = await fetchGit(path);
    assert.deepEqual([context.commit, readdirSync(context.files.directory).sort().join()], [commit, names], path);
    await context.release();
  }
});

test('the directory of git stays when it is asked for', async () => {
  const context = await fetchGit('main.git', { keepGitDirectory: true });
  assert.equal(git(context.files.directory, 'rev-parse', 'HEAD'), second);
  assert.equal(git(context.files.directory, 'remote', 'get-url', 'origin'), `${server.url}/main.git`);
  await context.release();
});

test('submodules come along, by the same rules', async () => {
  const context = await fetchGit('outer.git');
  assert.equal(readFileSync(join(context.files.directory, 'modules/m/inner'), 'utf8'), 'of the submodule');
  assert.equal(existsSync(join(context.files.directory, 'modules/m/.git')), false);
  await context.release();
  const without = await fetchGit('outer.git?submodules=false');
  assert.deepEqual(readdirSync(join(without.files.directory, 'modules/m')), []);
  await without.release();
});

test('SEC-20 submodules of this machine and helpers are refused before anything runs', async () => {
  await assert.rejects(fetchGit('hostile.git'), /only https, http, ssh and git are, not file/);
  await assert.rejects(fetchGit('helper.git'), /blanks|helpers of git/);
  assert.equal(existsSync(join(directory, 'ran')), false);
  await store.settled();
  assert.deepEqual(readdirSync(join(directory, 'root/contexts')), []);
});

test('SEC-20 a folder behind a link of the repository is refused', async () => {
  await assert.rejects(fetchGit('main.git#main:outside'), /has no directory "outside"/);
  await assert.rejects(fetchGit('main.git#main:nowhere'), /has no directory "nowhere"/);
});

test('what is not there, and what is not the commit that was asked for', async () => {
  await assert.rejects(fetchGit('main.git#nowhere'), /does not contain ref nowhere/);
  await assert.rejects(fetchGit(`main.git#${'0'.repeat(40)}`), /does not contain ref 0000/);
  await assert.rejects(fetchGit('nothing.git'), /git ls-remote|git fetch/);
  await assert.rejects(fetchGit('main.git#main', { checksum: first }), new RegExp(`expected checksum to match ${first}, got ${second}`));
  await assert.rejects(fetchGit('main.git#main', { checksum: 'zzz' }), /is not a commit/);
});

test('tokens go to their host by the environment, and into no message', async () => {
  const secretOf = (id: string, value: string) => async (asked: string) => (asked === id ? Buffer.from(`${value}\n`) : null);
  server.wantedHeader = `basic ${Buffer.from('x-access-token:t0ken').toString('base64')}`;
  try {
    await (await fetchGit('main.git', { secret: secretOf('GIT_AUTH_TOKEN', 't0ken') })).release();
    const perHost = await fetchGit('main.git', { secret: secretOf(`GIT_AUTH_TOKEN.${new URL(server.url).host}`, 't0ken') });
    await perHost.release();
    await assert.rejects(
      fetchGit('main.git', { secret: secretOf('GIT_AUTH_TOKEN', 'wr0ng') }),
      (error: Error) => !/wr0ng/.test(error.message),
    );
    server.wantedHeader = 'Bearer abc';
    await (await fetchGit('main.git', { secret: secretOf('GIT_AUTH_HEADER', 'Bearer abc') })).release();
    server.wantedHeader = `basic ${Buffer.from('user:pw').toString('base64')}`;
    await (await fetchGit(`${server.url.replace('//', '//user:pw@')}/main.git`)).release();
    await assert.rejects(fetchGit('main.git'), /git fetch/);
  } finally {
    server.wantedHeader = null;
  }
});

test('a fetch that is cancelled ends with what git started', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const abort = new AbortController();
  const asked = new Promise((resolve) => silent.once('request', resolve));
  const fetching = fetchGit(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/p.git`, {}, abort.signal);
  fetching.catch(() => {});
  await asked;
  abort.abort(new Error('cancelled by the test'));
  await assert.rejects(fetching, /cancelled by the test/);
  silent.close();
  silent.closeAllConnections();
  await store.settled();
  assert.deepEqual(readdirSync(join(directory, 'root/contexts')), []);
});

test('a machine without git is told what to do', async () => {
  const bare = await createContextStore({ root: join(directory, 'bare'), environment: () => ({ PATH: '/nonexistent' }) });
  try {
    const request = { keepGitDirectory: false, checksum: null, secret: async () => null, connectSshAgent: null };
    await assert.rejects(bare.git({ ...request, url: `${server.url}/main.git` }, signal), {
      code: 'unavailable',
      message: 'git is not installed on the machine of the daemon: install it (apt-get install git)',
    });
  } finally {
    await bare.close();
  }
});

test('git sees neither the configuration nor the hooks of the machine', async () => {
  const home = join(directory, 'home');
  mkdirSync(join(home, 'hooks'), { recursive: true });
  writeFileSync(
    join(home, '.gitconfig'),
    `[core]\n\thooksPath = ${home}/hooks\n[url "http://127.0.0.1:1/"]\n\tinsteadOf = ${server.url}/\n`,
  );
  writeFileSync(join(home, 'hooks/post-checkout'), `#!/bin/sh\ntouch ${directory}/hook-ran\n`, { mode: 0o755 });
  const { HOME } = process.env;
  process.env.HOME = home;
  try {
    await (await fetchGit('main.git')).release();
  } finally {
    process.env.HOME = HOME;
  }
  assert.equal(existsSync(join(directory, 'hook-ran')), false);
});
