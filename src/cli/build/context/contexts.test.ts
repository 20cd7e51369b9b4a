import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { IgnorePatterns } from '../../../archive/ignore-patterns.ts';
import { writeTar } from '../../../archive/tar-writer.ts';
import type { ListedFile } from '../../../base/file-list.ts';
import type { LocalContext } from '../../../client/build-types.ts';
import { readBuildOptions } from '../options/build-options.ts';
import { type BuildFolder, buildFolder } from '../testing/build-command.ts';
import { commitTime } from './commit-time.ts';
import { localFiles, watchedFolders } from './local-files.ts';
import { type PreparedContexts, prepareContexts } from './prepare-contexts.ts';
import { isArchive } from './stdin-context.ts';

async function list(context: LocalContext | undefined): Promise<readonly ListedFile[]> {
  assert.equal(context?.kind, 'files');
  const entries: ListedFile[] = [];
  for await (const batch of context.files.entries()) entries.push(...batch);
  return entries;
}

async function bytes(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const files = (folder: BuildFolder, ignore = '') =>
  localFiles({ directory: folder.path, ignore: IgnorePatterns.parse(ignore), sharedKey: null });

async function paths(folder: BuildFolder, ignore = ''): Promise<string[]> {
  return (await list({ kind: 'files', files: files(folder, ignore) })).map(({ path }) => path);
}

describe('localFiles', () => {
  it('lists folders before what is in them, with types, modes, times and links', async () => {
    using folder = buildFolder({ 'b/c': 'sea', a: '1', 'b-d': '' });
    chmodSync(`${folder.path}/a`, 0o4751);
    utimesSync(`${folder.path}/a`, 1_000_000, 1_234_567.25);
    linkSync(`${folder.path}/a`, `${folder.path}/hard`);
    symlinkSync('b/c', `${folder.path}/soft`);
    execFileSync('mkfifo', [`${folder.path}/pipe`]);
    const entries = await list({ kind: 'files', files: files(folder) });
    assert.deepEqual(
      entries.map(({ path, type, linkTarget, sizeBytes }) => [path, type, linkTarget, sizeBytes]),
      [
        ['a', 'file', '', 1],
        ['b', 'directory', '', 0],
        ['b/c', 'file', '', 3],
        ['b-d', 'file', '', 0],
        ['hard', 'hard-link', 'a', 0],
        ['pipe', 'fifo', '', 0],
        ['soft', 'symbolic-link', 'b/c', 0],
      ],
    );
    assert.deepEqual([entries[0]?.mode, entries[0]?.modifiedAt], [0o4751, { seconds: 1_234_567, nanoseconds: 250_000_000 }]);
    assert.equal(await bytes(files(folder).read(entries[2] as ListedFile)), 'sea');
  });

  it('leaves out what is ignored, whole folders unread, and takes back in', async () => {
    using folder = buildFolder({ 'src/a.c': '', 'src/tmp/x': '', 'node_modules/p/q': '', 'docs/a.md': '', 'docs/README.md': '', k: '' });
    assert.deepEqual(await paths(folder, 'node_modules\nsrc/tmp'), ['docs', 'docs/README.md', 'docs/a.md', 'k', 'src', 'src/a.c']);
    assert.deepEqual(await paths(folder, '*\n!docs/README.md'), ['docs', 'docs/README.md']);
    assert.deepEqual(await paths(folder, '*'), []);
    assert.deepEqual(watchedFolders({ directory: folder.path, ignore: IgnorePatterns.parse('node_modules') }), [
      '',
      'docs',
      'src',
      'src/tmp',
    ]);
  });

  it('never looks into a folder that is ignored', async () => {
    using folder = buildFolder({ 'a/b': '', x: '' });
    // Whoever is not root cannot open it.
    chmodSync(`${folder.path}/a`, 0);
    assert.deepEqual(await paths(folder, 'a'), ['x']);
    chmodSync(`${folder.path}/a`, 0o755);
  });

  it('orders names by their bytes and keeps those that are not UTF-8', async () => {
    using folder = buildFolder({ ä: '', z: '', '\u{1F600}': '', '\uFF21': '' });
    writeFileSync(Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.of(0xff)]), '');
    assert.deepEqual(await paths(folder), ['z', 'ä', '\uFF21', '\u{1F600}', '\udcff']);
  });

  it('refuses a file that became shorter', async () => {
    using folder = buildFolder({ a: 'long text' });
    const source = files(folder);
    const [entry] = await list({ kind: 'files', files: source });
    truncateSync(`${folder.path}/a`, 2);
    await assert.rejects(bytes(source.read(entry as ListedFile)), /became shorter while it was sent/);
  });

  it('does not follow a link that took the place of a file', async () => {
    using folder = buildFolder({ a: 'x' });
    const source = files(folder);
    const [entry] = await list({ kind: 'files', files: source });
    execFileSync('ln', ['-sf', '/etc/passwd', `${folder.path}/a`]);
    await assert.rejects(bytes(source.read(entry as ListedFile)), /cannot read the build context/);
  });
});

function prepare(folder: BuildFolder, line: string, stdin: string | Buffer = ''): Promise<PreparedContexts> {
  const { context } = folder.context(line, { stdin });
  return prepareContexts(readBuildOptions(context), context.io);
}

describe('prepareContexts', () => {
  const text = (prepared: PreparedContexts): string => Buffer.from(prepared.dockerfile?.text ?? []).toString();

  it('takes Dockerfile, dockerfile, or the one that -f names, also outside the context', async () => {
    using folder = buildFolder({ 'a/Dockerfile': 'FROM a', 'b/dockerfile': 'FROM b', 'c/D': 'FROM c', 'x.Dockerfile': 'FROM x' });
    const found = await Promise.all(['a', 'b', '-f c/D c', '-f x.Dockerfile a'].map((line) => prepare(folder, line)));
    assert.deepEqual(
      found.map((prepared) => [prepared.dockerfile?.name, text(prepared)]),
      [
        ['Dockerfile', 'FROM a'],
        ['dockerfile', 'FROM b'],
        ['c/D', 'FROM c'],
        ['x.Dockerfile', 'FROM x'],
      ],
    );
  });

  it('uses the ignore file beside the Dockerfile instead of that of the context', async () => {
    using folder = buildFolder({
      'a/Dockerfile': '',
      'a/.dockerignore': 'x',
      'a/x': '',
      'a/y': '',
      'p.Dockerfile': '',
      'p.Dockerfile.dockerignore': 'y',
    });
    const names = async (line: string): Promise<string[]> =>
      (await list((await prepare(folder, line)).local.get('context'))).map(({ path }) => path);
    assert.deepEqual(await names('a'), ['.dockerignore', 'Dockerfile', 'y']);
    assert.deepEqual(await names('-f p.Dockerfile a'), ['.dockerignore', 'Dockerfile', 'x']);
    assert.equal((await prepare(folder, 'a')).dockerfile?.ignoreFile, 'x');
  });

  it('tells what is missing or unreadable before anything is sent', async () => {
    using folder = buildFolder({ 'a/x': '', 'b/Dockerfile': '', 'b/.dockerignore': '!' });
    mkdirSync(`${folder.path}/d`);
    await assert.rejects(
      prepare(folder, 'a'),
      /failed to read dockerfile: open .*\/a\/Dockerfile: no such file or directory\. Name it with -f/,
    );
    await assert.rejects(prepare(folder, '-f nope a'), /failed to read dockerfile: open .*\/nope: no such file or directory/);
    await assert.rejects(prepare(folder, '-f d a'), /failed to read dockerfile: .*illegal operation on a directory|is a directory/i);
    await assert.rejects(prepare(folder, 'b'), /illegal exclusion pattern/);
  });

  it('tells a tar from a Dockerfile on standard input', async () => {
    using folder = buildFolder();
    const tar = await buffer(writeTar([{ entry: { type: 'file', path: 'Dockerfile' }, content: Buffer.from('FROM t') }]));
    for (const input of [tar, gzipSync(tar)]) {
      const prepared = await prepare(folder, '-f sub/D -', input);
      assert.deepEqual(
        [prepared.context, prepared.dockerfile, prepared.dockerfilePath],
        [{ kind: 'client', name: 'context' }, null, 'sub/D'],
      );
      const context = prepared.local.get('context');
      assert.ok(context?.kind === 'tar');
      assert.deepEqual(await buffer(context.stream), input);
    }
    const prepared = await prepare(folder, '-', 'FROM scratch\n');
    assert.deepEqual([prepared.context, text(prepared)], [{ kind: 'empty' }, 'FROM scratch\n']);
    await assert.rejects(prepare(folder, '-f x -', 'FROM scratch\n'), /ambiguous Dockerfile source/);
    assert.equal(isArchive(Buffer.alloc(1024)), true);
    assert.equal(isArchive(Buffer.from('FROM scratch\n'.repeat(100))), false);
  });

  it('takes a Dockerfile by standard input or from an address for a directory', async () => {
    using folder = buildFolder({ 'a/x': '', 'a/.dockerignore': 'y' });
    const given = await prepare(folder, '-f - a', 'FROM stdin');
    assert.deepEqual([text(given), given.dockerfile?.ignoreFile], ['FROM stdin', 'y']);
    const server = createServer((request, response) => (request.url === '/D' ? response.end('FROM web') : response.writeHead(404).end()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      assert.equal(text(await prepare(folder, `-f http://127.0.0.1:${port}/D a`)), 'FROM web');
      await assert.rejects(prepare(folder, `-f http://127.0.0.1:${port}/E a`), /answers 404/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('leaves contexts that are elsewhere to the daemon, and -f is a path in them', async () => {
    using folder = buildFolder();
    const prepared = await prepare(folder, '-f docker/D https://h/x.git#v1');
    assert.deepEqual(
      [prepared.context, prepared.dockerfilePath, prepared.local.size],
      [{ kind: 'git', url: 'https://h/x.git#v1' }, 'docker/D', 0],
    );
  });

  it('holds named contexts ready, each with its own ignore file', async () => {
    using folder = buildFolder({ 'a/Dockerfile': '', 'n/x': '', 'n/y': '', 'n/.dockerignore': 'x', 'l/index.json': '' });
    const prepared = await prepare(folder, '--build-context n=n --build-context i=docker-image://a:1 --build-context l=oci-layout://l a');
    assert.deepEqual(
      { ...prepared.namedContexts },
      {
        n: { kind: 'client', name: 'context:n' },
        i: { kind: 'image', reference: 'a:1' },
        l: { kind: 'oci-layout', name: 'context:l', reference: '' },
      },
    );
    assert.deepEqual(
      (await list(prepared.local.get('context:n'))).map(({ path }) => path),
      ['.dockerignore', 'y'],
    );
  });

  it('gives the same folder the same key, whatever it is called', async () => {
    using folder = buildFolder({ 'a/Dockerfile': '' });
    symlinkSync('a', `${folder.path}/link`);
    const keys = await Promise.all(
      ['a', 'link', './a/.'].map(async (line) => {
        const context = (await prepare(folder, line)).local.get('context');
        return context?.kind === 'files' ? context.files.sharedKey : null;
      }),
    );
    assert.deepEqual(new Set(keys).size, 1);
    assert.ok(keys[0]);
  });
});

describe('commitTime', () => {
  it('is that of the commit', async () => {
    using folder = buildFolder({ x: '' });
    const git = (...words: string[]): void => {
      const env = {
        ...process.env,
        GIT_COMMITTER_DATE: '2020-01-01T00:00:00Z',
        GIT_AUTHOR_NAME: 'a',
        GIT_AUTHOR_EMAIL: 'a@b',
        GIT_COMMITTER_NAME: 'a',
        GIT_COMMITTER_EMAIL: 'a@b',
      };
      execFileSync('git', ['-C', folder.path, ...words], { env, stdio: 'ignore' });
    };
    await assert.rejects(commitTime(folder.path), /--timestamp=git: .*not a git repository/is);
    git('init', '-q');
    git('add', 'x');
    git('commit', '-qm', 'x');
    assert.equal(await commitTime(folder.path), 1_577_836_800);
  });
});
