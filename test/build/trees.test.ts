/** What is selected, squashed and exported of trees. Needs root and overlay. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import type { SelectRequest } from '../../src/build/files/layer-work.ts';
import { parseModeChange } from '../../src/build/plan/mode-change.ts';
import type { CopyOperation } from '../../src/build/plan/operation.ts';
import type { ContextFiles, Tree } from '../../src/build/result.ts';
import { scratchTree, withLayer } from '../../src/build/tree.ts';
import type { LayerEntry } from '../kernel/layer-fixture.ts';
import { BuildFixture, emptyLayer, needsRoot, never, randomScript, treeView } from './layer-fixture.ts';

const runs = Number(process.env.GANTRY_TREE_RUNS ?? 3);
const place = { line: 1, column: 1 } as never;

suite('LayerWork on trees', { skip: needsRoot }, () => {
  let fixture: BuildFixture;
  before(async () => {
    fixture = await BuildFixture.open();
  });
  after(async () => {
    await fixture.work.settled();
    assert.deepEqual(readdirSync(join(fixture.directory, 'tmp')), ['empty'], 'nothing is left behind');
    await fixture.close();
  });

  const select = (from: SelectRequest['from'], pattern: string, options: Partial<SelectRequest> = {}) =>
    fixture.work.select({ from, pattern, excludes: [], parents: false, literal: false, ...options }, never);

  test('select: content counts, times and what is not asked for do not', async () => {
    const directory = join(fixture.directory, 'selected');
    for (const path of ['', 'd', 'd/e']) mkdirSync(join(directory, path));
    writeFileSync(join(directory, 'd/f'), 'one');
    writeFileSync(join(directory, 'other'), 'x');
    symlinkSync('d', join(directory, 'l'));
    const context: ContextFiles = { kind: 'files', directory, index: null };
    const digest = async (pattern: string, options?: Partial<SelectRequest>) => (await select(context, pattern, options)).digest;
    const first = await digest('d');
    assert.equal(await digest('l'), first, 'a link counts as what it leads to');
    utimesSync(join(directory, 'd/f'), 5, 5);
    writeFileSync(join(directory, 'other'), 'y');
    assert.equal(await digest('d'), first);
    const seen = new Set([first]);
    const changed = async (what: string) => {
      const now = await digest('d');
      assert.ok(!seen.has(now), what);
      seen.add(now);
    };
    writeFileSync(join(directory, 'd/f'), 'two');
    await changed('content');
    chmodSync(join(directory, 'd/f'), 0o755);
    await changed('mode');
    renameSync(join(directory, 'd/f'), join(directory, 'd/g'));
    await changed('name');
    renameSync(join(directory, 'd/g'), join(directory, 'd/e/g'));
    await changed('place');
    execFileSync('setfattr', ['-n', 'user.a', '-v', 'b', join(directory, 'd/e/g')]);
    await changed('attribute');
    const now = await digest('d');
    chmodSync(join(directory, 'd'), 0o700);
    assert.equal(await digest('d'), now, 'the attributes of a directory whose content is merged');
    assert.notEqual(await digest('d', { literal: true }), now);
    assert.notEqual(await digest('d', { excludes: ['e'] }), now);
    assert.deepEqual(
      (await select(context, 'd')).entries.map(({ path }) => path),
      ['d/e', 'd/e/g'],
    );
    assert.deepEqual(await select(context, 'nope*'), { digest: (await select(context, 'nope?')).digest, entries: [], isEmpty: true });
    await assert.rejects(select(context, 'nope'), { code: 'not-found', message: /^"\/nope": not found/ });
  });

  test('select: equal files of different trees are equal, and asked for once', async () => {
    const one = await fixture.tree([{ path: 'a/' }, { path: 'a/f', content: 'x' }, { path: 'b', content: '1' }]);
    const other = await fixture.tree(
      [{ path: 'a/' }],
      [{ path: 'a/' }, { path: 'a/f', content: 'x', modifiedAt: { seconds: 9, nanoseconds: 0 } }, { path: 'b', content: '2' }],
    );
    assert.deepEqual(await select(one, '/a'), await select(other, '/a'));
    assert.notEqual((await select(one, '/')).digest, (await select(other, '/')).digest);
    assert.equal(await select(one, '/a'), await select(one, '/a'), 'the same one');
  });

  test('squash: the last layers as one look as they did, and unpack to the same', async () => {
    const property = fc.asyncProperty(fc.array(randomScript, { minLength: 1, maxLength: 4 }), fc.nat({ max: 3 }), async (scripts, kept) => {
      let tree: Tree = await fixture.tree([{ path: 'a/' }, { path: 'a/b', content: 'x' }, { path: 'c.d/' }]);
      for (const script of scripts) tree = withLayer(tree, (await fixture.run(tree, `{ ${script}; } >/dev/null`)).layer);
      const below = { ...tree, layers: tree.layers.slice(0, Math.min(kept, scripts.length)) };
      const made = await fixture.work.squash(tree.layers.slice(below.layers.length), below, 1000, fixture.lease, never);
      await fixture.assertAsUnpacked(made, below);
      assert.deepEqual(
        fixture.mounted(withLayer(below, made.layer), '', treeView).split('\n').sort(),
        fixture.mounted(tree, '', treeView).split('\n').sort(),
      );
    });
    await fc.assert(property, { numRuns: runs });
  });

  test('squash: a file that comes and goes is nowhere, a whiteout of the base stays', async () => {
    const below = await fixture.tree([
      { path: 'd/' },
      { path: 'd/gone', content: 'x' },
      { path: 'd/opaque/' },
      { path: 'd/opaque/f', content: 'x' },
    ]);
    const first = await fixture.run(below, 'rm d/gone; echo secret >s; rm -r d/opaque; mkdir d/opaque; echo 1 >d/opaque/g');
    const second = await fixture.run(withLayer(below, first.layer), 'rm s; chmod 711 .');
    const made = await fixture.work.squash([first.layer, second.layer], below, 1000, fixture.lease, never);
    assert.deepEqual(fixture.names(made), ['./', 'd/', 'd/.wh.gone', 'd/opaque/', 'd/opaque/.wh..wh..opq', 'd/opaque/g']);
    await fixture.assertAsUnpacked(made, below);
    const nothing = await fixture.work.squash([], below, 1000, fixture.lease, never);
    assert.equal(nothing.layer.diffId, emptyLayer);
  });

  test('exportTree: everything as overlay shows it, every time the epoch, below a prefix', async () => {
    const tree = await fixture.tree(
      [
        { path: 'a/', mode: 0o711 },
        { path: 'a/f', content: 'old', uid: 3 },
        { path: 'a/gone', content: 'x' },
        { path: 'l', linkTarget: 'a/f' },
      ],
      [
        { path: 'a/', mode: 0o711 },
        { path: 'a/f', content: 'new', uid: 4 },
        { path: 'a/.wh.gone', content: '' },
        { path: 'a/h', type: 'hard-link', linkTarget: 'a/f' },
      ],
    );
    const list = async (of: Tree, prefix: string) => {
      const tar = await buffer(await fixture.work.exportTree(of, 1000, prefix, never));
      return execFileSync('tar', ['--numeric-owner', '--utc', '-tvf', '-'], { input: tar, encoding: 'utf8' })
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.replace(/ +/g, ' ').replace('1970-01-01 00:16 ', ''));
    };
    assert.deepEqual(await list(tree, ''), [
      'drwx--x--x 0/0 0 a/',
      '-rw-r--r-- 4/0 3 a/f',
      'hrw-r--r-- 4/0 0 a/h link to a/f',
      'lrwxrwxrwx 0/0 0 l -> a/f',
    ]);
    assert.deepEqual((await list(tree, 'linux_amd64')).slice(0, 2), ['drwxr-xr-x 0/0 0 linux_amd64/', 'drwx--x--x 0/0 0 linux_amd64/a/']);
    assert.deepEqual(await list(scratchTree, ''), []);
    const cancelled = new AbortController();
    const stream = await fixture.work.exportTree(tree, 1000, '', cancelled.signal);
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
  });

  const name = fc.constantFrom('a', 'b', 'c', 'é');
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
  const entry: fc.Arbitrary<LayerEntry> = fc.oneof(
    fc.record({ path, content: fc.constantFrom('', '1', '22'), mode: fc.constantFrom(0o644, 0o4711), uid: fc.nat({ max: 2 }) }),
    fc.record({ path: path.map((at) => `${at}/`), mode: fc.constantFrom(0o700, 0o755) }),
    fc.record({ path, linkTarget: path }),
  );
  const source = fc.array(entry, { maxLength: 8 });

  test('copy: random trees onto random trees: an error or the layer of its tar, and what is not copied over stays', async () => {
    let copied = 0;
    const property = fc.asyncProperty(
      source,
      source,
      fc.constantFrom('/', '/a', '/b/c/'),
      fc.constantFrom(null, '3:4'),
      fc.constantFrom(null, '750', 'go-rwx'),
      async (below, entries, to, owner, mode) => {
        const [parent, from] = await Promise.all([below, entries].map((tar) => fixture.tree(tar).catch(() => null)));
        if (parent == null || from == null) return;
        const operation: CopyOperation = {
          kind: 'copy',
          step: { title: 'COPY', place },
          parent: { kind: 'scratch' },
          epoch: 1000,
          sources: [{ kind: 'path', from: { kind: 'scratch' }, pattern: '/', unpack: false }],
          destination: to,
          owner,
          mode: mode === null ? null : parseModeChange(mode),
          excludes: [],
          parents: false,
          link: false,
        };
        const request = { operation, parent, sources: [from], epoch: 1000, lease: fixture.lease };
        const made = await fixture.work.copy(request, never).catch((error: Error) => {
          assert.match(error.message, /^cannot (replace to directory|copy to non-directory)|circles/);
          return null;
        });
        if (made === null) return;
        copied++;
        await fixture.assertAsUnpacked(made, parent);
        const seen = (tree: Tree) =>
          fixture
            .mounted(
              tree,
              '',
              "find . -mindepth 1 -not -type d -printf '%P %y %l '  -exec sh -c 'test -h \"$1\" || cat \"$1\"' sh {} \\; -printf '\\n'",
            )
            .split('\n')
            .sort();
        const [after, target] = [new Set(seen(withLayer(parent, made.layer))), to.replace(/^\/|\/$/g, '')];
        if (!/-> |[^ ]+ l /.test(seen(parent).join('\n'))) {
          for (const line of seen(from)) if (line !== '') assert.ok(after.has(target === '' ? line : `${target}/${line}`), line);
        }
      },
    );
    await fc.assert(property, { numRuns: runs * 4 });
    assert.ok(copied > 0);
  });
});
