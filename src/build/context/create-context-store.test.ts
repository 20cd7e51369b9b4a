import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { FileSync, SyncEntry } from '../build-client.ts';
import { readContextIndex } from './context-index.ts';
import type { HeldContext } from './context-store.ts';
import { createContextStore, type OpenContextStore } from './create-context-store.ts';
import { type TarFile, tarOf } from './testing/small-tar.ts';

let directory = '';
let store: OpenContextStore;
const signal = new AbortController().signal;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-contexts-'));
  store = await createContextStore({ root: directory });
});

after(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

const receiveTar = (bytes: Uint8Array): Promise<HeldContext> =>
  store.receive({ kind: 'tar', stream: Readable.from([bytes]) }, () => {}, signal);

function entriesOf(context: HeldContext) {
  return readContextIndex(context.files.index ?? '');
}

const sample: readonly TarFile[] = [
  { path: 'src/', mode: 0o750 },
  { path: 'src/a.txt', content: 'hello', mode: 0o640, uid: 1000 },
  { path: 'src/again', linkTo: 'src/a.txt', type: 'hard-link' },
  { path: 'link', linkTo: 'src/a.txt', type: 'symbolic-link' },
  { path: 'deep/er/file', content: 'x' },
];

test('a tar becomes files of 0:0 with an index of what they hold', async () => {
  const context = await receiveTar(tarOf(sample));
  const { directory: files } = context.files;
  assert.equal(readFileSync(join(files, 'src/a.txt'), 'utf8'), 'hello');
  const stats = lstatSync(join(files, 'src/a.txt'));
  assert.deepEqual([stats.mode & 0o7777, stats.uid, stats.nlink, stats.mtimeMs], [0o640, 0, 2, 1_600_000_000_000]);
  const index = entriesOf(context);
  assert.deepEqual([...index.keys()], ['deep', 'deep/er', 'deep/er/file', 'link', 'src', 'src/a.txt', 'src/again']);
  assert.equal(index.get('src/a.txt')?.digest, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
  assert.equal(index.get('src/again')?.digest, index.get('src/a.txt')?.digest);
  assert.equal(index.get('src')?.mode, 0o750);
  assert.equal(await store.newestTime(context.files), 1_600_000_000);
  await context.release();
  assert.equal(existsSync(files), false, 'it is gone at once, whatever the removal takes');
});

test('the digest is that of the content, whatever the compression, the order and the times', async () => {
  const plain = await receiveTar(tarOf(sample));
  const other = await receiveTar(
    gzipSync(
      tarOf(
        [...sample].sort((a) => (a.path === 'src/again' ? 1 : -1)),
        1,
      ),
    ),
  );
  const zstd = await receiveTar(zstdCompressSync(tarOf(sample)));
  const changed = await receiveTar(tarOf(sample.map((file) => (file.path === 'src/a.txt' ? { ...file, mode: 0o600 } : file))));
  assert.equal(plain.digest, other.digest);
  assert.equal(plain.digest, zstd.digest);
  assert.notEqual(plain.digest, changed.digest);
  for (const context of [plain, other, zstd, changed]) await context.release();
});

test('later entries of a tar replace earlier ones, and the index says what is there', async () => {
  const context = await receiveTar(
    tarOf([
      { path: 'a/b', content: 'x' },
      { path: 'a', content: 'now a file' },
      { path: 'f', content: 'f' },
      { path: 'f/', mode: 0o700 },
      { path: 'f/g', content: 'g' },
    ]),
  );
  assert.deepEqual(
    [...entriesOf(context).values()].map(({ path, type }) => `${path} ${type}`),
    ['a file', 'f directory', 'f/g file'],
  );
  await context.release();
});

test('SEC-1 a hostile tar is contained: canaries outside stay as they are', async () => {
  const canary = join(directory, 'canary');
  mkdirSync(canary);
  writeFileSync(join(canary, 'file'), 'untouched');
  chmodSync(join(canary, 'file'), 0o600);
  const before = snapshot(canary);
  const hostile: readonly (readonly TarFile[])[] = [
    [{ path: '../../../canary/file', content: 'x' }],
    [{ path: `${canary}/file`, content: 'x' }],
    [
      { path: 'l', type: 'symbolic-link', linkTo: canary },
      { path: 'l/file', content: 'x' },
    ],
    [
      { path: 'l', type: 'symbolic-link', linkTo: '../../../canary' },
      { path: 'l/new', content: 'x' },
    ],
    [
      { path: 'l', type: 'symbolic-link', linkTo: canary },
      { path: 'l/', mode: 0o777 },
      { path: 'l/file', content: 'x' },
    ],
    [
      { path: 'h', type: 'hard-link', linkTo: `${canary}/file` },
      { path: 'h', content: 'x' },
    ],
    [{ path: 'h', type: 'hard-link', linkTo: '../../../canary/file' }],
    [
      { path: '.', type: 'symbolic-link', linkTo: canary },
      { path: 'file', content: 'x' },
    ],
    [
      { path: 'l', type: 'symbolic-link', linkTo: canary },
      { path: 'h', type: 'hard-link', linkTo: 'l/file' },
    ],
  ];
  for (const files of hostile) {
    const outcome = await receiveTar(tarOf(files)).catch((error: Error) => error);
    if (!(outcome instanceof Error)) await outcome.release();
    assert.deepEqual(snapshot(canary), before, JSON.stringify(files));
  }
});

function snapshot(path: string) {
  return readdirSync(path).map((name) => {
    const { mode, size, mtimeMs, nlink, ino } = lstatSync(join(path, name));
    return { name, mode, size, mtimeMs, nlink, ino, text: readFileSync(join(path, name), 'utf8') };
  });
}

test('SEC-4 what speaks to overlay is left out of a context', async () => {
  const context = await receiveTar(
    tarOf([
      { path: 'white', type: 'character-device' },
      { path: '.wh.x', content: 'a file called so' },
    ]),
  );
  assert.deepEqual([...entriesOf(context).keys()], ['.wh.x']);
  await context.release();
});

test('SEC-5 a tar that is cut is refused, and nothing is left of it', async () => {
  const bytes = tarOf([{ path: 'big', content: 'x'.repeat(100_000) }]);
  await assert.rejects(receiveTar(bytes.subarray(0, 50_000)), /ends in the middle/);
  assert.deepEqual(leftOver(), []);
});

test('SEC-6 limits of size and entries end in an error that names them', async () => {
  const small = await createContextStore({ root: join(directory, 'small'), limits: { bytes: 1000, entries: 3 } });
  try {
    const receive = (files: readonly TarFile[]) => small.receive({ kind: 'tar', stream: Readable.from([tarOf(files)]) }, () => {}, signal);
    await assert.rejects(receive([{ path: 'a', content: 'x'.repeat(1001) }]), /limit is 1000/);
    await assert.rejects(receive(['a', 'b'].map((path) => ({ path, content: 'x'.repeat(600) }))), /more than 1000 bytes/);
    await assert.rejects(receive(['a', 'b', 'c', 'd'].map((path) => ({ path, content: '' }))), /more than 3 entries|3/);
  } finally {
    await small.close();
  }
});

test('a client that goes away in the middle leaves nothing', async () => {
  const stream = new PassThrough();
  const received = store.receive({ kind: 'tar', stream }, () => {}, signal);
  stream.write(tarOf(sample).subarray(0, 700));
  stream.destroy();
  await assert.rejects(received, /went away/);
  assert.deepEqual(leftOver(), []);
});

test('a transfer that is cancelled ends at once', async () => {
  const abort = new AbortController();
  const received = store.receive({ kind: 'tar', stream: new PassThrough() }, () => {}, abort.signal);
  abort.abort(new Error('cancelled by the test'));
  await assert.rejects(received, /cancelled by the test/);
  assert.deepEqual(leftOver(), []);
});

function leftOver(): readonly string[] {
  return readdirSync(join(directory, 'contexts')).filter((name) => name.startsWith('t-'));
}

/** A folder of a client in memory; counts what is read of it. */
class Folder implements FileSync {
  readonly sharedKey: string | null;
  readonly asked: string[] = [];
  finished = 0;
  readonly #entries: readonly SyncEntry[];
  readonly #contents: ReadonlyMap<string, string>;

  constructor(
    sharedKey: string | null,
    files: Readonly<
      Record<
        string,
        | string
        | { readonly mode?: number; readonly content?: string; readonly time?: number; readonly link?: string; readonly hard?: string }
      >
    >,
  ) {
    this.sharedKey = sharedKey;
    const facts = Object.entries(files).map(([path, given]) => [path, typeof given === 'string' ? { content: given } : given] as const);
    this.#contents = new Map(facts.map(([path, { content }]) => [path.replace(/\/$/, ''), content ?? '']));
    this.#entries = facts.map(([path, { content = '', mode, time = 1_600_000_000, link, hard }]) => ({
      path: path.replace(/\/$/, ''),
      type: path.endsWith('/') ? 'directory' : link !== undefined ? 'symbolic-link' : hard !== undefined ? 'hard-link' : 'file',
      mode: mode ?? (path.endsWith('/') ? 0o755 : 0o644),
      sizeBytes: content.length,
      modifiedAt: { seconds: time, nanoseconds: 5 },
      linkTarget: link ?? hard ?? '',
      deviceMajor: 0,
      deviceMinor: 0,
      extendedAttributes: new Map(),
    }));
  }

  async *entries() {
    for (let at = 0; at < this.#entries.length; at += 3) yield this.#entries.slice(at, at + 3);
  }

  async *read(index: number) {
    const path = this.#entries[index]?.path ?? '';
    this.asked.push(path);
    const content = Buffer.from(this.#contents.get(path) ?? '');
    for (let at = 0; at < content.length; at += 70_000) yield content.subarray(at, at + 70_000);
  }

  async finish() {
    this.finished++;
  }
}

const sync = (folder: FileSync) => store.receive({ kind: 'sync', sync: folder }, () => {}, signal);

test('a folder that is synced again asks only for what changed', async () => {
  const first = new Folder('a', {
    'src/': '',
    'src/a': 'one',
    'src/b': 'two',
    big: 'y'.repeat(300_000),
    l: { link: 'src/a' },
    h: { hard: 'src/a' },
  });
  const one = await sync(first);
  assert.deepEqual([...first.asked].sort(), ['big', 'src/a', 'src/b']);
  assert.equal(statSync(join(one.files.directory, 'src/a')).nlink, 2);
  await one.release();
  const outside = join(directory, 'layer');
  linkSync(join(one.files.directory, 'src/b'), outside);

  const again = new Folder('a', {
    'src/': '',
    'src/a': 'one',
    'src/b': 'two',
    big: 'y'.repeat(300_000),
    l: { link: 'src/a' },
    h: { hard: 'src/a' },
  });
  const two = await sync(again);
  assert.deepEqual(again.asked, []);
  assert.equal(two.digest, one.digest);
  assert.equal(again.finished, 1);
  await two.release();

  const changed = new Folder('a', {
    'src/': { mode: 0o700 },
    'src/b': { content: 'TWO', time: 1_600_000_001 },
    'src/new/': '',
    'src/new/c': 'three',
    l: { link: 'src/b' },
  });
  const three = await sync(changed);
  assert.deepEqual([...changed.asked].sort(), ['src/b', 'src/new/c']);
  assert.deepEqual([...entriesOf(three).keys()], ['l', 'src', 'src/b', 'src/new', 'src/new/c']);
  assert.deepEqual(readdirSync(three.files.directory).sort(), ['l', 'src']);
  assert.equal(readFileSync(outside, 'utf8'), 'two', 'a file that layers share is never written in place');
  assert.equal(lstatSync(join(three.files.directory, 'src')).mode & 0o7777, 0o700);
  assert.equal(lstatSync(join(three.files.directory, 'src')).mtimeMs, 1_600_000_000_000);
  const fresh = await sync(
    new Folder(null, { 'src/': { mode: 0o700 }, 'src/b': 'TWO', 'src/new/': '', 'src/new/c': 'three', l: { link: 'src/b' } }),
  );
  assert.equal(fresh.digest, three.digest);
  await fresh.release();
  await three.release();
});

test('the index of a folder that did not change stays what it is, of many files too', async () => {
  for (const count of [3, 2000]) {
    const files = (last: string) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, at === 1 ? last : 'x']));
    const key = `same-${count}`;
    const indexOf = async (folder: Folder) => {
      const held = await sync(folder);
      const { ino, mtimeNs } = statSync(held.files.index ?? '', { bigint: true });
      await held.release();
      return { digest: held.digest, ino, mtimeNs, finished: folder.finished };
    };
    const first = await indexOf(new Folder(key, files('x')));
    const second = new Folder(key, files('x'));
    assert.deepEqual(await indexOf(second), first);
    assert.deepEqual(second.asked, []);
    const third = await indexOf(new Folder(key, files('longer')));
    assert.notEqual(third.digest, first.digest);
    const { f2: _gone, ...fewer } = files('longer');
    assert.notEqual((await indexOf(new Folder(key, fewer))).digest, third.digest);
  }
});

test('a directory that became a file, and the other way round', async () => {
  const one = await sync(new Folder('kinds', { 'a/': '', 'a-b': 'x', 'a/c': 'y', f: 'z' }));
  await one.release();
  const two = await sync(new Folder('kinds', { a: 'now a file', 'a-b': 'x', 'f/': '', 'f/g': 'g' }));
  assert.deepEqual(
    [...entriesOf(two).values()].map(({ path, type }) => `${path} ${type}`),
    ['a file', 'a-b file', 'f directory', 'f/g file'],
  );
  assert.equal(readFileSync(join(two.files.directory, 'a'), 'utf8'), 'now a file');
  await two.release();
});

test('two builds of one folder at the same time do not share its directory', async () => {
  const one = await sync(new Folder('busy', { a: '1' }));
  const two = await sync(new Folder('busy', { a: '2' }));
  assert.notEqual(one.files.directory, two.files.directory);
  assert.equal(readFileSync(join(one.files.directory, 'a'), 'utf8'), '1');
  await two.release();
  await one.release();
  assert.equal((await store.usage()).filter(({ inUse }) => inUse).length, 0);
});

test('a sync that fails is not trusted: the next one asks for everything', async () => {
  await (await sync(new Folder('fails', { a: '1', b: '2' }))).release();
  class Unreadable extends Folder {
    override async *read(index: number) {
      if (index === 1) throw new Error('open b: permission denied');
      yield* super.read(index);
    }
  }
  await assert.rejects(
    sync(new Unreadable('fails', { a: { content: '3', time: 9 }, b: { content: '4', time: 9 } })),
    /open b: permission denied/,
  );
  const next = new Folder('fails', { a: '1', b: '2' });
  const context = await sync(next);
  assert.deepEqual([...next.asked].sort(), ['a', 'b']);
  await context.release();
  assert.deepEqual(leftOver(), []);
});

test('SEC-18 lists of files that lead elsewhere are refused', async () => {
  for (const files of [
    { '../x': 'x' },
    { '/etc/x': 'x' },
    { 'a/b': 'no such directory' },
    { a: { link: '/etc' }, 'a/passwd': 'x' },
    { 'a/': '', 'a/./b': 'x' },
    { h: { hard: '../../x' } },
    { 'a\0b': 'x' },
  ]) {
    await assert.rejects(sync(new Folder(null, files)), { code: 'invalid' }, JSON.stringify(files));
  }
  assert.deepEqual(leftOver(), []);
});

test('a store that was killed starts with what is whole, and without the rest', async () => {
  const root = join(directory, 'restart');
  const first = await createContextStore({ root });
  const held = await first.receive({ kind: 'sync', sync: new Folder('x', { a: '1' }) }, () => {}, signal);
  await held.release();
  const half = await first.receive({ kind: 'sync', sync: new Folder('half', { a: '1' }) }, () => {}, signal);
  rmSync(half.files.index ?? '');
  await first.receive({ kind: 'tar', stream: Readable.from([tarOf(sample)]) }, () => {}, signal);
  await first.close();
  const second = await createContextStore({ root });
  try {
    await second.settled();
    assert.deepEqual(
      readdirSync(join(root, 'contexts')).map((name) => name.slice(0, 2)),
      ['k-'],
    );
    const folder = new Folder('x', { a: '1' });
    const again = await second.receive({ kind: 'sync', sync: folder }, () => {}, signal);
    assert.deepEqual(folder.asked, []);
    await again.release();
    const [usage] = await second.usage();
    assert.deepEqual([usage?.type, usage?.usageCount, usage?.sizeBytes], ['source.local', 2, 1]);
    const pruned = await second.prune({ all: false, unusedSince: null, ids: [], types: [], keepBytes: null });
    assert.equal(pruned.reclaimedBytes, 1);
    await second.settled();
    assert.deepEqual(readdirSync(join(root, 'contexts')), []);
  } finally {
    await second.close();
  }
});

test('kept contexts stay within their limit, the latest used', async () => {
  const limited = await createContextStore({ root: join(directory, 'limited'), keepBytes: 25 });
  try {
    for (const key of ['a', 'b', 'c']) {
      const held = await limited.receive({ kind: 'sync', sync: new Folder(key, { f: 'x'.repeat(10) }) }, () => {}, signal);
      await held.release();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal((await limited.usage()).length, 2);
  } finally {
    await limited.close();
  }
});
