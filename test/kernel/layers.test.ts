/** The layer store: sharing, dependence on parents, concurrency, crash leftovers, budgets. Needs root. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Digest } from '../../src/base/brand.ts';
import { getAttributeOfPath } from '../../src/linux/extended-attributes.ts';
import { isWhiteout, readFileInLayers } from '../../src/store/layer-stack.ts';
import type { LayerSource, UnpackProgress } from '../../src/store/layer-store.ts';
import type { UnpackLimits } from '../../src/store/unpack-limits.ts';
import { LayerFixture, layerTar, needsRoot, sha256 } from './layer-fixture.ts';

function testStore(name: string, use: (fixture: LayerFixture) => Promise<void>, limits: Partial<UnpackLimits> = {}): void {
  test(`createLayerStore: ${name}`, { skip: needsRoot }, async () => {
    const fixture = new LayerFixture(limits);
    try {
      await use(fixture);
    } finally {
      await fixture.close();
    }
  });
}

const leftovers = (fixture: LayerFixture) => readdirSync(fixture.root).filter((name) => name.startsWith('tmp-'));

testStore('a layer that lists its directories is shared by every chain, one that does not is not', async (fixture) => {
  const base = layerTar({ path: 'etc/', mode: 0o755 }, { path: 'etc/a', content: 'a' });
  const other = layerTar({ path: 'usr/' });
  const whole = layerTar({ path: 'opt/' }, { path: 'opt/x', content: 'x' });
  const partial = layerTar({ path: 'etc/b', content: 'b' });
  const [, first, second] = await fixture.unpack(fixture.chain(base, whole, partial));
  const [, third, fourth] = await fixture.unpack(fixture.chain(other, whole, partial));
  assert.equal(first?.directory, third?.directory);
  assert.match(first?.directory ?? '', /^d-/);
  assert.match(second?.directory ?? '', /^c-/);
  assert.match(fourth?.directory ?? '', /^c-/);
  assert.notEqual(second?.directory, fourth?.directory);
});

testStore('an unlisted parent gets the attributes of the layer below', async (fixture) => {
  const time = { seconds: 1_400_000_000, nanoseconds: 987_654_321 };
  const attributes = new Map([['user.note', Buffer.from('kept')]]);
  const base = layerTar({ path: 'd/', mode: 0o1733, uid: 12, gid: 34, modifiedAt: time, extendedAttributes: attributes });
  const [, top] = await fixture.unpack(fixture.chain(base, layerTar({ path: 'd/f', content: 'x' })));
  const stats = lstatSync(fixture.inLayer(top, 'd'), { bigint: true });
  assert.deepEqual([stats.mode & 0o7777n, stats.uid, stats.gid, stats.mtimeNs], [0o1733n, 12n, 34n, 1_400_000_000_987_654_321n]);
  assert.equal(getAttributeOfPath(fixture.inLayer(top, 'd'), 'user.note')?.toString(), 'kept');
});

testStore('a parent that is a link below leads to its target, as /bin does in merged-usr images', async (fixture) => {
  const base = layerTar({ path: 'usr/' }, { path: 'usr/bin/', mode: 0o711 }, { path: 'bin', linkTarget: 'usr/bin' });
  const refs = await fixture.unpack(fixture.chain(base, layerTar({ path: 'bin/tool', content: 'tool' })));
  assert.ok(!existsSync(fixture.inLayer(refs[1], 'bin')));
  assert.equal(readFileSync(fixture.inLayer(refs[1], 'usr/bin/tool'), 'utf8'), 'tool');
  assert.equal(statSync(fixture.inLayer(refs[1], 'usr/bin')).mode & 0o777, 0o711);
});

testStore('a hard link to a file below copies it up, and both names are one file', async (fixture) => {
  const time = { seconds: 1_300_000_000, nanoseconds: 5 };
  const base = layerTar({ path: 'd/' }, { path: 'd/f', content: 'shared', mode: 0o4751, uid: 3, gid: 4, modifiedAt: time });
  const [, top] = await fixture.unpack(
    fixture.chain(base, layerTar({ path: 'e/' }, { path: 'e/link', type: 'hard-link', linkTarget: 'd/f' })),
  );
  const stats = lstatSync(fixture.inLayer(top, 'e/link'), { bigint: true });
  assert.equal(stats.ino, lstatSync(fixture.inLayer(top, 'd/f'), { bigint: true }).ino);
  assert.deepEqual(
    [stats.mode & 0o7777n, stats.uid, stats.gid, stats.mtimeNs, stats.nlink],
    [0o4751n, 3n, 4n, 1_300_000_000_000_000_005n, 2n],
  );
  assert.equal(readFileSync(fixture.inLayer(top, 'e/link'), 'utf8'), 'shared');
});

testStore('whiteouts stay where they hide something and go where they would only show', async (fixture) => {
  const base = layerTar({ path: 'd/' }, { path: 'd/f', content: 'x' });
  const hiding = layerTar({ path: 'd/' }, { path: 'd/.wh.f' });
  const [, above] = await fixture.unpack(fixture.chain(base, hiding));
  const [, alone] = await fixture.unpack(fixture.chain(layerTar({ path: 'other/' }), hiding));
  const [lowest] = await fixture.unpack(fixture.chain(hiding));
  assert.ok(isWhiteout(lstatSync(fixture.inLayer(above, 'd/f'))));
  assert.match(above?.directory ?? '', /^d-/);
  for (const ref of [alone, lowest]) {
    assert.match(ref?.directory ?? '', /^c-/);
    assert.deepEqual(readdirSync(fixture.inLayer(ref, 'd')), []);
  }
});

testStore('opaque directories, and a whiteout inside one is dropped', async (fixture) => {
  const base = layerTar({ path: 'd/' }, { path: 'd/old', content: 'x' }, { path: 'd/sub/' });
  const top = layerTar(
    { path: 'd/' },
    { path: 'd/.wh.old' },
    { path: 'd/new', content: 'y' },
    { path: 'd/.wh..wh..opq' },
    { path: 'd/sub/' },
    { path: 'd/sub/.wh.x' },
  );
  const [, ref] = await fixture.unpack(fixture.chain(base, top));
  assert.equal(getAttributeOfPath(fixture.inLayer(ref, 'd'), 'trusted.overlay.opaque')?.toString(), 'y');
  assert.deepEqual(readdirSync(fixture.inLayer(ref, 'd')).sort(), ['new', 'sub']);
  assert.deepEqual(readdirSync(fixture.inLayer(ref, 'd/sub')), []);
  assert.match(ref?.directory ?? '', /^d-/);
});

testStore('mountOrder: topmost first, short names; equal, empty and hidden layers left out', async (fixture) => {
  const a = layerTar({ path: 'a', content: 'a' });
  const b = layerTar({ path: 'b', content: 'b' });
  const empty = layerTar();
  const reset = layerTar({ path: '.wh..wh..opq' }, { path: 'c', content: 'c' });
  const refs = await fixture.unpack(fixture.chain(a, empty, b, a, empty));
  const order = fixture.store.mountOrder(refs);
  assert.deepEqual(
    order.lowers.map((lower) => readlinkSync(join(order.base, lower))),
    [refs[3], refs[2]].map((ref) => `../${ref?.directory}/fs`),
  );
  assert.ok(order.lowers.every((lower) => lower.length <= 2));
  const hidden = await fixture.unpack(fixture.chain(a, reset, b));
  assert.equal(fixture.store.mountOrder(hidden).lowers.length, 2);
  const view = fixture.store.mountOrder(hidden);
  assert.equal(readFileInLayers(view.base, view.lowers, 'a', 10), null);
  assert.equal(readFileInLayers(view.base, view.lowers, 'c', 10)?.toString(), 'c');
});

testStore('rootAttributes: the topmost layer that lists its root', async (fixture) => {
  const listing = (mode: number) => layerTar({ path: './', type: 'directory', mode }, { path: `f${mode}`, content: 'x' });
  const refs = await fixture.unpack(fixture.chain(listing(0o700), listing(0o711), layerTar({ path: 'x', content: 'x' })));
  assert.equal(fixture.store.rootAttributes(refs)?.mode, 0o711);
  assert.equal(fixture.store.rootAttributes(refs.slice(2)), null);
});

testStore('gzip, zstd and plain blobs of one layer give one directory; progress reaches the end', async (fixture) => {
  const tar = layerTar({ path: 'f', content: 'x'.repeat(300_000) });
  const names = new Set<string>();
  for (const blob of [gzipSync(tar), zstdCompressSync(tar), tar]) {
    await fixture.store.sweep(new Set());
    const progress: UnpackProgress[] = [];
    const source = fixture.add(tar, [], blob);
    const [ref] = await fixture.unpack([source], undefined, (step) => progress.push(step));
    names.add(ref?.directory ?? '');
    assert.deepEqual(progress.at(-1), { blob: source.blob, doneBytes: blob.length, totalBytes: blob.length });
  }
  assert.equal(names.size, 1);
});

testStore('the same layer asked for many times at once is unpacked once', async (fixture) => {
  const sources = fixture.chain(
    layerTar({ path: 'd/' }, { path: 'd/f', content: 'x'.repeat(1_000_000) }),
    layerTar({ path: 'd/g', content: 'y' }),
  );
  const all = await Promise.all(Array.from({ length: 8 }, () => fixture.unpack(sources)));
  for (const refs of all) assert.deepEqual(refs, all[0]);
  const inode = lstatSync(fixture.inLayer(all[0]?.[0])).ino;
  await fixture.unpack(sources);
  assert.equal(lstatSync(fixture.inLayer(all[0]?.[0])).ino, inode);
  assert.deepEqual(leftovers(fixture), []);
});

testStore('a digest that disagrees leaves nothing', async (fixture) => {
  const tar = layerTar({ path: 'f', content: 'x' });
  const source = fixture.add(tar);
  const other = fixture.add(layerTar({ path: 'g', content: 'x' }));
  await assert.rejects(fixture.unpack([{ ...source, diffId: other.diffId }]), {
    code: 'invalid',
    message: /uncompressed layer is not what its digest says/,
  });
  writeFileSync(join(fixture.directory, 'blobs', source.blob.slice(7)), layerTar({ path: 'f', content: 'y' }));
  await assert.rejects(fixture.unpack([source]), { code: 'invalid', message: /blob is not what its digest says/ });
  await assert.rejects(fixture.unpack([{ ...source, blob: sha256('nowhere') as Digest }]), { code: 'system', message: /ENOENT/ });
  await assert.rejects(fixture.unpack([{ ...source, diffId: '../../etc' as LayerSource['diffId'] }]), {
    code: 'invalid',
    message: /not a sha256 digest/,
  });
  assert.deepEqual(readdirSync(fixture.root).sort(), ['init-1', 'l']);
});

testStore('one bad layer among good ones: its error is shown, and nothing half-made stays', async (fixture) => {
  const good = layerTar({ path: 'd/' }, { path: 'd/f', content: 'x'.repeat(3_000_000) });
  const bad = layerTar({ path: '../escape', content: 'x' });
  await assert.rejects(fixture.unpack(fixture.chain(good, bad, layerTar({ path: 'e', content: 'e' }))), {
    code: 'invalid',
    message: /leads out of it/,
  });
  assert.deepEqual(leftovers(fixture), []);
});

testStore('an abort stops the work and leaves nothing, unless somebody else wants the layer', async (fixture) => {
  const tar = layerTar(
    { path: 'd/' },
    ...Array.from({ length: 20 }, (_, index) => ({ path: `d/${index}`, content: 'x'.repeat(2_000_000) })),
  );
  const sources = fixture.chain(tar);
  const abort = new AbortController();
  await assert.rejects(
    fixture.unpack(sources, abort.signal, () => abort.abort()),
    { name: 'AbortError' },
  );
  assert.deepEqual(readdirSync(fixture.root).sort(), ['init-1', 'l']);
  const second = new AbortController();
  const given = fixture.unpack(sources, second.signal);
  const wanted = fixture.unpack(sources, undefined, () => second.abort());
  await assert.rejects(given, { name: 'AbortError' });
  assert.equal((await wanted).length, 1);
  assert.deepEqual(leftovers(fixture), []);
});

testStore('sweep removes what nobody keeps, and not what is being used', async (fixture) => {
  const kept = await fixture.unpack(fixture.chain(layerTar({ path: 'kept', content: 'x' })));
  const gone = await fixture.unpack(fixture.chain(layerTar({ path: 'gone', content: 'x' })));
  await fixture.store.sweep(new Set(kept.map((ref) => ref.directory)));
  assert.ok(existsSync(fixture.inLayer(kept[0], 'kept')));
  assert.ok(!existsSync(fixture.inLayer(gone[0])));
  assert.throws(() => fixture.store.mountOrder(gone), { code: 'system', message: /is missing/ });
  assert.deepEqual(leftovers(fixture), []);
  // A sweep in the middle of an unpack: the layers found at its start are there at its end.
  const sources = fixture.chain(layerTar({ path: 'kept', content: 'x' }), layerTar({ path: 'slow', content: 'x'.repeat(5_000_000) }));
  const [refs] = await Promise.all([fixture.unpack(sources), fixture.store.sweep(new Set())]);
  assert.equal(fixture.store.mountOrder(refs).lowers.length, 2);
});

testStore('a new process finds the layers under their names and removes what a crash left', async (fixture) => {
  const refs = await fixture.unpack(
    fixture.chain(layerTar({ path: 'd/' }, { path: 'd/f', content: 'x' }), layerTar({ path: 'd/g', content: 'y' })),
  );
  const before = fixture.store.mountOrder(refs);
  await fixture.store.close();
  mkdirSync(join(fixture.root, 'tmp-1-1-1', 'fs', 'deep'), { recursive: true });
  mkdirSync(join(fixture.root, `d-${'0'.repeat(64)}`, 'fs'), { recursive: true });
  rmSync(join(fixture.root, 'l', before.lowers[0] ?? ''));
  fixture.store = fixture.open();
  const after = fixture.store.mountOrder(refs);
  assert.equal(after.lowers[1], before.lowers[1]);
  assert.equal(readFileInLayers(after.base, after.lowers, 'd/g', 10)?.toString(), 'y');
  for (let wait = 0; wait < 100 && (leftovers(fixture).length > 0 || existsSync(join(fixture.root, `d-${'0'.repeat(64)}`))); wait++)
    await sleep(50);
  assert.deepEqual(readdirSync(fixture.root).sort(), ['init-1', 'l', ...refs.map((ref) => ref.directory)].sort());
});

testStore('no descriptor is lost, whatever happens', async (fixture) => {
  const open = () => readdirSync('/proc/self/fd').length;
  const good = layerTar(
    { path: 'd/' },
    { path: 'd/f', content: 'x' },
    { path: 'd/f', content: 'y' },
    { path: 'd/g', type: 'hard-link', linkTarget: 'd/f' },
  );
  // Every worker has descriptors of its own: all are to run before counting.
  await fixture.unpack(
    fixture.chain(good, ...Array.from({ length: 8 }, (_, index) => layerTar({ path: `w${index}`, content: 'x'.repeat(500_000) }))),
  );
  const before = open();
  for (let round = 0; round < 20; round++) {
    const base = fixture.add(layerTar({ path: `r${round}/` }, { path: `r${round}/s`, linkTarget: '/etc' }));
    const top = fixture.add(layerTar({ path: `r${round}/s/new/file`, content: 'x' }, { path: `r${round}/s`, content: 'replaced' }), [base]);
    const cut = fixture.add(layerTar({ path: 'f', content: 'x'.repeat(round * 600 + 1) }).subarray(0, 900), [base, top]);
    await fixture.unpack([base, top]);
    await assert.rejects(fixture.unpack([base, top, cut]), { code: 'invalid' });
  }
  await fixture.store.sweep(new Set());
  assert.ok(open() <= before, `${before} descriptors before, ${open()} after`);
});

const bombLimits = {
  ratioFromBytes: 128 * 1024 ** 2,
  layerBytes: 1024 ** 3,
  entries: 5000,
  directoryNameBytes: 100_000,
  zstdWindowLog: 27,
};

testStore(
  'SEC-06 budgets: zeros, windows, entries, names and sizes end in an error that names the limit, in little memory',
  async (fixture) => {
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 20);
    const refused = async (tar: Uint8Array, blob: Uint8Array, message: RegExp) => {
      await assert.rejects(fixture.unpack([fixture.add(tar, [], blob)]), { code: 'invalid', message });
      assert.deepEqual(readdirSync(fixture.root).sort(), ['init-1', 'l']);
    };
    await refused(Buffer.from('bomb'), await zeros(512), /grows by more than 200 times.*decompression bomb/);
    // A frame that asks for a window of 2 GiB (RFC 8878: magic, descriptor, window exponent 21, an empty last block).
    await refused(Buffer.from('window'), Buffer.from('28b52ffd00a8010000', 'hex'), /larger window than the limit/);
    const many = layerTar(...Array.from({ length: 5001 }, (_, index) => ({ path: `f${index}`, content: '' })));
    await refused(many, many, /more than 5000 entries/);
    const long = layerTar(...Array.from({ length: 600 }, (_, index) => ({ path: `${'n'.repeat(200)}${index}/` })));
    await refused(long, long, /names of the layer's directories take more than 100000 bytes/);
    clearInterval(watch);
    assert.ok(peak - before < 256 * 1024 ** 2, `memory grew by ${Math.round((peak - before) / 1024 ** 2)} MiB`);
  },
  bombLimits,
);

/** A tar of one file of zeros, gzipped as a stream. */
async function zeros(mebibytes: number): Promise<Buffer> {
  const gzip = createGzip({ level: 1 });
  const chunks: Buffer[] = [];
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk));
  const header = layerTar({ path: 'zeros', sizeBytes: 0 }).subarray(0, 512);
  header.write((mebibytes * 1024 ** 2).toString(8).padStart(11, '0'), 124, 'latin1');
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  gzip.write(header);
  const mebibyte = Buffer.alloc(1024 ** 2);
  for (let count = 0; count < mebibytes; count++) if (!gzip.write(mebibyte)) await new Promise((resolve) => gzip.once('drain', resolve));
  gzip.end();
  await new Promise((resolve) => gzip.once('end', resolve));
  return Buffer.concat(chunks);
}

test('readFileInLayers: links across layers, whiteouts, sizes, and only regular files', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const refs = await fixture.unpack(
      fixture.chain(
        layerTar(
          { path: 'etc/' },
          { path: 'etc/passwd', content: 'lower' },
          { path: 'etc/group', content: 'g'.repeat(1000) },
          { path: 'data/' },
          { path: 'data/x', content: 'x' },
        ),
        layerTar(
          { path: 'etc/' },
          { path: 'etc/passwd', content: 'upper' },
          { path: 'link', linkTarget: '/etc/alias' },
          { path: 'etc/alias', linkTarget: '../../../data/./x' },
        ),
        layerTar(
          { path: 'fifo', type: 'fifo' },
          { path: 'loop', linkTarget: 'loop' },
          { path: '.wh.data' },
          { path: 'null', type: 'character-device', deviceMajor: 1, deviceMinor: 3 },
        ),
      ),
    );
    const below = fixture.store.mountOrder(refs.slice(0, 2));
    const { base, lowers } = fixture.store.mountOrder(refs);
    const text = (path: string, limit = 100) => readFileInLayers(base, lowers, path, limit)?.toString() ?? null;
    assert.equal(text('/etc/passwd'), 'upper');
    assert.equal(text('etc/../../etc//passwd'), 'upper');
    assert.equal(readFileInLayers(below.base, below.lowers, '/link', 10)?.toString(), 'x');
    for (const path of ['/link', '/loop', '/nothing', '/etc/passwd/x', `/${'n'.repeat(300)}`]) assert.equal(text(path), null, path);
    for (const path of ['/etc', '/fifo', '/null']) assert.throws(() => text(path), { code: 'invalid', message: /not a regular file/ });
    assert.throws(() => text('/etc/group', 999), { code: 'invalid', message: /larger than 999 bytes/ });
    assert.equal(text('/etc/group', 1000)?.length, 1000);
    assert.throws(() => text('/etc\0'), { code: 'invalid', message: /NUL/ });
    const upper = join(fixture.directory, 'upper');
    mkdirSync(join(upper, 'etc'), { recursive: true });
    writeFileSync(join(upper, 'etc/passwd'), 'container');
    assert.equal(readFileInLayers(base, [upper, ...lowers], '/etc/passwd', 100)?.toString(), 'container');
  } finally {
    await fixture.close();
  }
});
