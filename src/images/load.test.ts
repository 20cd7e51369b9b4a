import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import { digestHex, digestOf } from '../oci/digest.ts';
import { buildImage, dockerArchive, file, LayoutBuilder, named, pack, tarOf } from './fixtures/archives.ts';
import { openBench } from './fixtures/catalogue-bench.ts';

test('load: an archive of docker 20.10 with two images that share a layer by a link', async (context) => {
  const bench = await openBench(context);
  const first = await buildImage({ files: ['base', 'first'] });
  const second = await buildImage({ files: ['base'], run: { Cmd: ['other'] } });
  const said = await bench.load(
    await dockerArchive([
      { image: first, tags: ['busybox:1', 'host:5000/x/y:2'] },
      { image: second, tags: [] },
    ]),
  );
  assert.deepEqual(said, ['Loaded image: busybox:1\n', 'Loaded image: host:5000/x/y:2\n', `Loaded image ID: ${digestOf(second.config)}\n`]);
  const image = bench.catalogue.resolve('busybox:1');
  assert.equal(image.id, digestOf(first.config));
  assert.deepEqual(image.repoTags, ['busybox:1', 'host:5000/x/y:2']);
  assert.deepEqual(image.repoDigests, []);
  assert.equal(image.layers.length, 2);
  assert.equal(image.sizeBytes, 'content of base\n'.length + 'content of first\n'.length);
  assert.deepEqual(
    bench.events.map(({ action }) => action),
    ['load', 'load'],
  );
});

for (const outer of ['none', 'gzip', 'zstd'] as const) {
  for (const inner of ['none', 'gzip', 'zstd'] as const) {
    test(`load: archive packed with ${outer}, layers with ${inner}; layers stay as they came`, async (context) => {
      const bench = await openBench(context);
      const image = await buildImage({ files: ['a', 'b'], packing: inner });
      await bench.load(pack(await dockerArchive([{ image, tags: ['t:1'] }]), outer));
      for (const layer of image.layers) assert.equal(bench.blobs.has(digestOf(layer)), true);
      assert.equal(bench.catalogue.resolve('t:1').diffIds.length, 2);
    });
  }
}

test('load: the same docker archive gives the same manifest everywhere', async (context) => {
  const [one, two] = [await openBench(context), await openBench(context)];
  const tar = await dockerArchive([{ image: await buildImage({ packing: 'gzip' }), tags: ['t:1'] }]);
  await one.load(tar);
  await two.load(tar);
  assert.deepEqual(one.kept(), two.kept());
});

test('load: an index: the platform of this machine is taken, the attestation left', async (context) => {
  const bench = await openBench(context);
  const layout = new LayoutBuilder();
  const mine = await buildImage({ files: ['mine'] });
  const other = await buildImage({ files: ['other'], top: { architecture: 'arm64' } });
  const index = layout.index([
    { ...layout.image(other), platform: { os: 'linux', architecture: 'arm64' } },
    { ...layout.image(mine), platform: { os: 'linux', architecture: 'amd64' } },
    { ...layout.image(other), platform: { os: 'unknown', architecture: 'unknown' } },
  ]);
  assert.deepEqual(await bench.load(await layout.tar([named(index, 'docker.io/library/multi:1')])), ['Loaded image: multi:1\n']);
  assert.equal(bench.catalogue.resolve('multi:1').id, digestOf(mine.config));
  assert.equal(bench.blobs.has(index.digest), true);
});

test('load: an index without a manifest for this machine says so and leaves nothing', async (context) => {
  const bench = await openBench(context);
  const layout = new LayoutBuilder();
  const index = layout.index([{ ...layout.image(await buildImage()), platform: { os: 'linux', architecture: 's390x' } }]);
  await assert.rejects(
    bench.load(await layout.tar([named(index, 'x:1')])),
    /no matching manifest for linux\/amd64 in the manifest list entries/,
  );
  assert.deepEqual(bench.kept(), []);
});

test('save: load → save → load → save is byte-identical and keeps the manifest as it was written', async (context) => {
  const layout = new LayoutBuilder();
  const image = await buildImage({ files: ['a', 'b'], packing: 'gzip' });
  const manifest = layout.image(image, 'application/vnd.oci.image.layer.v1.tar+gzip');
  const [one, two] = [await openBench(context), await openBench(context)];
  await one.load(await layout.tar([named(manifest, 'docker.io/library/t:1'), named(manifest, 'example.com/a/b:2')]));
  const first = await one.save('t:1', 'example.com/a/b:2');
  assert.deepEqual(await two.load(first), ['Loaded image: t:1\n', 'Loaded image: example.com/a/b:2\n']);
  const second = await two.save('t:1', 'example.com/a/b:2');
  assert.ok(first.equals(second));
  assert.deepEqual(one.kept(), two.kept());
  assert.ok(two.blobs.has(manifest.digest));
});

test('save: an image that came as an index gives the index back', async (context) => {
  const [one, two] = [await openBench(context), await openBench(context)];
  const layout = new LayoutBuilder();
  const index = layout.index([{ ...layout.image(await buildImage()), platform: { os: 'linux', architecture: 'amd64' } }]);
  await one.load(await layout.tar([named(index, 'docker.io/library/m:1')]));
  const saved = await one.save('m');
  await two.load(saved);
  assert.ok(two.blobs.has(index.digest));
  assert.ok((await two.save('m:1')).equals(saved));
});

test('save: by id it has no tags, and loading it again names only the id', async (context) => {
  const [one, two] = [await openBench(context), await openBench(context)];
  const image = await buildImage();
  await one.load(await dockerArchive([{ image, tags: ['t:1'] }]));
  const id = digestOf(image.config);
  assert.deepEqual(await two.load(await one.save(id)), [`Loaded image ID: ${id}\n`]);
  await assert.rejects(one.save('absent'), { code: 'not-found', message: 'No such image: absent:latest' });
});

test('load: a tag moves to the new image, the old one stays without name', async (context) => {
  const bench = await openBench(context);
  const [old, fresh] = [await buildImage({ files: ['old'] }), await buildImage({ files: ['new'] })];
  await bench.load(await dockerArchive([{ image: old, tags: ['t:1'] }]));
  const said = await bench.load(await dockerArchive([{ image: fresh, tags: ['t:1'] }]));
  assert.match(said[0] ?? '', /The image t:1 already exists, renaming the old one with ID sha256:[0-9a-f]{64} to empty string/);
  assert.deepEqual(bench.catalogue.resolve(digestOf(old.config)).repoTags, []);
  assert.equal(bench.catalogue.resolve('t:1').id, digestOf(fresh.config));
});

test('load: the same image differently compressed is one image with two targets; the second goes with its tag', async (context) => {
  const bench = await openBench(context);
  const [plain, packed] = [await buildImage(), await buildImage({ packing: 'gzip' })];
  await bench.load(await dockerArchive([{ image: plain, tags: ['t:plain'] }]));
  const before = bench.kept();
  await bench.load(await dockerArchive([{ image: packed, tags: ['t:packed'] }]));
  assert.equal(bench.catalogue.list().length, 1);
  const two = new Set([await bench.save('t:plain'), await bench.save('t:packed')].map((tar) => digestOf(tar)));
  assert.equal(two.size, 2);
  const reopened = await bench.reopen();
  assert.equal(reopened.catalogue.list()[0]?.repoTags.length, 2);
  await reopened.catalogue.remove('t:packed', { force: false, noPrune: false });
  assert.deepEqual(
    reopened.kept().filter((name) => !name.startsWith('d-')),
    before.filter((name) => !name.startsWith('d-')),
  );
});

test('load: images survive a restart', async (context) => {
  const bench = await openBench(context);
  await bench.load(await dockerArchive([{ image: await buildImage({ run: { Labels: { a: 'b' } } }), tags: ['t:1'] }]));
  const before = bench.catalogue.list();
  const { catalogue } = await bench.reopen();
  assert.deepEqual(catalogue.list(), before);
});

test('SEC-23 load: a flipped byte in manifest, config or layer, or a wrong length: nothing is committed', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage({ packing: 'gzip' });
  const layout = new LayoutBuilder();
  const manifest = layout.image(image);
  for (const [digest, bytes] of layout.blobs) {
    const damaged = Buffer.from(bytes);
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
    for (const replacement of [damaged, bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])]) {
      const broken = new LayoutBuilder();
      for (const [other, kept] of layout.blobs) broken.blobs.set(other, other === digest ? replacement : kept);
      await assert.rejects(bench.load(await broken.tar([named(manifest, 'x:1')])), { code: 'invalid' });
      assert.deepEqual(bench.kept(), []);
    }
  }
});

test('SEC-23 load: a layer that has another diffID than the config says: nothing is committed', async (context) => {
  const bench = await openBench(context);
  const [image, other] = [await buildImage({ files: ['a'] }), await buildImage({ files: ['b'] })];
  const mixed = { config: image.config, layers: other.layers };
  await assert.rejects(bench.load(await dockerArchive([{ image: mixed, tags: ['x:1'] }])), /diffID/);
  await assert.rejects(
    bench.load(await dockerArchive([{ image: { ...image, layers: [] }, tags: ['x:1'] }])),
    /layers length mismatch: expected 1, got 0/,
  );
  assert.deepEqual(bench.kept(), []);
  assert.deepEqual(bench.catalogue.list(), []);
});

test('SEC-24 load: manifests and layers in one document, another media type in the body, keys twice or in other case: refused', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage();
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ manifests: [] }, /both manifests and layers/],
    [{ mediaType: 'application/vnd.oci.image.index.v1+json' }, /was announced as/],
    [{ Layers: [] }, /differs from "layers" only by case/],
    [{ schemaVersion: 1 }, /schema 1, which is not supported/],
  ];
  for (const [change, message] of cases) {
    const layout = new LayoutBuilder();
    await assert.rejects(bench.load(await layout.tar([named(layout.image(image, undefined, change), 'x:1')])), message);
  }
  const layout = new LayoutBuilder();
  layout.image(image);
  const text = '{"schemaVersion":2,"config":{},"config":{},"layers":[]}';
  const twice = layout.add(Buffer.from(text), 'application/vnd.oci.image.manifest.v1+json');
  await assert.rejects(bench.load(await layout.tar([named(twice, 'x:1')])), /"config" twice/);
  assert.deepEqual(bench.kept(), []);
});

test('load: a label named __proto__ and unknown fields survive the round trip', async (context) => {
  const [one, two] = [await openBench(context), await openBench(context)];
  const image = await buildImage({ run: { Labels: JSON.parse('{"__proto__":"here","constructor":"too"}') } });
  assert.match(image.config.toString(), /"__proto__":"here"/);
  await one.load(await dockerArchive([{ image, tags: ['t:1'] }]));
  await two.load(await one.save('t:1'));
  const { config, id } = two.catalogue.resolve('t:1');
  assert.deepEqual(Object.entries(config.config.Labels ?? {}), [
    ['__proto__', 'here'],
    ['constructor', 'too'],
  ]);
  assert.equal(id, digestOf(image.config));
  assert.match(JSON.stringify(config), /"__proto__":"here"/);
});

/** A GNU sparse file: no data, 1 TiB of hole. */
function sparse(): Buffer {
  const block = Buffer.alloc(512);
  const text = (value: string, at: number) => block.write(value, at, 'latin1');
  text('manifest.json', 0);
  text('0000644\0', 100);
  text('00000000000\0', 124);
  text('S', 156);
  text('ustar  \0', 257);
  // Base 256: 2^40.
  block.set([0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], 483);
  text('        ', 148);
  text(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return Buffer.concat([block, Buffer.alloc(1024)]);
}

test('load: input that is no image archive: says what is wrong, leaves nothing', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage();
  const good = await dockerArchive([{ image, tags: ['x:1'] }]);
  const manifest = (entries: unknown) => tarOf([file('c.json', image.config), file('manifest.json', JSON.stringify(entries))]);
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['nothing', Buffer.alloc(0), /not an image archive.*it is empty/],
    ['text', Buffer.from('hello, this is no tar at all\n'.repeat(40)), /cannot read the image archive/],
    [
      'a root file system',
      await tarOf([file('etc/passwd', 'x'), file('bin/sh', 'x')]),
      /neither manifest.json nor index.json.*etc\/passwd.*import/,
    ],
    ['truncated', good.subarray(0, good.length >> 1), /cannot read the image archive/],
    ['gzip, truncated', pack(good, 'gzip').subarray(0, 300), /cannot read the image archive/],
    ['before 1.10', await tarOf([file('repositories', '{}'), file('a/layer.tar', '')]), /before 1\.10/],
    ['manifest.json no list', await manifest({}), /not a list/],
    ['manifest.json no JSON', await tarOf([file('manifest.json', '{')]), /not valid JSON/],
    ['config missing', await manifest([{ Config: 'gone.json', Layers: [] }]), /no file "gone.json"/],
    ['layer missing', await manifest([{ Config: 'c.json', Layers: ['gone'] }]), /no file "gone"/],
    ['no Config', await manifest([{ Layers: [] }]), /has no Config/],
    ['bad tag', await manifest([{ Config: 'c.json', RepoTags: ['A:1'], Layers: [] }]), /invalid tag "A:1".*must be lowercase/],
    ['path out of it', await tarOf([file('../manifest.json', '[]')]), /leads out of it/],
    ['config path out of it', await manifest([{ Config: '../../etc/passwd', Layers: [] }]), /leads out of it/],
    ['link circle', await tarOf([{ entry: { type: 'symbolic-link', path: 'manifest.json', linkTarget: './manifest.json' } }]), /circle/],
    ['sparse', sparse(), /sparse file/],
    ['device', await tarOf([{ entry: { type: 'character-device', path: 'null' } }]), /not an image archive/],
  ];
  for (const [what, tar, message] of cases) {
    await assert.rejects(bench.load(tar), (thrown: EngineError) => {
      assert.ok(thrown instanceof EngineError, `${what}: ${thrown}`);
      assert.equal(thrown.code, 'invalid', what);
      assert.match(thrown.message, message, what);
      return true;
    });
    assert.deepEqual(bench.kept(), [], what);
  }
});

test('SEC-06 load: a config of 200 MB is refused with flat memory', async (context) => {
  const bench = await openBench(context);
  const block = Buffer.alloc(1 << 20, 0x20);
  const sizeBytes = 200 * block.length;
  async function* tar() {
    const { writeTar } = await import('../archive/tar-writer.ts');
    function* zeros() {
      for (let left = sizeBytes; left > 0; left -= block.length) yield block;
    }
    yield* writeTar([
      { entry: { type: 'file', path: 'c.json', sizeBytes }, content: zeros() },
      file('manifest.json', JSON.stringify([{ Config: 'c.json', Layers: [] }])),
    ]);
  }
  const before = process.memoryUsage.rss();
  await assert.rejects(
    bench.catalogue.load(Readable.from(tar()), () => {}),
    /c\.json in the image archive has 209715200 bytes/,
  );
  assert.ok(process.memoryUsage.rss() - before < 256 * 1024 * 1024);
  assert.deepEqual(bench.kept(), []);
});

test('load: a client that goes away in the middle leaves nothing', async (context) => {
  const bench = await openBench(context);
  const tar = await dockerArchive([{ image: await buildImage(), tags: ['x:1'] }]);
  const abort = new AbortController();
  async function* slow() {
    for (let at = 0; at < tar.length; at += 512) {
      if (at > tar.length / 2) abort.abort();
      yield tar.subarray(at, at + 512);
    }
  }
  await assert.rejects(
    bench.catalogue.load(Readable.from(slow()), () => {}, abort.signal),
    { name: 'AbortError' },
  );
  assert.deepEqual(bench.kept(), []);
  const broken = new Readable({ read() {} });
  const loading = bench.catalogue.load(broken, () => {});
  broken.push(tar.subarray(0, 2048));
  setImmediate(() => broken.destroy(new Error('connection lost')));
  await assert.rejects(loading, /connection lost/);
  assert.deepEqual(bench.kept(), []);
});

test('load: several images: those before the broken one stay, what it brought goes', async (context) => {
  const bench = await openBench(context);
  const [good, bad] = [await buildImage({ files: ['good'] }), await buildImage({ files: ['bad'] })];
  const mixed = { config: bad.config, layers: [(await buildImage({ files: ['other'] })).layers[0] ?? Buffer.alloc(0)] };
  await assert.rejects(
    bench.load(
      await dockerArchive([
        { image: good, tags: ['good:1'] },
        { image: mixed, tags: ['bad:1'] },
      ]),
    ),
  );
  assert.deepEqual(
    bench.catalogue.list().map(({ repoTags }) => repoTags),
    [['good:1']],
  );
  const alone = await openBench(context);
  await alone.load(await dockerArchive([{ image: good, tags: ['good:1'] }]));
  assert.deepEqual(bench.kept(), alone.kept());
});

test('sweep: loads and removals at the same time lose nothing and leave nothing', async (context) => {
  const bench = await openBench(context);
  const images = await Promise.all(
    Array.from({ length: 8 }, (_, number) => buildImage({ files: ['shared', `own-${number % 4}`], run: { User: String(number) } })),
  );
  const rounds = images.map(async (image, number) => {
    const tar = await dockerArchive([{ image, tags: [`t:${number}`] }]);
    for (let round = 0; round < 5; round++) {
      await bench.load(tar);
      const saved = await bench.save(`t:${number}`);
      assert.ok(saved.includes(digestHex(digestOf(image.config))));
      if (round < 4 || number % 2) await bench.catalogue.remove(`t:${number}`, { force: false, noPrune: false });
    }
  });
  await Promise.all(rounds);
  assert.equal(bench.catalogue.list().length, 4);
  const again = await openBench(context);
  for (const [number, image] of images.entries())
    if (number % 2 === 0) await again.load(await dockerArchive([{ image, tags: [`t:${number}`] }]));
  await bench.store.sweeper.sweep();
  assert.deepEqual(bench.kept(), again.kept());
});
