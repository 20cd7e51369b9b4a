/** What a step wrote becomes a layer: written through the kernel's overlay, sealed, and compared with what the tar unpacks to. Needs root and overlay. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { ChainId } from '../../src/base/brand.ts';
import { createLayerWork } from '../../src/build/files/create-layer-work.ts';
import { withLayer } from '../../src/build/tree.ts';
import { BuildFixture, emptyLayer, needsRoot, never, randomScript, treeView } from './layer-fixture.ts';

suite('LayerWork.seal', { skip: needsRoot }, () => {
  let fixture: BuildFixture;
  before(async () => {
    fixture = await BuildFixture.open();
  });
  after(async () => {
    await fixture.work.settled();
    assert.deepEqual(readdirSync(join(fixture.directory, 'tmp')), ['empty'], 'nothing is left behind');
    await fixture.close();
  });

  test('nothing changed: the empty layer, whatever was touched on the way', async () => {
    const parent = await fixture.tree([
      { path: 'a/', mode: 0o711, modifiedAt: { seconds: 7, nanoseconds: 0 } },
      { path: 'a/b/' },
      { path: 'a/b/f', content: 'x', modifiedAt: { seconds: 5, nanoseconds: 0 } },
      { path: 'tmp/', mode: 0o1777 },
    ]);
    assert.equal((await fixture.run(parent, 'true')).layer.diffId, emptyLayer);
    const script = 'echo 1 >tmp/x; rm tmp/x; mkdir -p tmp/d/e; rm -r tmp/d; chmod 600 a/b/f; chmod 644 a/b/f; touch a/b';
    const made = await fixture.run(parent, script);
    assert.deepEqual(fixture.names(made), []);
    assert.equal(made.layer.diffId, emptyLayer);
    assert.equal(made.layer.sizeBytes, 0);
  });

  test('parents first, sorted by bytes, whole seconds, no later than the epoch, no names of owners', async () => {
    const parent = await fixture.tree([{ path: 'usr/', mode: 0o711, uid: 3, gid: 4, modifiedAt: { seconds: 7, nanoseconds: 0 } }]);
    const made = await fixture.run(
      parent,
      'mkdir usr/b usr/a; echo 1 >usr/b/z; echo 2 >usr/b-; touch -d @17.5 usr/b/z; chown 1:2 usr/b/z; ln usr/b/z usr/a/link; touch -h -d @9 usr',
      1000,
    );
    assert.deepEqual(fixture.list(made), [
      'drwx--x--x 3/4 0 1970-01-01 00:00:09 usr/',
      'drwxr-xr-x 0/0 0 1970-01-01 00:16:40 usr/a/',
      '-rw-r--r-- 1/2 2 1970-01-01 00:00:17 usr/a/link',
      'drwxr-xr-x 0/0 0 1970-01-01 00:16:40 usr/b/',
      'hrw-r--r-- 1/2 0 1970-01-01 00:00:17 usr/b/z link to usr/a/link',
      '-rw-r--r-- 0/0 2 1970-01-01 00:16:40 usr/b-',
    ]);
    await fixture.assertAsUnpacked(made, parent);
  });

  test('whiteouts and opaque directories only where something is hidden', async () => {
    const parent = await fixture.tree([
      { path: 'd/' },
      { path: 'd/gone', content: 'x' },
      { path: 'd/e/' },
      { path: 'd/e/f', content: 'x' },
      { path: 'd/empty/' },
      { path: 'z', content: 'x' },
    ]);
    const script =
      'rm d/gone; touch d/new; rm d/new; rm -r d/e; mkdir d/e; echo 1 >d/e/g; rmdir d/empty; mkdir d/empty; rm z; mkdir z; mkdir q; rmdir q; echo 1 >q';
    const made = await fixture.run(parent, script);
    assert.deepEqual(fixture.names(made), ['d/', 'd/.wh.gone', 'd/e/', 'd/e/.wh..wh..opq', 'd/e/g', 'q', 'z/']);
    await fixture.assertAsUnpacked(made, parent);
    assert.deepEqual(
      fixture.look(withLayer(parent, made.layer)).map((line) => line.split(' ').slice(0, 2).join(' ')),
      ['d d', 'd/e d', 'd/e/g f', 'd/empty d', 'q f', 'z d'],
    );
  });

  test('the root is listed when it looks different, with its attributes', async () => {
    const parent = await fixture.tree([{ path: './', type: 'directory', mode: 0o750, uid: 5 }]);
    assert.equal((await fixture.run(parent, 'true')).layer.diffId, emptyLayer);
    const made = await fixture.run(parent, 'chmod 711 .; echo 1 >f');
    assert.match(fixture.list(made)[0] ?? '', /^drwx--x--x 5\/0 0 .* \.\/$/);
    await fixture.assertAsUnpacked(made, parent);
    assert.equal(fixture.layers.rootAttributes(withLayer(parent, made.layer).layers)?.mode, 0o711);
  });

  test('attributes: capabilities and user.* stay, the rest goes; sockets go', async () => {
    const parent = await fixture.tree();
    const made = await fixture.run(
      parent,
      `echo 1 >f; setfattr -n user.a -v b f; setfattr -n trusted.t -v x f; mkdir d; setfattr -n user.c -v d d; mknod p p; mknod c c 1 3; ln -s f l
       python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('s')"`,
    );
    assert.deepEqual(fixture.names(made), ['c', 'd/', 'f', 'l', 'p']);
    await fixture.assertAsUnpacked(made, parent);
  });

  test('SEC-04 a name that starts with .wh. is an error that names it, and nothing is left', async () => {
    await assert.rejects(fixture.run(await fixture.tree(), 'mkdir d; echo 1 >d/.wh.x'), {
      code: 'invalid',
      message: /"\/d\/\.wh\.x" can't be in a layer/,
    });
  });

  test('cancelled: nothing is left', async () => {
    const parent = await fixture.tree();
    const sealed = async (cancel: AbortController) =>
      fixture.work.seal(await fixture.work.workspace(parent), parent, 0, fixture.lease, cancel.signal);
    const before = new AbortController();
    before.abort();
    await assert.rejects(sealed(before), { name: 'AbortError' });
    const meanwhile = new AbortController();
    const [ended] = await Promise.allSettled([sealed(meanwhile), Promise.resolve().then(() => meanwhile.abort())]);
    // It may have been done just before.
    if (ended.status === 'rejected') assert.equal((ended.reason as Error).name, 'AbortError');
  });

  test('the same change made twice at once is one layer', async () => {
    const parent = await fixture.tree([{ path: 'a/' }]);
    const made = await Promise.all([1, 2, 3, 4].map(() => fixture.run(parent, 'echo same >a/f')));
    assert.equal(new Set(made.map(({ layer }) => layer.directory)).size, 1);
  });

  test('OpenLayerStore.adopt: beside sweeps and unpacking of the same layers, nothing that is held goes', async () => {
    const { layers, leases } = fixture;
    let isOver = false;
    const sweeping = (async () => {
      while (!isOver) await layers.sweep(leases.heldLayers());
    })();
    const parent = await fixture.tree();
    for (let round = 0; round < 8; round++) {
      using lease = leases.acquire();
      const scripts = ['a', 'a', 'b'].map((name) => `echo ${round % 3} >${name}`);
      const made = await Promise.all(
        scripts.map(async (script) => {
          const workspace = await fixture.work.workspace(parent);
          fixture.mounted(parent, `upperdir=${workspace.upper},workdir=${workspace.work}`, script);
          return await fixture.work.seal(workspace, parent, 1000, lease, never);
        }),
      );
      for (const { layer, blob } of made) {
        const [unpacked] = await layers.unpack([{ blob: blob.digest, diffId: layer.diffId, chainId: layer.diffId as string as ChainId }]);
        assert.deepEqual(unpacked, layer);
        assert.equal(layers.mountOrder([layer]).lowers.length, 1);
      }
    }
    isOver = true;
    await sweeping;
  });

  test('what a killed daemon left is removed at the next start', async () => {
    const root = join(fixture.directory, 'killed');
    mkdirSync(join(root, 'layer-1-2-3/upper/deep'), { recursive: true });
    mkdirSync(join(root, 'somebody'), { recursive: true });
    const work = createLayerWork({ layers: fixture.layers, blobs: fixture.blobs, root });
    while (readdirSync(root).some((name) => name.startsWith('layer-'))) await delay(5);
    assert.deepEqual(readdirSync(root).sort(), ['empty', 'somebody']);
    await work.close();
  });

  test('random steps on each other: what is seen stays as it was, and the tars unpack to the layers', async () => {
    const property = fc.asyncProperty(fc.array(randomScript, { minLength: 1, maxLength: 3 }), async (scripts) => {
      let tree = await fixture.tree();
      for (const step of scripts) {
        const workspace = await fixture.work.workspace(tree);
        const seen = fixture.mounted(
          tree,
          `upperdir=${workspace.upper},workdir=${workspace.work}`,
          `{ ${step === '' ? 'true' : step}; } >/dev/null; ${treeView}`,
        );
        const made = await fixture.work.seal(workspace, tree, 1000, fixture.lease, never);
        await fixture.assertAsUnpacked(made, tree);
        tree = withLayer(tree, made.layer);
        assert.deepEqual(fixture.mounted(tree, '', treeView).split('\n').sort(), seen.split('\n').sort());
      }
    });
    await fc.assert(property, { numRuns: Number(process.env.GANTRY_SEAL_RUNS ?? 5) });
  });
});
