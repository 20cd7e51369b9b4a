import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readTar } from '../../archive/tar-stream.ts';
import { writeTar } from '../../archive/tar-writer.ts';
import type { DiffId, Digest } from '../../base/brand.ts';
import { file, tarOf } from '../../images/fixtures/archives.ts';
import { type CatalogueBench, openBench } from '../../images/fixtures/catalogue-bench.ts';
import { pushImage } from '../../images/push.ts';
import { FakeRegistry } from '../../images/testing/fake-registry.ts';
import { TransferSlots } from '../../images/transfer-slots.ts';
import { digestHex, digestOf } from '../../oci/digest.ts';
import type { ImageConfig } from '../../oci/image-config.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { BuildClient } from '../build-client.ts';
import type { LayerCompression, OutputRequest } from '../build-request.ts';
import type { LayerWork } from '../files/layer-work.ts';
import type { Tree } from '../result.ts';
import { createOutputs } from './create-outputs.ts';
import type { BuiltImage, ExportStep, Outputs } from './outputs.ts';

const amd64: Platform = { os: 'linux', architecture: 'amd64' };
const arm64: Platform = { os: 'linux', architecture: 'arm64' };
const asTheyAre: LayerCompression = { kind: null, level: null, force: false };
const name = 'registry.test/team/app:1';

function output(given: Partial<OutputRequest> = {}): OutputRequest {
  return {
    type: 'image',
    names: [name],
    push: false,
    compression: asTheyAre,
    annotations: new Map(),
    clientOutput: 0,
    unpacked: false,
    platformSplit: null,
    ...given,
  };
}

interface Bench extends CatalogueBench {
  readonly registry: FakeRegistry;
  readonly steps: ExportStep[];
  /** What the client got, by output. */
  readonly received: Map<number | string, Promise<Buffer>>;
  export(images: readonly BuiltImage[], ...outputs: readonly OutputRequest[]): ReturnType<Outputs['export']>;
  /** One layer for each file; `base`: how the blob of the first one is stored. */
  built(files: readonly string[], given?: Partial<BuiltImage> & { readonly base?: 'docker-gzip' }): Promise<BuiltImage>;
  manifest(
    digest: Digest | null,
  ): Promise<Record<string, never> & { layers: Descriptor[]; manifests: Descriptor[]; config: Descriptor; annotations?: object }>;
}

async function open(context: TestContext): Promise<Bench> {
  const bench = await openBench(context);
  const { store, blobs } = bench;
  const registry = new FakeRegistry();
  const steps: ExportStep[] = [];
  const received = new Map<number | string, Promise<Buffer>>();
  const exportTree: LayerWork['exportTree'] = async ({ identity }, epoch, prefix) => {
    const modifiedAt = { seconds: epoch, nanoseconds: 0 };
    const folder = prefix === '' ? [] : [{ entry: { type: 'directory', path: prefix, modifiedAt } } as const];
    const content = {
      entry: { type: 'file', path: prefix === '' ? 'f' : `${prefix}/f`, modifiedAt },
      content: Buffer.from(identity),
    } as const;
    return Readable.from(writeTar([...folder, content]));
  };
  const slots = new TransferSlots(5);
  const outputs = createOutputs({
    store,
    exportTree,
    host: amd64,
    transfers: {
      push: (request, report, stop) => pushImage({ store, client: registry.client(), slots, ownRegistry: null }, request, report, stop),
    },
  });
  const client = {
    credentials: async () => null,
    async output(id: number | string) {
      const stream = new PassThrough();
      received.set(id, buffer(stream));
      return stream;
    },
  } as unknown as BuildClient;
  const building = store.leases.acquire();
  const put = async (bytes: Buffer) => (await blobs.write([bytes], { lease: building })).digest;
  return {
    ...bench,
    registry,
    steps,
    received,
    async export(images, ...wanted) {
      return await outputs.export(
        { outputs: wanted, images, client, lease: building, report: (step) => steps.push(step) },
        new AbortController().signal,
      );
    },
    async built(files, { base, platform = amd64, ...given } = {}) {
      const layers: Descriptor[] = [];
      const diffIds: DiffId[] = [];
      for (const [index, path] of files.entries()) {
        const plain = await tarOf([file(path, `content of ${path}\n`)]);
        const bytes = base !== undefined && index === 0 ? gzipSync(plain) : plain;
        const mediaType = bytes === plain ? mediaTypes.ociLayer : mediaTypes.dockerLayerGzip;
        layers.push({ mediaType, digest: await put(bytes), size: bytes.length });
        diffIds.push(digestOf(plain) as string as DiffId);
      }
      const config: ImageConfig = {
        created: '1970-01-01T00:00:00Z',
        ...platform,
        config: {},
        rootfs: { type: 'layers', diff_ids: diffIds },
        history: [],
      };
      const tree: Tree = {
        kind: 'tree',
        layers: diffIds.map((diffId) => ({ diffId, directory: `d-${digestHex(diffId)}`, sizeBytes: 1 })),
        identity: files.join('+'),
      };
      return { platform, config, tree, layers, epoch: 7, attestations: [], ...given };
    },
    async manifest(digest) {
      assert.ok(digest);
      return JSON.parse((await blobs.readSmall(digest, 1 << 20)).toString());
    },
  };
}

async function filesOf(tar: Buffer | undefined): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const { entry, content } of readTar([tar ?? Buffer.alloc(0)])) {
    const parts: Uint8Array[] = [];
    for await (const part of content) parts.push(Buffer.from(part));
    assert.equal(files.has(entry.path), false, entry.path);
    files.set(entry.path, Buffer.concat(parts));
  }
  return files;
}

test('image: the id is the digest of the config; twice the same is the same; names and events', async (context) => {
  const bench = await open(context);
  const image = await bench.built(['a', 'b']);
  const first = await bench.export([image], output({ names: [name, 'docker.io/library/app:latest'] }));
  assert.equal(first.imageId, digestOf(JSON.stringify(image.config)));
  assert.equal(first.configDigest, first.imageId);
  assert.deepEqual(first, await bench.export([image], output({ names: [name, 'docker.io/library/app:latest'] })));
  assert.deepEqual(bench.catalogue.resolve('app').repoTags, ['app:latest', name]);
  assert.deepEqual(
    bench.events.map(({ action, attributes }) => `${action} ${attributes.name}`),
    [`create ${first.imageId}`, ...[1, 2].flatMap(() => [`tag ${name}`, 'tag app:latest'])],
  );
  const manifest = await bench.manifest(first.digest);
  assert.deepEqual(manifest.layers, image.layers);
  assert.equal(manifest.config.digest, first.configDigest);
  assert.ok(bench.steps.some(({ id, done }) => id === `naming to ${name}` && done));
});

test('image: without a name it is there by its id; a name that moves leaves the old image', async (context) => {
  const bench = await open(context);
  const [one, two] = [await bench.built(['a']), await bench.built(['b'])];
  const first = await bench.export([one], output());
  assert.deepEqual((await bench.export([two], output({ names: [] }))).names, []);
  const second = await bench.export([two], output());
  assert.equal(bench.catalogue.resolve(name).id, second.imageId);
  assert.deepEqual(bench.catalogue.resolve(first.imageId ?? '').repoTags, []);
});

test('image: an image without layers', async (context) => {
  const bench = await open(context);
  const { imageId } = await bench.export([await bench.built([])], output());
  assert.equal(bench.catalogue.resolve(name).id, imageId);
});

test('image: layers of a base with Docker types keep their bytes and get the names of the family of the manifest', async (context) => {
  const bench = await open(context);
  const image = await bench.built(['base', 'own'], { base: 'docker-gzip' });
  const { digest, imageId } = await bench.export([image], output());
  const { layers } = await bench.manifest(digest);
  assert.deepEqual(layers, [{ ...image.layers[0], mediaType: mediaTypes.ociLayerGzip }, image.layers[1]]);
  assert.equal(imageId, digestOf(JSON.stringify(image.config)));
});

for (const [kind, mediaType] of [
  ['gzip', mediaTypes.ociLayerGzip],
  ['zstd', mediaTypes.ociLayerZstd],
  ['uncompressed', mediaTypes.ociLayer],
] as const) {
  test(`compression=${kind}: of new layers, of all with force; the id stays, the bytes are the same each time`, async (context) => {
    const [bench, other] = [await open(context), await open(context)];
    const plain = await bench.built(['base', 'own'], { base: 'docker-gzip' });
    const level = kind === 'uncompressed' ? null : 2;
    const some = await bench.export([plain], output({ compression: { kind, level, force: false } }));
    assert.deepEqual(
      (await bench.manifest(some.digest)).layers.map((layer) => layer.mediaType),
      [mediaTypes.ociLayerGzip, mediaType],
    );
    const forced = output({ names: [], compression: { kind, level, force: true } });
    const all = await bench.export([plain], forced);
    assert.deepEqual(new Set((await bench.manifest(all.digest)).layers.map((layer) => layer.mediaType)), new Set([mediaType]));
    assert.equal(all.imageId, some.imageId);
    assert.deepEqual(all, await other.export([await other.built(['base', 'own'], { base: 'docker-gzip' })], forced));
    // Verified when it was admitted: by whoever loads the archive too.
    await bench.catalogue.remove(some.imageId ?? '', { force: true, noPrune: false });
    await bench.load(await other.save(all.imageId ?? ''));
  });
}

test('several platforms: one index; the image of this machine has the name; all of it can be pushed', async (context) => {
  const bench = await open(context);
  const images = [await bench.built(['arm'], { platform: arm64 }), await bench.built(['amd'])];
  const outcome = await bench.export(images, output({ push: true }));
  assert.equal(outcome.configDigest, null);
  assert.equal(outcome.mediaType, mediaTypes.ociIndex);
  assert.equal(outcome.imageId, digestOf(JSON.stringify(images[1]?.config)));
  assert.equal(bench.catalogue.resolve(name).id, outcome.imageId);
  const { manifests } = await bench.manifest(outcome.digest);
  assert.deepEqual(
    manifests.map(({ platform }) => platform?.architecture),
    ['arm64', 'amd64'],
  );
  assert.equal(digestOf(bench.registry.manifests.get('team/app:1')?.bytes ?? ''), outcome.digest);
  for (const { digest } of manifests) {
    const { config, layers } = await bench.manifest(digest);
    assert.deepEqual(
      layers.map(({ mediaType }) => mediaType),
      [mediaTypes.ociLayerGzip],
    );
    for (const blob of [config, ...layers]) assert.ok(bench.registry.blobs.has(blob.digest));
  }
  assert.ok(bench.steps.some(({ id, done, current, total }) => id === 'pushing layers' && done && current === total));
  assert.ok(bench.steps.some(({ id, done }) => id === `pushing manifest for ${name}@${outcome.digest}` && done));
});

test('annotations: of manifest, index and their descriptors, of one platform too', async (context) => {
  const bench = await open(context);
  const images = [await bench.built(['arm'], { platform: arm64 }), await bench.built(['amd'])];
  const annotations = new Map([
    ['annotation.b', 'all'],
    ['annotation-manifest.a', 'all'],
    ['annotation[linux/arm64].b', 'arm'],
    ['annotation-index.i', 'index'],
    ['annotation-manifest-descriptor[linux/amd64/v1].d', 'amd'],
    ['annotation-index-descriptor.x', 'top'],
  ]);
  const { digest } = await bench.export(images, output({ annotations }), output({ type: 'oci', annotations }));
  const index = await bench.manifest(digest);
  assert.deepEqual(index.annotations, { i: 'index' });
  assert.deepEqual(
    index.manifests.map((entry) => entry.annotations),
    [undefined, { d: 'amd' }],
  );
  const own = await Promise.all(index.manifests.map(async (entry) => (await bench.manifest(entry.digest)).annotations));
  assert.deepEqual(own, [
    { a: 'all', b: 'arm' },
    { a: 'all', b: 'all' },
  ]);
  const layout = JSON.parse((await filesOf(await bench.received.get(0))).get('index.json')?.toString() ?? '');
  assert.equal(layout.manifests[0].annotations.x, 'top');
  await assert.rejects(bench.export(images.slice(1), output({ annotations })), /not supported for single platform/);
  await assert.rejects(bench.export(images, output({ annotations: new Map([['colour', 'x']]) })), /invalid annotation "colour"/);
});

test('attestations: a manifest beside the image that pullers pass over, with statements about it', async (context) => {
  const bench = await open(context);
  const attestations = [{ predicateType: 'https://slsa.dev/provenance/v1', statement: { predicate: { who: 'gantry' } } }];
  const { digest, imageId } = await bench.export([await bench.built(['a'], { attestations })], output(), output({ type: 'oci' }));
  const { manifests } = await bench.manifest(digest);
  const [image, beside] = manifests;
  assert.deepEqual(beside?.platform, { architecture: 'unknown', os: 'unknown' });
  assert.deepEqual(beside?.annotations, {
    'vnd.docker.reference.digest': image?.digest,
    'vnd.docker.reference.type': 'attestation-manifest',
  });
  const { layers } = await bench.manifest(beside?.digest ?? null);
  const statement = (await bench.manifest(layers[0]?.digest ?? null)) as unknown;
  assert.deepEqual(statement, {
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: 'https://slsa.dev/provenance/v1',
    subject: [
      { name: 'pkg:docker/registry.test/team/app@1?platform=linux%2Famd64', digest: { sha256: digestHex(image?.digest as Digest) } },
    ],
    predicate: { who: 'gantry' },
  });
  await bench.catalogue.remove(imageId ?? '', { force: true, noPrune: false });
  assert.deepEqual(await bench.load((await bench.received.get(0)) ?? Buffer.alloc(0)), [`Loaded image: ${name}\n`]);
  assert.equal(bench.catalogue.resolve(name).id, imageId);
});

for (const type of ['oci', 'docker'] as const) {
  test(`type=${type}: the archive can be loaded, is the same each time, and leaves nothing in the store`, async (context) => {
    const [bench, other] = [await open(context), await open(context)];
    const image = await bench.built(['a', 'b']);
    const before = bench.kept();
    const outcome = await bench.export([image], output({ type }));
    assert.deepEqual(bench.kept(), before);
    assert.equal(outcome.imageId, null);
    const archive = (await bench.received.get(0)) ?? Buffer.alloc(0);
    await other.export([await other.built(['a', 'b'])], output({ type }));
    assert.deepEqual(await other.received.get(0), archive);
    assert.deepEqual(
      [...(await filesOf(archive)).keys()].filter((path) => !path.startsWith('blobs')),
      type === 'oci' ? ['index.json', 'oci-layout'] : ['index.json', 'manifest.json', 'oci-layout', 'repositories'],
    );
    await other.load(archive);
    assert.equal(other.catalogue.resolve(name).id, outcome.configDigest);
  });
}

test('type=docker is one platform', async (context) => {
  const bench = await open(context);
  const images = [await bench.built(['arm'], { platform: arm64 }), await bench.built(['amd'])];
  await assert.rejects(bench.export(images, output({ type: 'docker' })), /manifest lists: use type=oci/);
  assert.equal(bench.received.size, 0);
});

test('type=tar, local: files at the root, or a folder for each platform; attestations beside', async (context) => {
  const bench = await open(context);
  const attestations = [
    { predicateType: 'https://slsa.dev/provenance/v1', statement: {} },
    { predicateType: 'https://spdx.dev/Document', statement: {} },
  ];
  const images = [await bench.built(['arm'], { platform: { ...arm64, variant: 'v9' }, attestations }), await bench.built(['amd'])];
  const outputs = [output({ type: 'local', clientOutput: 0 }), output({ type: 'tar', clientOutput: 1, platformSplit: false })];
  await bench.export(images, ...outputs);
  assert.deepEqual(
    [...(await filesOf(await bench.received.get(0))).keys()],
    [
      'linux_arm64_v9',
      'linux_arm64_v9/f',
      'linux_arm64_v9/provenance.json',
      'linux_arm64_v9/sbom.spdx.json',
      'linux_amd64',
      'linux_amd64/f',
    ],
  );
  await bench.export(
    images.slice(1),
    output({ type: 'tar', clientOutput: 2 }),
    output({ type: 'tar', clientOutput: 3, platformSplit: true }),
  );
  assert.deepEqual([...(await filesOf(await bench.received.get(2)))], [['f', Buffer.from('amd')]]);
  assert.deepEqual([...(await filesOf(await bench.received.get(3))).keys()], ['linux_amd64', 'linux_amd64/f']);
  assert.deepEqual(bench.catalogue.list(), []);
});

test('what fails leaves no image: layers that cannot be stored, a client that went away', async (context) => {
  const bench = await open(context);
  const image = await bench.built(['a', 'b']);
  const before = bench.kept();
  bench.layers.failAfter = 1;
  const compression = { kind: 'gzip', level: null, force: false } as const;
  await assert.rejects(bench.export([image], output({ compression })), /told to fail/);
  assert.deepEqual(bench.catalogue.list(), []);
  assert.deepEqual(
    bench.kept().filter((name) => !name.startsWith('d-')),
    before,
  );
  bench.layers.failAfter = Number.POSITIVE_INFINITY;
  const gone = createOutputs({
    store: bench.store,
    host: amd64,
    exportTree: async () => Readable.from([]),
    transfers: { push: async () => {} },
  });
  const client = { output: async () => Promise.reject(new Error('the client went away')) } as unknown as BuildClient;
  const request = { outputs: [output({ type: 'oci' })], images: [image], client, lease: bench.store.leases.acquire(), report() {} };
  await assert.rejects(gone.export(request, new AbortController().signal), /went away/);
  assert.deepEqual(
    bench.kept().filter((name) => !name.startsWith('d-')),
    before,
  );
});

test('a push that fails says which, and the image stays whole', async (context) => {
  const bench = await open(context);
  const image = await bench.built(['a']);
  bench.registry.blobs.get = () => undefined;
  bench.registry.blobs.has = () => {
    throw new Error('the registry is on fire');
  };
  await assert.rejects(bench.export([image], output({ push: true })), /failed to push registry.test\/team\/app:1: the registry is on fire/);
  assert.equal(bench.catalogue.resolve(name).layers.length, 1);
  await assert.rejects(bench.export([image], output({ push: true, names: [] })), /tag is needed/);
});
