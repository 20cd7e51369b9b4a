import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { digestOf, shortId } from '../oci/digest.ts';
import type { ImportOptions } from './catalogue.ts';
import { buildImage, dockerArchive, file, type Packing, pack, tarOf } from './fixtures/archives.ts';
import { type CatalogueBench, openBench } from './fixtures/catalogue-bench.ts';

const plainImport: ImportOptions = { reference: null, message: '', changes: [], platform: null };

async function importTar(bench: CatalogueBench, tar: Buffer, options: Partial<ImportOptions> = {}) {
  const id = await bench.catalogue.importTar(Readable.from([tar]), { ...plainImport, ...options }, () => {});
  return { id, image: bench.catalogue.resolve(id) };
}

test('resolve: by tag, default tag, full id, short id, with and without sha256:', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage();
  await bench.load(await dockerArchive([{ image, tags: ['busybox:latest', 'localhost/x:1'] }]));
  const id = digestOf(image.config);
  for (const name of [
    'busybox',
    'busybox:latest',
    'docker.io/library/busybox',
    'index.docker.io/busybox',
    'localhost/x:1',
    id,
    id.slice(7),
    shortId(id),
    id.slice(0, 12),
  ]) {
    assert.equal(bench.catalogue.resolve(name).id, id, name);
  }
  const failures: readonly (readonly [string, string, string])[] = [
    ['absent', 'not-found', 'No such image: absent:latest'],
    ['example.com/absent:1', 'not-found', 'No such image: example.com/absent:1'],
    [`sha256:${'0'.repeat(64)}`, 'not-found', `No such image: sha256:${'0'.repeat(64)}`],
    ['0'.repeat(64), 'not-found', `No such image: sha256:${'0'.repeat(64)}`],
    ['Busybox', 'invalid', 'invalid reference format: repository name (library/Busybox) must be lowercase'],
    ['a b', 'invalid', 'invalid reference format'],
  ];
  for (const [name, code, message] of failures) {
    assert.throws(() => bench.catalogue.resolve(name), { code, message });
    assert.equal(bench.catalogue.find(name), null);
  }
});

test('tag: by name and id; moves; refuses digests and bad names', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage();
  await bench.load(await dockerArchive([{ image, tags: ['a:1'] }]));
  await bench.catalogue.tag('a:1', 'docker.io/library/b');
  await bench.catalogue.tag(shortId(digestOf(image.config)), 'host:5000/c/d:x');
  await bench.catalogue.tag('b', 'b:latest');
  assert.deepEqual(bench.catalogue.resolve('a:1').repoTags, ['a:1', 'b:latest', 'host:5000/c/d:x']);
  assert.ok(bench.catalogue.resolve('a:1').lastTagTime);
  assert.deepEqual(
    bench.events.filter(({ action }) => action === 'tag').map(({ attributes }) => attributes.name),
    ['b:latest', 'host:5000/c/d:x', 'b:latest'],
  );
  await assert.rejects(bench.catalogue.tag('a:1', `b@${digestOf('')}`), /refusing to create a tag with a digest reference/);
  await assert.rejects(bench.catalogue.tag('a:1', 'B'), /must be lowercase/);
  await assert.rejects(bench.catalogue.tag('absent', 'b:2'), { message: 'No such image: absent:latest' });
});

test('history: sizes go to the steps that made layers', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage({ files: ['one', 'three'] });
  await bench.load(await dockerArchive([{ image, tags: ['a:1'] }]));
  const history = bench.catalogue.history('a:1');
  assert.deepEqual(
    history.map(({ id, createdBy, sizeBytes, tags }) => [id, createdBy, sizeBytes, tags]),
    [
      [digestOf(image.config), 'CMD ["sh"]', 0, ['a:1']],
      ['<missing>', 'COPY three /', 'content of three\n'.length, []],
      ['<missing>', 'COPY one /', 'content of one\n'.length, []],
    ],
  );
  assert.equal(history[0]?.createdAt.toISOString(), '2024-05-06T07:08:10.000Z');
});

for (const packing of ['none', 'gzip', 'zstd'] as const satisfies readonly Packing[]) {
  test(`importTar: a root file system packed with ${packing} stays as it came`, async (context) => {
    const bench = await openBench(context);
    const tar = await tarOf([file('hello', 'x'.repeat(300_000))]);
    const packed = pack(tar, packing);
    const { image } = await importTar(bench, packed, {
      reference: 'imp:1',
      message: 'by hand',
      changes: ['CMD ["/hello"]', 'ENV A=1 B=$A', 'LABEL x="y z"'],
      platform: 'linux/arm64',
    });
    assert.deepEqual(image.diffIds, [digestOf(tar)]);
    assert.ok(bench.blobs.has(digestOf(packed)));
    assert.deepEqual(image.repoTags, ['imp:1']);
    assert.equal(image.config.architecture, 'arm64');
    assert.deepEqual(image.config.config.Cmd, ['/hello']);
    assert.deepEqual(image.config.config.Env, ['A=1', 'B=']);
    assert.deepEqual(
      image.config.history.map(({ comment }) => comment),
      ['by hand'],
    );
    assert.deepEqual(
      bench.events.map(({ action }) => action),
      ['tag', 'import'],
    );
  });
}

test('importTar: wrong input is refused before and after the bytes, and leaves nothing', async (context) => {
  const bench = await openBench(context);
  const tar = await tarOf([file('hello', 'x')]);
  const gz = pack(tar, 'gzip');
  const cases: readonly (readonly [Buffer, Partial<ImportOptions>, RegExp])[] = [
    [tar, { changes: ['RUN true'] }, /run is not a valid change command/],
    [tar, { platform: 'windows/amd64' }, /operating system "windows" is not supported/],
    [tar, { reference: 'UPPER' }, /must be lowercase/],
    [tar, { reference: `x@${digestOf('')}` }, /cannot import digest reference/],
    [Buffer.alloc(0), {}, /cannot import an empty archive/],
    [gz.subarray(0, 40), {}, /gzip stream is damaged/],
    [Buffer.from('425a68393141592653590000', 'hex'), {}, /compressed with bzip2, which is not supported/],
    [Buffer.from('no tar'), {}, /./],
  ];
  for (const [bytes, options, message] of cases) {
    await assert.rejects(importTar(bench, bytes, options), message);
    assert.deepEqual(bench.kept(), []);
  }
});

test('importTar: a layer store that fails leaves nothing', async (context) => {
  const bench = await openBench(context);
  bench.layers.failAfter = 0;
  await assert.rejects(importTar(bench, await tarOf([file('a', 'b')])), /told to fail/);
  assert.deepEqual(bench.kept(), []);
});

test('Sweeper.addOwner: what another owner of the blobs holds is neither swept nor called unneeded', async (context) => {
  const bench = await openBench(context);
  const { digest } = await bench.blobs.write([Buffer.from('a registry has it')], { lease: bench.store.leases.acquire() });
  const second = await bench.reopen({ owner: { name: 'the registry', holds: (asked) => asked === digest } });
  assert.equal(second.blobs.has(digest), true);
  assert.equal(second.store.sweeper.ownerOf(digest), 'the registry');
  const third = await second.reopen();
  assert.equal(third.blobs.has(digest), false);
});

test('createImageCatalogue: what a killed daemon left is swept at start; an unreadable image is left out and repaired by loading it again', async (context) => {
  const bench = await openBench(context);
  const image = await buildImage();
  const tar = await dockerArchive([{ image, tags: ['a:1'] }]);
  await bench.load(tar);
  const before = bench.kept().filter((name) => !name.startsWith('d-'));
  const lease = bench.store.leases.acquire();
  await bench.blobs.write([Buffer.from('half a pull')], { lease });
  const second = await bench.reopen();
  assert.deepEqual(second.kept(), before);
  const { unlink } = await import('node:fs/promises');
  await unlink(second.blobs.path(digestOf(image.config)));
  const third = await second.reopen();
  assert.deepEqual(third.catalogue.list(), []);
  await third.load(tar);
  assert.deepEqual(third.catalogue.resolve('a:1').repoTags, ['a:1']);
  assert.deepEqual((await third.reopen()).kept(), before);
});
