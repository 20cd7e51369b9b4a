import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LayerStack } from '../store/layer-stack.ts';
import { type MountPoint, makeScaffold } from './scaffold.ts';

function treeFixture(context: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'g-scaffold-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const [init, image] = [join(directory, 'init'), join(directory, 'image')];
  for (const name of ['dev', 'proc', 'sys', 'etc']) mkdirSync(join(init, name), { recursive: true });
  mkdirSync(image);
  return {
    image,
    scaffold: join(directory, 'scaffold'),
    make(...points: readonly (MountPoint | string)[]): readonly string[] {
      const scaffold = join(directory, 'scaffold');
      const tree = { stack: new LayerStack([init, image]), image: new LayerStack([image]) };
      makeScaffold(scaffold, tree, {
        points: points.map((point) => (typeof point === 'string' ? { target: point, kind: 'directory' } : point)),
      });
      return readdirSync(scaffold, { recursive: true, withFileTypes: true })
        .map((entry) => relative(scaffold, join(entry.parentPath, entry.name)) + (entry.isDirectory() ? '/' : ''))
        .sort();
    },
  };
}

test('makeScaffold: only what the tree lacks, with its parents', (context) => {
  const { image, make } = treeFixture(context);
  mkdirSync(join(image, 'there'));
  writeFileSync(join(image, 'file'), '');
  const file = (target: string): MountPoint => ({ target, kind: 'file' });
  const made = make('/there', '/a/b/c', file('/file'), file('/a/b/f'), '/dev/pipes', file('/proc/cpuinfo'), '/sys/x');
  assert.deepEqual(made, ['a/', 'a/b/', 'a/b/c/', 'a/b/f']);
});

test('makeScaffold: what lies below another mount is made in that one', (context) => {
  const { image, make } = treeFixture(context);
  symlinkSync('/cache', join(image, 'link'));
  assert.deepEqual(make('/cache/inner', '/link', '/link/deep/er'), ['cache/']);
});

test('makeScaffold: directories of the tree look as they do there, in the topmost layer', (context) => {
  const { image, scaffold, make } = treeFixture(context);
  for (const name of ['opt', 'etc']) {
    mkdirSync(join(image, name));
    chmodSync(join(image, name), 0o2711);
    utimesSync(join(image, name), 1e9, 1e9);
  }
  assert.deepEqual(make('/opt/a/b', { target: '/tmp', kind: 'directory', mode: 0o1777 }), ['etc/', 'opt/', 'opt/a/', 'opt/a/b/', 'tmp/']);
  const look = (path: string) => {
    const { mode, mtimeMs } = statSync(join(scaffold, path));
    return [(mode & 0o7777).toString(8), mtimeMs];
  };
  assert.deepEqual(look('opt'), ['2711', 1e12]);
  assert.deepEqual(look('etc'), ['2711', 1e12], "the init layer's is hidden");
  assert.equal(look('opt/a')[0], '755');
  assert.equal(look('tmp')[0], '1777');
});

test('makeScaffold SEC-19: links are followed inside the root, dangling ones too; loops and files on the way are refused', (context) => {
  const { image, make } = treeFixture(context);
  mkdirSync(join(image, 'sub'));
  for (const [name, target] of [
    ['sub/up', '../../../../../etc/made'],
    ['absolute', '/tmp/outside'],
    ['chain', 'absolute/further'],
    ['loop', 'loop'],
  ] as const)
    symlinkSync(target, join(image, name));
  writeFileSync(join(image, 'file'), '');
  assert.throws(() => make('/loop/x'), /cannot mount on \/loop\/x: too many levels of symbolic links/);
  rmSync(join(image, '../scaffold'), { recursive: true });
  assert.throws(() => make('/file/x'), /"\/file" is not a directory/);
  rmSync(join(image, '../scaffold'), { recursive: true });
  assert.throws(() => make('/file'), /cannot mount a directory on \/file: it is not a directory there/);
  rmSync(join(image, '../scaffold'), { recursive: true });
  assert.deepEqual(make('/sub/up', '/chain/../x', '../../b'), ['b/', 'etc/', 'etc/made/', 'tmp/', 'tmp/outside/', 'tmp/outside/x/']);
});
