/** What needs no root; owners, devices and capabilities are in test/kernel/volumes.test.ts. */
import assert from 'node:assert/strict';
import {
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CopyRules, copyTree } from './copy-tree.ts';
import { DirectoryChain } from './directory-chain.ts';
import { AT_FDCWD, closeDescriptor, makeDirectoryAt, O_DIRECTORY, O_RDONLY, openAt } from './file-calls.ts';
import { openRoot } from './path-in-root.ts';
import { removeTree } from './remove-tree.ts';
import { walkTree } from './walk-tree.ts';

const root = mkdtempSync(join(tmpdir(), 'g-copy-'));
mkdirSync(join(root, 'trash'));
after(() => {
  const [top, trash] = [openRoot(root), openRoot(join(root, 'trash'))];
  for (const name of readdirSync(root)) if (name !== 'trash') removeTree(top, name, trash);
  closeDescriptor(top);
  closeDescriptor(trash);
  rmSync(root, { recursive: true });
});

const rules: CopyRules = { keepAttribute: () => true, toleratesMissingAttributes: true, checkpoint() {} };

function copied(name: string, more: Partial<CopyRules> = {}): string {
  const target = join(root, `${name}-copy`);
  mkdirSync(target);
  mkdirSync(join(root, `${name}-links`));
  const [source, to, links] = [name, `${name}-copy`, `${name}-links`].map((each) =>
    openAt(AT_FDCWD, join(root, each), O_RDONLY | O_DIRECTORY),
  );
  try {
    copyTree(source ?? -1, { root: to ?? -1, links: links ?? -1 }, { ...rules, ...more });
    assert.deepEqual(readdirSync(join(root, `${name}-links`)), []);
  } finally {
    for (const fd of [source, to, links]) closeDescriptor(fd ?? -1);
  }
  return target;
}

test('copyTree: content, links, modes and times', () => {
  const from = join(root, 'plain');
  mkdirSync(join(from, 'd'), { recursive: true });
  writeFileSync(join(from, 'd', 'f'), 'hello', { mode: 0o640 });
  linkSync(join(from, 'd', 'f'), join(from, 'again'));
  symlinkSync('/etc/passwd', join(from, 'link'));
  utimesSync(join(from, 'd', 'f'), 1, 1.25);
  utimesSync(join(from, 'd'), 2, 3.5);
  const to = copied('plain');
  assert.deepEqual(readdirSync(to, { recursive: true }).sort(), ['again', 'd', 'd/f', 'link']);
  const [file, again] = [lstatSync(join(to, 'd/f'), { bigint: true }), lstatSync(join(to, 'again'), { bigint: true })];
  assert.equal(readFileSync(join(to, 'again'), 'utf8'), 'hello');
  assert.equal(file.ino, again.ino);
  assert.equal(file.nlink, 2n);
  assert.equal(Number(file.mode) & 0o7777, 0o640);
  assert.equal(file.mtimeNs, 1_250_000_000n);
  assert.equal(lstatSync(join(to, 'd'), { bigint: true }).mtimeNs, 3_500_000_000n);
  assert.equal(readlinkSync(join(to, 'link')), '/etc/passwd');
});

test('copyTree: holes stay holes, and large files are equal', () => {
  const from = join(root, 'sparse');
  mkdirSync(from);
  const fd = openSync(join(from, 'f'), 'w');
  writeSync(fd, 'begin', 0);
  writeSync(fd, 'middle', 40 * 1024 * 1024);
  closeSync(fd);
  truncateSync(join(from, 'f'), 100 * 1024 * 1024 + 1);
  const dense = Buffer.alloc(3 * 1024 * 1024 + 5, 'abcdefg');
  writeFileSync(join(from, 'dense'), dense);
  const to = copied('sparse');
  const copy = lstatSync(join(to, 'f'));
  assert.equal(copy.size, 100 * 1024 * 1024 + 1);
  assert.ok(copy.blocks * 512 < 1024 * 1024, `${copy.blocks} blocks`);
  assert.ok(readFileSync(join(to, 'f')).equals(readFileSync(join(from, 'f'))));
  assert.ok(readFileSync(join(to, 'dense')).equals(dense));
});

test('copyTree: a tree deeper than any path, with names that are not UTF-8', () => {
  const depth = 2000;
  mkdirSync(join(root, 'deep'));
  const top = openAt(AT_FDCWD, join(root, 'deep'), O_RDONLY | O_DIRECTORY);
  const chain = new DirectoryChain(top);
  for (let level = 0; level < depth; level++) {
    makeDirectoryAt(chain.fd, 'directory\udcff', 0o700);
    chain.enter('directory\udcff');
  }
  chain.close();
  closeDescriptor(top);
  const copy = openAt(AT_FDCWD, copied('deep'), O_RDONLY | O_DIRECTORY);
  let [deepest, now] = [0, 0];
  walkTree(copy, {
    entry: () => assert.fail('no file'),
    enter(_directory, name) {
      assert.equal(name, 'directory\udcff');
      deepest = Math.max(deepest, ++now);
    },
    leave: () => void now--,
  });
  closeDescriptor(copy);
  assert.equal(deepest, depth);
  assert.equal(now, 0);
});

test('copyTree: ends where the checkpoint says so', () => {
  mkdirSync(join(root, 'stopped'));
  writeFileSync(join(root, 'stopped', 'f'), '');
  assert.throws(
    () =>
      copied('stopped', {
        checkpoint() {
          throw new Error('enough');
        },
      }),
    /enough/,
  );
});
