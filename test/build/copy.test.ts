/** COPY and ADD of files, and WORKDIR: every row of the table of file semantics, on layers as the kernel's overlay shows them. Needs root and overlay. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { MadeLayer } from '../../src/build/files/layer-work.ts';
import { parseModeChange } from '../../src/build/plan/mode-change.ts';
import type { CopyInput, CopyOperation } from '../../src/build/plan/operation.ts';
import type { ContextFiles, OperationResult, Tree } from '../../src/build/result.ts';
import { scratchTree, withLayer } from '../../src/build/tree.ts';
import { type LayerEntry, layerTar } from '../kernel/layer-fixture.ts';
import { BuildFixture, emptyLayer, needsRoot, never } from './layer-fixture.ts';

const place = { line: 1, column: 1 } as never;
const EPOCH = 1000;

interface Asked extends Partial<Omit<CopyOperation, 'kind' | 'sources' | 'mode'>> {
  readonly from: readonly (string | CopyInput)[];
  readonly to: string;
  readonly mode?: string;
  readonly unpack?: boolean;
}

suite('LayerWork.copy', { skip: needsRoot }, () => {
  let fixture: BuildFixture;
  let context: ContextFiles;
  let counter = 0;

  /** `f`, `x.sh` (0755), `d/a` (0600), `d/b/c`, `d/l` → a, `ln` → f, `ld` → d, `t.tar.gz` with `in.txt` of 1000:1000. */
  function contextOf(files: Readonly<Record<string, string | { readonly link: string } | { readonly bytes: Buffer }>>): ContextFiles {
    const directory = join(fixture.directory, `context-${counter++}`);
    mkdirSync(directory);
    for (const [path, content] of Object.entries(files)) {
      const at = join(directory, path);
      mkdirSync(dirname(at), { recursive: true });
      if (typeof content === 'string') writeFileSync(at, content);
      else if ('link' in content) symlinkSync(content.link, at);
      else writeFileSync(at, content.bytes);
    }
    return { kind: 'files', directory, index: null };
  }

  function copy(asked: Asked, parent: Tree = scratchTree, source: OperationResult = context): Promise<MadeLayer> {
    const { from, to, mode, unpack = false, ...rest } = asked;
    const sources = from.map(
      (pattern): CopyInput => (typeof pattern === 'string' ? { kind: 'path', from: { kind: 'scratch' }, pattern, unpack } : pattern),
    );
    const operation: CopyOperation = {
      kind: 'copy',
      step: { title: `[1/1] ${unpack ? 'ADD' : 'COPY'} x`, place },
      parent: { kind: 'scratch' },
      epoch: EPOCH,
      sources,
      destination: to,
      owner: null,
      mode: mode === undefined ? null : parseModeChange(mode),
      excludes: [],
      parents: false,
      link: false,
      ...rest,
    };
    const results = sources.map(({ kind }) => (kind === 'file' ? null : source));
    return fixture.work.copy(
      { operation, parent: operation.link ? scratchTree : parent, sources: results, epoch: EPOCH, lease: fixture.lease },
      never,
    );
  }

  /** The tree with the layer on it, in short lines: `d 755 0:0 /o`, `f 600 0:0 /o/a A`, `l /o/l -> a`. The layer is compared with its tar. */
  async function view(asked: Asked, parent: Tree = scratchTree, source: OperationResult = context): Promise<string[]> {
    const made = await copy(asked, parent, source);
    await fixture.assertAsUnpacked(made, asked.link === true ? scratchTree : parent);
    return lines(withLayer(parent, made.layer));
  }

  function lines(tree: Tree): string[] {
    const script = `find . -mindepth 1 -type d -printf 'd %m %U:%G /%P\\n'; find . -mindepth 1 -type l -printf 'l %U:%G /%P -> %l\\n'; find . -mindepth 1 -type p -printf 'p %m /%P\\n'; find . -mindepth 1 -type f -printf 'f %m %U:%G /%P ' -exec sh -c 'head -c 40 "$1" | tr "\\n" " "; echo' sh {} \\;`;
    return fixture
      .mounted(tree, '', script)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .sort();
  }

  const fails = (asked: Asked, message: string | RegExp, parent: Tree = scratchTree) =>
    assert.rejects(copy(asked, parent), (error: Error) => {
      if (typeof message === 'string') assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    });

  before(async () => {
    fixture = await BuildFixture.open();
    context = contextOf({
      f: 'F\n',
      'x.sh': 'X\n',
      'd/a': 'A\n',
      'd/b/c': 'C\n',
      'd/l': { link: 'a' },
      ln: { link: 'f' },
      ld: { link: '/d' },
      up: { link: '../../../d/b' },
      't.tar.gz': { bytes: gzipSync(layerTar({ path: 'in.txt', content: 'IN\n', uid: 1000, gid: 1000 })) },
    });
    chmodSync(join(context.directory, 'x.sh'), 0o755);
    chmodSync(join(context.directory, 'd/a'), 0o600);
    chmodSync(join(context.directory, 'd'), 0o711);
    chmodSync(join(context.directory, 'd/b'), 0o750);
    // Whoever the files belong to there.
    chownSync(join(context.directory, 'f'), 0, 0);
  });
  after(async () => {
    await fixture.work.settled();
    assert.deepEqual(readdirSync(join(fixture.directory, 'tmp')), ['empty'], 'nothing is left behind');
    await fixture.close();
  });

  test('a file to a name, to a directory, into a directory that is there, and over a file; times are the epoch', async () => {
    assert.deepEqual(await view({ from: ['f'], to: '/a/b/x' }), ['d 755 0:0 /a', 'd 755 0:0 /a/b', 'f 644 0:0 /a/b/x F']);
    assert.deepEqual(await view({ from: ['f'], to: '/a/' }), ['d 755 0:0 /a', 'f 644 0:0 /a/f F']);
    const parent = await fixture.tree([
      { path: 'a/', mode: 0o700, uid: 7 },
      { path: 'a/y', content: 'old' },
      { path: 'a/z', type: 'hard-link', linkTarget: 'a/y' },
    ]);
    assert.deepEqual(await view({ from: ['x.sh'], to: '/a' }, parent), [
      'd 700 7:0 /a',
      'f 644 0:0 /a/y old',
      'f 644 0:0 /a/z old',
      'f 755 0:0 /a/x.sh X',
    ]);
    assert.deepEqual(await view({ from: ['f'], to: '/a/y' }, parent), ['d 700 7:0 /a', 'f 644 0:0 /a/y F', 'f 644 0:0 /a/z old']);
    assert.deepEqual(fixture.list(await copy({ from: ['f'], to: '/a/' })), [
      'drwxr-xr-x 0/0 0 1970-01-01 00:16:40 a/',
      '-rw-r--r-- 0/0 2 1970-01-01 00:16:40 a/f',
    ]);
  });

  test('the name is that of the path as written, whatever link it is', async () => {
    assert.deepEqual(await view({ from: ['ln'], to: '/p/' }), ['d 755 0:0 /p', 'f 644 0:0 /p/ln F']);
    assert.deepEqual(await view({ from: ['ld/b/c'], to: '/' }), ['f 644 0:0 /c C']);
  });

  test('a directory: its content, merged; never itself', async () => {
    const content = ['d 750 0:0 /o/b', 'f 600 0:0 /o/a A', 'f 644 0:0 /o/b/c C', 'l 0:0 /o/l -> a'];
    for (const from of ['d', 'd/', 'd/.', '/d', '../d', 'ld', './d/../d']) {
      for (const to of ['/o', '/o/'])
        assert.deepEqual(await view({ from: [from], to }), ['d 755 0:0 /o', ...content].sort(), `${from} ${to}`);
    }
    const parent = await fixture.tree([
      { path: 'o/', mode: 0o700, uid: 3 },
      { path: 'o/b/', mode: 0o777, uid: 4 },
      { path: 'o/b/kept', content: 'k' },
    ]);
    assert.deepEqual(await view({ from: ['d'], to: '/o' }, parent), ['d 700 3:0 /o', ...content, 'f 644 0:0 /o/b/kept k'].sort());
  });

  test('conflicts: a file where a directory is, a directory where a file is', async () => {
    const parent = await fixture.tree([
      { path: 'o/' },
      { path: 'o/a/' },
      { path: 'o/b', content: 'x' },
      { path: 'file', content: 'x' },
      { path: 's', linkTarget: 'o' },
    ]);
    await fails({ from: ['d/a'], to: '/o/' }, 'cannot replace to directory /o/a with file', parent);
    await fails({ from: ['d'], to: '/file' }, 'cannot copy to non-directory: /file', parent);
    await fails({ from: ['f'], to: '/file/x' }, 'cannot copy to non-directory: /file', parent);
    await fails({ from: ['f'], to: '/file/' }, 'cannot copy to non-directory: /file', parent);
    const roots = contextOf({ 'r/o/x': 'X' });
    await assert.rejects(copy({ from: ['r'], to: '/' }, await fixture.tree([{ path: 'q/' }, { path: 'o', linkTarget: 'q' }]), roots), {
      message: 'cannot copy to non-directory: /o',
    });
  });

  test('several sources need a directory; wildcards that match several files too', async () => {
    assert.deepEqual(await view({ from: ['f', 'x.sh'], to: '/o/' }), ['d 755 0:0 /o', 'f 644 0:0 /o/f F', 'f 755 0:0 /o/x.sh X']);
    await fails(
      { from: ['[fx]*'], to: '/o' },
      /^When using COPY with more than one source file, the destination must be a directory and end with a \/$/,
    );
    assert.deepEqual(await view({ from: ['[f]*'], to: '/o' }), ['f 644 0:0 /o F']);
    const parent = await fixture.tree([{ path: 'o/' }]);
    assert.deepEqual(await view({ from: ['[fx]*'], to: '/o' }, parent), ['d 755 0:0 /o', 'f 644 0:0 /o/f F', 'f 755 0:0 /o/x.sh X']);
  });

  test('wildcards: directories merge, links are followed, nothing matched is an empty layer, what is in front must be there', async () => {
    assert.equal((await copy({ from: ['nope*'], to: '/' })).layer.diffId, emptyLayer);
    await fails({ from: ['nope/*'], to: '/' }, /^"\/nope": not found: .*\.dockerignore/);
    const merged = contextOf({ 'm1/a': '1', 'm2/b': '2', m3: { link: 'm1' }, '.m': 'dot' });
    assert.deepEqual(await view({ from: ['m*'], to: '/o' }, scratchTree, merged), ['d 755 0:0 /o', 'f 644 0:0 /o/a 1', 'f 644 0:0 /o/b 2']);
    assert.deepEqual(await view({ from: ['?m'], to: '/' }, scratchTree, merged), ['f 644 0:0 /.m dot']);
    assert.deepEqual(await view({ from: ['m*/b'], to: '/' }, scratchTree, merged), ['f 644 0:0 /b 2']);
  });

  test('what is missing, said in words', async () => {
    await fails({ from: ['nope'], to: '/' }, '"/nope": not found: the build context has no such file, or .dockerignore excludes it');
    await fails({ from: ['f/x'], to: '/' }, /^"\/f\/x": not found/);
    await assert.rejects(copy({ from: ['/nope'], to: '/' }, scratchTree, await fixture.tree([{ path: 'x', content: '' }])), {
      message: '"/nope": not found',
    });
  });

  test('the destination goes through links of the tree, and stays inside it', async () => {
    const parent = await fixture.tree([
      { path: 'usr/' },
      { path: 'usr/bin/' },
      { path: 'bin', linkTarget: 'usr/bin' },
      { path: 'usr/bin/tool', content: 'old' },
      { path: 'link', linkTarget: '/usr/bin/tool' },
      { path: 'out', linkTarget: '../../../../usr/new/x' },
    ]);
    const seen = async (from: string, to: string) => (await view({ from: [from], to }, parent)).filter((line) => line.startsWith('f '));
    assert.deepEqual(await seen('f', '/bin/'), ['f 644 0:0 /usr/bin/f F', 'f 644 0:0 /usr/bin/tool old']);
    assert.deepEqual(await seen('f', '/link'), ['f 644 0:0 /usr/bin/tool F']);
    assert.deepEqual(await seen('f', '/out'), ['f 644 0:0 /usr/bin/tool old', 'f 644 0:0 /usr/new/x F']);
    assert.deepEqual(await seen('f', '/bin/../../../../etc/x'), ['f 644 0:0 /usr/bin/tool old', 'f 644 0:0 /etc/x F'].sort());
    const links = contextOf({ 'd/link': 'new' });
    assert.ok(
      (await view({ from: ['d'], to: '/' }, parent, links)).includes('f 644 0:0 /link new'),
      'a file replaces a link in a copied directory',
    );
    const circles = await fixture.tree([
      { path: 'a', linkTarget: 'b' },
      { path: 'b', linkTarget: 'a' },
    ]);
    await fails({ from: ['f'], to: '/a/x' }, /circles/, circles);
  });

  test('--link: nothing below is looked at', async () => {
    const parent = await fixture.tree([{ path: 'usr/' }, { path: 'bin', linkTarget: 'usr' }]);
    assert.deepEqual(await view({ from: ['f'], to: '/bin/', link: true }, parent), [
      'd 755 0:0 /bin',
      'd 755 0:0 /usr',
      'f 644 0:0 /bin/f F',
    ]);
  });

  test('--chown: numbers and names, made parents too; a tree keeps its owners, a context has none', async () => {
    const parent = await fixture.tree([
      { path: 'etc/' },
      { path: 'etc/passwd', content: 'web:x:33:34::/:\n' },
      { path: 'etc/group', content: 'staff:x:50:\n' },
    ]);
    const owned = async (owner: string) =>
      (await view({ from: ['d'], to: '/p/o', owner }, parent))
        .filter((line) => / \/p(\/| |$)/.test(line))
        .map((line) => line.replace(/ (A|C)$/, ''));
    assert.deepEqual(await owned('web'), [
      'd 750 33:34 /p/o/b',
      'd 755 33:34 /p',
      'd 755 33:34 /p/o',
      'f 600 33:34 /p/o/a',
      'f 644 33:34 /p/o/b/c',
      'l 33:34 /p/o/l -> a',
    ]);
    assert.equal((await owned('5'))[1], 'd 755 5:5 /p');
    assert.equal((await owned('5:staff'))[1], 'd 755 5:50 /p');
    await fails({ from: ['f'], to: '/', owner: 'nobody' }, /^--chown=nobody: there is no user "nobody" in \/etc\/passwd/, parent);
    const stage = await fixture.tree([
      { path: 's/', uid: 8, gid: 9 },
      { path: 's/in/', uid: 8, gid: 9 },
      { path: 's/in/f', content: 'x', uid: 6, gid: 7, mode: 0o4755 },
    ]);
    assert.deepEqual(await view({ from: ['/s'], to: '/o' }, scratchTree, stage), [
      'd 755 0:0 /o',
      'd 755 8:9 /o/in',
      'f 4755 6:7 /o/in/f x',
    ]);
  });

  test('--chmod: octal reaches made parents, symbolic what is copied, neither links', async () => {
    assert.deepEqual(await view({ from: ['d'], to: '/p/o', mode: '700' }), [
      'd 700 0:0 /p',
      'd 700 0:0 /p/o',
      'd 700 0:0 /p/o/b',
      'f 700 0:0 /p/o/a A',
      'f 700 0:0 /p/o/b/c C',
      'l 0:0 /p/o/l -> a',
    ]);
    assert.deepEqual(await view({ from: ['d'], to: '/o', mode: 'u=rwX,go=rX' }), [
      'd 755 0:0 /o',
      'd 755 0:0 /o/b',
      'f 644 0:0 /o/a A',
      'f 644 0:0 /o/b/c C',
      'l 0:0 /o/l -> a',
    ]);
  });

  test('--exclude: relative to each source, takes back in, and files by their own name', async () => {
    assert.deepEqual(await view({ from: ['d'], to: '/o', excludes: ['b', 'l'] }), ['d 755 0:0 /o', 'f 600 0:0 /o/a A']);
    assert.deepEqual(await view({ from: ['d'], to: '/o', excludes: ['*', '!b/c'] }), [
      'd 750 0:0 /o/b',
      'd 755 0:0 /o',
      'f 644 0:0 /o/b/c C',
    ]);
    assert.deepEqual(await view({ from: ['[fx]*'], to: '/o/', excludes: ['*.sh'] }), ['d 755 0:0 /o', 'f 644 0:0 /o/f F']);
    assert.equal((await copy({ from: ['f'], to: '/o/', excludes: ['f'] })).layer.diffId, emptyLayer);
  });

  test('--parents: the path is kept, from the pivot on; ** and wildcards; what is missing', async () => {
    const parents = true;
    assert.deepEqual(await view({ from: ['d/b/c'], to: '/o/', parents }), [
      'd 711 0:0 /o/d',
      'd 750 0:0 /o/d/b',
      'd 755 0:0 /o',
      'f 644 0:0 /o/d/b/c C',
    ]);
    assert.deepEqual(await view({ from: ['d/./b/c'], to: '/o/', parents }), ['d 750 0:0 /o/b', 'd 755 0:0 /o', 'f 644 0:0 /o/b/c C']);
    assert.deepEqual(await view({ from: ['**/c'], to: '/o/', parents }), [
      'd 711 0:0 /o/d',
      'd 750 0:0 /o/d/b',
      'd 755 0:0 /o',
      'f 644 0:0 /o/d/b/c C',
    ]);
    assert.deepEqual((await view({ from: ['./d/b/'], to: '/o/', parents })).at(-1), 'f 644 0:0 /o/d/b/c C');
    assert.deepEqual(await view({ from: ['nope/*'], to: '/o/', parents }), ['d 755 0:0 /o']);
    await fails({ from: ['nope/x'], to: '/o/', parents }, /^"\/nope\/x": not found/);
  });

  test('bodies of heredocs', async () => {
    const file = (name: string, body: string): CopyInput => ({ kind: 'file', name, body });
    assert.deepEqual(await view({ from: [file('E', 'a\n'), file('F', '\tb\n')], to: '/d/' }), [
      'd 755 0:0 /d',
      'f 644 0:0 /d/E a',
      'f 644 0:0 /d/F \tb',
    ]);
    assert.deepEqual(await view({ from: [file('E', '')], to: '/x', mode: '755', owner: '1:2' }), ['f 755 1:2 /x']);
  });

  test('links, special files and attributes of a source stay; hard links within it', async () => {
    const source = contextOf({ 'd/a': 'A', 'e/z': 'Z' });
    execFileSync(
      'sh',
      [
        '-ec',
        'ln d/a d/b; ln d/a e/other; mkfifo d/p; mknod d/n c 1 3; setfattr -n user.k -v v d/a; setfattr -n user.d -v v d; mkdir d/s; setfattr -n user.s -v v d/s',
      ],
      {
        cwd: source.directory,
      },
    );
    const made = await copy({ from: ['d', 'e'], to: '/o/' }, scratchTree, source);
    await fixture.assertAsUnpacked(made, scratchTree);
    const text = fixture.mounted(withLayer(scratchTree, made.layer), '', "stat -c '%n %F %h' o/*; getfattr -d o/a o/s");
    assert.match(text, /o\/a regular file 2\no\/b regular file 2\no\/n character special file 1\no\/other regular file 1\no\/p fifo 1/);
    assert.match(text, /user.k="v"[\s\S]*user.s="v"/);
  });

  test('ADD: an archive by its content; owners of the archive, no --chmod; anything else is a file', async () => {
    const inTar = (...entries: LayerEntry[]) =>
      contextOf({
        t: { bytes: layerTar(...entries) },
        e: { bytes: gzipSync('') },
        g: { bytes: gzipSync('text') },
        x: { bytes: Buffer.from('fd377a585a0000', 'hex') },
      });
    assert.deepEqual(await view({ from: ['t.tar.gz'], to: '/o', unpack: true, mode: '600' }), [
      'd 600 0:0 /o',
      'f 644 1000:1000 /o/in.txt IN',
    ]);
    assert.deepEqual(await view({ from: ['t.tar.gz'], to: '/o', unpack: true, owner: '5' }), ['d 755 5:5 /o', 'f 644 5:5 /o/in.txt IN']);
    assert.equal((await copy({ from: ['t.tar.gz'], to: '/', unpack: true, excludes: ['in.*'] })).layer.diffId, emptyLayer);
    assert.match((await view({ from: ['t.tar.gz'], to: '/p' })).join(), /^f 644 0:0 \/p/);
    const tar = inTar(
      { path: './', type: 'directory', mode: 0o700 },
      { path: 'bin/x', content: 'X' },
      { path: 'lib/', mode: 0o711, uid: 4 },
      { path: 'lib/y', content: 'Y' },
      { path: 'd', content: 'now a file' },
      { path: 'lib/h', type: 'hard-link', linkTarget: 'lib/y' },
    );
    const parent = await fixture.tree([
      { path: 'usr/' },
      { path: 'bin', linkTarget: 'usr' },
      { path: 'lib', linkTarget: 'usr' },
      { path: 'd/' },
      { path: 'd/gone', content: '' },
    ]);
    assert.deepEqual(await view({ from: ['t'], to: '/', unpack: true }, parent, tar), [
      'd 711 4:0 /lib',
      'd 755 0:0 /usr',
      'f 644 0:0 /d now a file',
      'f 644 0:0 /lib/h Y',
      'f 644 0:0 /lib/y Y',
      'f 644 0:0 /usr/x X',
      'l 0:0 /bin -> usr',
    ]);
    assert.equal((await view({ from: ['e'], to: '/o/', unpack: true }, scratchTree, tar)).length, 2);
    assert.equal((await view({ from: ['g'], to: '/o/', unpack: true }, scratchTree, tar)).length, 2);
  });

  test('SEC-01 ADD: hostile archives stay inside', async () => {
    const canary = join(fixture.directory, 'canary');
    mkdirSync(canary);
    const attack = async (...entries: LayerEntry[]) => {
      const tar = contextOf({ t: { bytes: layerTar(...entries) } });
      await copy({ from: ['t'], to: '/o', unpack: true }, scratchTree, tar).catch(() => {});
    };
    await attack({ path: 'l', linkTarget: canary }, { path: 'l/x', content: 'out' });
    await attack({ path: `../../../../../..${canary}/x`, content: 'out' });
    await attack({ path: `${canary}/x`, content: 'out' });
    await attack({ path: 'l', linkTarget: '../../../../../../../..' }, { path: `l${canary}/x`, content: 'out' });
    await attack({ path: 'l', type: 'hard-link', linkTarget: `../../../..${canary}` });
    assert.deepEqual(readdirSync(canary), []);
    await assert.rejects(
      copy({ from: ['t'], to: '/o', unpack: true }, scratchTree, contextOf({ t: { bytes: layerTar({ path: 'a/.wh.b', content: '' }) } })),
      { code: 'invalid', message: /\.wh\./ },
    );
  });

  test('SEC-04 names that layers give a meaning to, and names that are paths, are no files', async () => {
    const hidden = contextOf({ 'd/.wh.f': 'x' });
    await assert.rejects(copy({ from: ['d'], to: '/o' }, scratchTree, hidden), {
      code: 'invalid',
      message: /^"\/o\/\.wh\.f" can't be in a layer/,
    });
    for (const name of ['../../x', 'a/b', '..', ''])
      await fails({ from: [{ kind: 'file', name, body: '' }], to: '/d/' }, /can't be a file/);
    await fails({ from: ['f'], to: '/a\0b' }, /NUL/);
  });

  test('SEC-02 sources and links of hostile contexts and stages stay inside their roots', async () => {
    const secret = join(fixture.directory, 'secret');
    writeFileSync(secret, 'SECRET');
    const hostile = contextOf({
      abs: { link: secret },
      up: { link: `../../../../../../..${secret}` },
      'd/x': { link: secret },
      root: { link: '/' },
    });
    for (const from of ['abs', 'up', `../../../../..${secret}`, secret])
      await assert.rejects(copy({ from: [from], to: '/o' }, scratchTree, hostile), { code: 'not-found' });
    assert.deepEqual(await view({ from: ['d'], to: '/o' }, scratchTree, hostile), ['d 755 0:0 /o', `l 0:0 /o/x -> ${secret}`]);
    assert.equal((await view({ from: ['root'], to: '/o' }, scratchTree, hostile)).length, 6);
  });

  test('WORKDIR: what is missing is made, of the user; what is there stays', async () => {
    const parent = await fixture.tree([
      { path: 'etc/' },
      { path: 'etc/passwd', content: 'web:x:33:34::/:\n' },
      { path: 'srv/', mode: 0o700, uid: 9 },
      { path: 'w', linkTarget: 'srv' },
      { path: 'f', content: '' },
    ]);
    const make = (path: string, owner: string) =>
      fixture.work.makeDirectory(
        { kind: 'directory', step: { title: 'WORKDIR', place }, parent: { kind: 'scratch' }, epoch: EPOCH, path, owner },
        parent,
        EPOCH,
        fixture.lease,
        never,
      );
    const made = await make('/w/a/b', 'web');
    await fixture.assertAsUnpacked(made, parent);
    assert.deepEqual(
      lines(withLayer(parent, made.layer)).filter((line) => line.includes('/srv')),
      ['d 700 9:0 /srv', 'd 755 33:34 /srv/a', 'd 755 33:34 /srv/a/b'],
    );
    assert.equal((await make('/w', 'web')).layer.diffId, emptyLayer);
    assert.equal((await make('/', '')).layer.diffId, emptyLayer);
    await assert.rejects(make('/f/x', ''), { message: 'cannot make the directory /f/x: /f is not a directory' });
  });
});
