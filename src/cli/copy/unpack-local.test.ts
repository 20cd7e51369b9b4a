import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type WritableEntry, writeTar } from '../../archive/tar-writer.ts';
import { packLocal } from './pack-local.ts';
import { renameArchive } from './rename-archive.ts';
import { unpackLocal } from './unpack-local.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'g-unpack-'));
  for (const name of ['target', 'outside']) mkdirSync(join(root, name));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const options = { owners: false, rename: (path: string) => path, warn: () => {} };
const unpack = (...entries: WritableEntry[]): Promise<void> => unpackLocal(writeTar(entries), join(root, 'target'), options);
const file = (path: string, text: string): WritableEntry => ({ entry: { type: 'file', path }, content: Buffer.from(text) });
const link = (path: string, linkTarget: string): WritableEntry => ({ entry: { type: 'symbolic-link', path, linkTarget } });

test('unpackLocal: entries that lead out are refused', async () => {
  await assert.rejects(unpack(file('../outside/evil', 'x')), /leads out of it/);
  await assert.rejects(unpack(link('l', join(root, 'outside')), file('l/evil', 'x')), /which it brought itself: refused/);
  await assert.rejects(unpack({ entry: { type: 'hard-link', path: 'h', linkTarget: '../outside/x' } }), /leads out of it/);
  await unpack(link('m', join(root, 'outside')), file('m', 'a file in its place'));
  assert.deepEqual(readdirSync(join(root, 'outside')), []);
  assert.ok(lstatSync(join(root, 'target/m')).isFile());
});

test("unpackLocal: links that were there are the user's own, and followed", async () => {
  symlinkSync(join(root, 'outside'), join(root, 'target/mine'));
  await unpack(file('mine/x', 'x'));
  assert.equal(readFileSync(join(root, 'outside/x'), 'utf8'), 'x');
});

test('unpackLocal: directories and files never take the place of each other', async () => {
  mkdirSync(join(root, 'target/d'));
  writeFileSync(join(root, 'target/f'), '');
  await assert.rejects(unpack(file('d', 'x')), /cannot overwrite directory .* with non-directory "d"/);
  await assert.rejects(unpack({ entry: { type: 'directory', path: 'f' } }), /cannot overwrite non-directory .* with directory "f"/);
});

test('packLocal and unpackLocal: modes, times, links, holes', async () => {
  const source = join(root, 'outside');
  writeFileSync(join(source, 'a'), 'text', { mode: 0o640 });
  writeFileSync(join(source, 'zeros'), Buffer.alloc(3_000_000));
  symlinkSync('a', join(source, 'l'));
  mkdirSync(join(source, 'd'), { mode: 0o500 });
  await unpackLocal(renameArchive(packLocal(source, 'top'), 'top', 'renamed'), join(root, 'target'), options);
  const made = join(root, 'target/renamed');
  assert.equal(readFileSync(join(made, 'l'), 'utf8'), 'text');
  assert.equal(statSync(join(made, 'a')).mode & 0o7777, statSync(join(source, 'a')).mode & 0o7777);
  assert.ok(Math.abs(statSync(join(made, 'a')).mtimeMs - statSync(join(source, 'a')).mtimeMs) < 1);
  assert.equal(statSync(join(made, 'd')).mode & 0o7777, 0o500);
  assert.deepEqual([statSync(join(made, 'zeros')).size, statSync(join(made, 'zeros')).blocks < 100], [3_000_000, true]);
  assert.ok(!existsSync(join(root, 'target/top')));
});
