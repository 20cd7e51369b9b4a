import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../base/brand.ts';
import { downloadBlob } from '../distribution/download-blob.ts';
import { digestHex, digestOf } from '../oci/digest.ts';
import { BlobFetches, type DownloadBlob } from './blob-fetches.ts';
import type { ImageProgress } from './catalogue.ts';
import { type BuiltImage, buildImage, file, LayoutBuilder, pack, tarOf } from './fixtures/archives.ts';
import { type CatalogueBench, openBench } from './fixtures/catalogue-bench.ts';
import { type PullRequest, pullImage } from './pull.ts';
import { brokenConnection, FakeRegistry, unauthorized } from './testing/fake-registry.ts';
import { TransferSlots } from './transfer-slots.ts';

const host = { os: 'linux', architecture: 'amd64' };
const name = 'registry.test/team/app:1';

/** Without waiting between attempts. */
const download: DownloadBlob = (repository, blob, sink, options) =>
  downloadBlob(repository, blob, sink, { ...options, backoff: { firstMs: 1, capMs: 1 } });

interface PullBench extends CatalogueBench {
  readonly registry: FakeRegistry;
  pull(request?: Partial<PullRequest>, signal?: AbortSignal): Promise<readonly string[]>;
  partials(): readonly (readonly [name: string, sizeBytes: number])[];
}

async function openPulls(context: TestContext, registry = new FakeRegistry(), at?: string, limit = 3): Promise<PullBench> {
  const bench = await openBench(context, at);
  const fetches = new BlobFetches(bench.blobs, download, new TransferSlots(limit));
  const parts = { store: bench.store, client: registry.client(), download, fetches, host };
  return {
    ...bench,
    kept: bench.kept,
    registry,
    async pull(request = {}, signal = new AbortController().signal) {
      const said: ImageProgress[] = [];
      await pullImage(parts, { reference: name, platform: null, credentials: null, ...request }, (progress) => said.push(progress), signal);
      return said.map(lineOf).filter((line) => line !== null);
    },
    partials() {
      const directory = join(bench.root, 'blobs/partial');
      return readdirSync(directory).map((entry) => [entry, statSync(join(directory, entry)).size] as const);
    },
  };
}

function lineOf(progress: ImageProgress): string | null {
  if (progress.kind === 'progress') return null;
  return progress.kind === 'step' ? `${progress.id}: ${progress.text}` : progress.kind === 'status' ? progress.text : '';
}

/** Random bytes do not compress, so a layer of this image is as large as it says. */
async function largeImage(sizes: readonly number[], packing: 'none' | 'gzip' | 'zstd' = 'gzip'): Promise<BuiltImage> {
  const plain = await Promise.all(sizes.map((size, index) => tarOf([file(`data-${index}`, randomBytes(size))])));
  const image = await buildImage();
  const config = { ...JSON.parse(image.config.toString()), rootfs: { type: 'layers', diff_ids: plain.map((layer) => digestOf(layer)) } };
  return { config: Buffer.from(JSON.stringify(config)), layers: plain.map((layer) => pack(layer, packing)) };
}

test('pull: gzip, zstd and plain layers; its lines; RepoDigests; the second time not a byte', async (context) => {
  const bench = await openPulls(context);
  for (const packing of ['gzip', 'zstd', 'none'] as const) {
    const image = await buildImage({ files: [`one-${packing}`, `two-${packing}`], packing });
    const target = bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
    const lines = await bench.pull();
    const ids = image.layers.map((layer) => digestHex(digestOf(layer)).slice(0, 12));
    assert.equal(lines[0], 'Pulling from team/app');
    for (const id of ids) {
      const own = lines.filter((line) => line.startsWith(id)).map((line) => line.slice(14));
      assert.deepEqual(own, ['Pulling fs layer', 'Verifying Checksum', 'Download complete', 'Pull complete']);
    }
    assert.deepEqual(lines.slice(-2), [`Digest: ${target.digest}`, `Status: Downloaded newer image for ${name}`]);
    const pulled = bench.catalogue.resolve(name);
    assert.equal(pulled.id, digestOf(image.config));
    assert.deepEqual(pulled.repoDigests, [`registry.test/team/app@${target.digest}`]);
    assert.equal(pulled.lastTagTime, null);
    bench.registry.served.clear();
    assert.deepEqual(await bench.pull(), ['Pulling from team/app', `Digest: ${target.digest}`, `Status: Image is up to date for ${name}`]);
    assert.equal(bench.registry.served.size, 0);
  }
  assert.deepEqual(bench.partials(), []);
  assert.equal(bench.events.filter(({ action, id }) => action === 'pull' && id === name).length, 6);
});

test('pull: layers that are here are not fetched, and what they hold is not read again', async (context) => {
  const bench = await openPulls(context);
  const below = await buildImage({ files: ['base'], packing: 'gzip' });
  const above = await buildImage({ files: ['base', 'more'], packing: 'gzip' });
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), below);
  bench.registry.addImage('team/app', '2', new LayoutBuilder(), above);
  await bench.pull();
  bench.registry.served.clear();
  const lines = await bench.pull({ reference: 'registry.test/team/app:2' });
  const [shared, own] = above.layers.map((layer) => digestOf(layer));
  assert.ok(lines.includes(`${digestHex(shared as Digest).slice(0, 12)}: Already exists`));
  assert.equal(bench.registry.served.get(shared as Digest), undefined);
  assert.equal(bench.registry.served.get(own as Digest), above.layers[1]?.length);
  assert.deepEqual(bench.layers.verified, []);
});

test('pull by digest, and all tags', async (context) => {
  const bench = await openPulls(context);
  const one = bench.registry.addImage('team/app', '1', new LayoutBuilder(), await buildImage({ files: ['a'], packing: 'gzip' }));
  bench.registry.addImage('team/app', '2', new LayoutBuilder(), await buildImage({ files: ['b'], packing: 'gzip' }));
  const byDigest = `registry.test/team/app@${one.digest}`;
  assert.deepEqual((await bench.pull({ reference: byDigest })).at(-1), `Status: Downloaded newer image for ${byDigest}`);
  assert.deepEqual(bench.catalogue.resolve(byDigest).repoTags, []);
  const lines = await bench.pull({ reference: 'registry.test/team/app' });
  assert.equal(lines.at(-1), 'Status: Downloaded newer image for registry.test/team/app');
  assert.deepEqual(
    bench.catalogue.list().flatMap(({ repoTags }) => repoTags),
    ['registry.test/team/app:1', 'registry.test/team/app:2'],
  );
});

test('pull of an index: this platform with its variants, another one when asked; what there is when there is none', async (context) => {
  const bench = await openPulls(context);
  const layout = new LayoutBuilder();
  const of = async (architecture: string, variant?: string) =>
    await buildImage({
      files: [`${architecture}${variant ?? ''}`],
      packing: 'gzip',
      top: { architecture, ...(variant ? { variant } : {}) },
    });
  const images = { amd64: await of('amd64'), v6: await of('arm', 'v6'), v7: await of('arm', 'v7') };
  const entries = [
    { ...layout.image(images.v6), platform: { os: 'linux', architecture: 'arm', variant: 'v6' } },
    { ...layout.image(images.v7), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
    { ...layout.image(images.amd64), platform: { os: 'linux', architecture: 'amd64' } },
    { ...layout.image(images.amd64), platform: { os: 'unknown', architecture: 'unknown' } },
  ];
  const index = layout.index(entries);
  bench.registry.add('team/app', '1', layout, index);
  await bench.pull();
  assert.equal(bench.catalogue.resolve(name).id, digestOf(images.amd64.config));
  assert.deepEqual(bench.catalogue.resolve(name).repoDigests, [`registry.test/team/app@${index.digest}`]);
  const brought: string[] = [];
  await bench.pull({ platform: 'linux/arm/v6', keepsName: true, onImage: (id) => void brought.push(id) });
  assert.deepEqual([bench.catalogue.resolve(name).id, brought], [digestOf(images.amd64.config), [digestOf(images.v6.config)]]);
  await bench.pull({ platform: 'linux/arm/v6' });
  assert.equal(bench.catalogue.resolve(name).id, digestOf(images.v6.config));
  await bench.pull({ platform: 'linux/arm' });
  assert.equal(bench.catalogue.resolve(name).id, digestOf(images.v7.config));
  await assert.rejects(bench.pull({ platform: 'linux/s390x' }), {
    message: 'no matching manifest for linux/s390x in the manifest list entries: it has linux/arm/v6, linux/arm/v7, linux/amd64',
  });
});

test('pull: nested indexes, four deep at most', async (context) => {
  const bench = await openPulls(context);
  const layout = new LayoutBuilder();
  let entry: ReturnType<LayoutBuilder['index']> = layout.image(await buildImage({ packing: 'gzip' }));
  for (let depth = 1; depth <= 4; depth++) {
    entry = layout.index([{ ...entry, platform: host }]);
    bench.registry.add('team/app', String(depth), layout, entry);
  }
  await bench.pull({ reference: 'registry.test/team/app:3' });
  await assert.rejects(bench.pull({ reference: 'registry.test/team/app:4' }), /nests indexes too deeply/);
});

test('SEC-23 pull: a flipped byte of manifest, config, layer or diffID, a wrong length: nothing is committed', async (context) => {
  const good = await largeImage([50_000]);
  const [layer] = good.layers;
  assert.ok(layer);
  const flipped = (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy[Math.floor(copy.length / 2)] = (copy[Math.floor(copy.length / 2)] ?? 0) ^ 1;
    return copy;
  };
  const cases: readonly (readonly [string, (registry: FakeRegistry, layout: LayoutBuilder) => void, RegExp])[] = [
    [
      'layer',
      (registry) => {
        registry.serve = (digest, bytes) => (digest === digestOf(layer) ? flipped(bytes) : bytes);
      },
      /filesystem layer verification failed for digest sha256:/,
    ],
    [
      'config',
      (registry) => {
        registry.serve = (digest, bytes) => (digest === digestOf(good.config) ? flipped(bytes) : bytes);
      },
      /image config verification failed for digest sha256:/,
    ],
    [
      'more bytes than announced',
      (registry) => {
        registry.serve = (digest, bytes) => (digest === digestOf(layer) ? Buffer.concat([bytes, bytes]) : bytes);
      },
      /more than the \d+ bytes that were announced/,
    ],
  ];
  for (const [what, spoil, expected] of cases) {
    const bench = await openPulls(context);
    const layout = new LayoutBuilder();
    bench.registry.addImage('team/app', '1', layout, good);
    spoil(bench.registry, layout);
    await assert.rejects(bench.pull(), expected, what);
    assert.deepEqual(bench.kept(), [], what);
    assert.deepEqual(bench.catalogue.list(), [], what);
  }
});

test('SEC-23 pull: a diffID that is not the layer, a manifest that is not its digest, a manifest of another size: nothing is committed', async (context) => {
  const bench = await openPulls(context);
  const good = await buildImage({ packing: 'gzip' });
  const lying = { ...good, config: Buffer.from(good.config.toString().replace(/"diff_ids":\["sha256:..../, '"diff_ids":["sha256:0000')) };
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), lying);
  await assert.rejects(bench.pull(), /does not have the diffID/);
  const layout = new LayoutBuilder();
  const manifest = layout.image(good);
  const index = layout.index([{ ...manifest, size: manifest.size + 1, platform: host }]);
  bench.registry.add('team/app', '2', layout, index);
  await assert.rejects(bench.pull({ reference: 'registry.test/team/app:2' }), /bytes where its index announced/);
  const served = bench.registry.manifests.get(`team/app@${manifest.digest}`);
  assert.ok(served);
  const other = Buffer.from(served.bytes.toString().replace('"unknown": 1', '"unknown": 2'));
  bench.registry.manifests.set(`team/app@${manifest.digest}`, { ...served, bytes: other });
  await assert.rejects(bench.pull({ reference: `registry.test/team/app@${manifest.digest}` }), /manifest verification failed/);
  assert.deepEqual(bench.kept(), []);
});

test('SEC-24 pull: manifests and layers in one document, a body of another kind than announced: refused', async (context) => {
  const bench = await openPulls(context);
  const image = await buildImage({ packing: 'gzip' });
  const layout = new LayoutBuilder();
  bench.registry.add('team/app', '1', layout, layout.image(image, undefined, { manifests: [] }));
  await assert.rejects(bench.pull(), /both manifests and layers/);
  const target = bench.registry.addImage('team/app', '2', new LayoutBuilder(), image);
  const served = bench.registry.manifests.get('team/app:2');
  assert.ok(served);
  bench.registry.manifests.set('team/app:2', { ...served, mediaType: 'application/vnd.docker.distribution.manifest.v2+json' });
  await assert.rejects(bench.pull({ reference: 'registry.test/team/app:2' }), /was announced as/);
  assert.deepEqual(bench.kept(), []);
  assert.ok(target);
});

test('pull: an artifact that is no image is refused by its kind', async (context) => {
  const bench = await openPulls(context);
  const layout = new LayoutBuilder();
  const config = layout.add(Buffer.from('{}'), 'application/vnd.cncf.helm.config.v1+json');
  bench.registry.add('team/app', '1', layout, layout.image(await buildImage(), undefined, { config }));
  await assert.rejects(bench.pull(), /Encountered remote "application\/vnd.cncf.helm.config.v1\+json"\(helm chart\) when fetching/);
});

test('pull: a layer that came wrong is fetched once more from its start', async (context) => {
  const bench = await openPulls(context);
  const image = await largeImage([60_000, 60_000]);
  const [first] = image.layers;
  assert.ok(first);
  bench.registry.serve = (digest, bytes, attempt) => (digest === digestOf(first) && attempt === 1 ? Buffer.alloc(bytes.length, 7) : bytes);
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  await bench.pull();
  assert.equal(bench.registry.served.get(digestOf(first)), 2 * first.length);
  assert.equal(bench.catalogue.resolve(name).id, digestOf(image.config));
});

test('pull: cut connections are resumed where they broke', async (context) => {
  const bench = await openPulls(context);
  const image = await largeImage([200_000]);
  const [layer] = image.layers;
  assert.ok(layer);
  bench.registry.onPiece = (_digest, sent, attempt) => {
    if (sent >= 40_000 * attempt && attempt < 4) throw brokenConnection();
  };
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  await bench.pull();
  assert.equal(bench.registry.served.get(digestOf(layer)), layer.length);
});

test('pull: what was fetched outlives a failure and the daemon; finished layers are not fetched again', async (context) => {
  const image = await largeImage([100_000, 100_000, 100_000]);
  const registry = new FakeRegistry();
  registry.addImage('team/app', '1', new LayoutBuilder(), image);
  const last = digestOf(image.layers[2] ?? Buffer.alloc(0));
  registry.onPiece = (digest, sent) => {
    if (digest === last && sent >= 50_000) throw unauthorized();
  };
  const bench = await openPulls(context, registry);
  await assert.rejects(bench.pull(), /authentication required/);
  assert.deepEqual(bench.catalogue.list(), []);
  assert.equal(bench.partials().length >= 1, true);
  const second = await openPulls(context, registry, bench.root);
  registry.onPiece = () => {};
  await second.pull();
  for (const layer of image.layers) assert.equal(registry.served.get(digestOf(layer)), layer.length);
  assert.deepEqual(second.partials(), []);
});

test('pull: two at once share one download; when one leaves, the other gets it', async (context) => {
  const bench = await openPulls(context);
  const image = await largeImage([400_000]);
  const [layer] = image.layers;
  assert.ok(layer);
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  bench.registry.addImage('team/other', '1', new LayoutBuilder(), image);
  const halfway = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  bench.registry.onPiece = async (digest, sent) => {
    if (digest !== digestOf(layer) || sent < 200_000) return;
    halfway.resolve();
    await goOn.promise;
  };
  const leaver = new AbortController();
  const first = bench.pull({}, leaver.signal);
  await halfway.promise;
  const second = bench.pull({ reference: 'registry.test/team/other:1' });
  while (!bench.registry.requests.includes('manifest team/other 1')) await new Promise(setImmediate);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  leaver.abort(new Error('the client left'));
  goOn.resolve();
  await assert.rejects(first, /the client left/);
  await second;
  assert.equal(bench.registry.served.get(digestOf(layer)), layer.length);
  assert.equal(bench.catalogue.list().length, 1);
});

test('pull: cancelled by its only client, it keeps what came', async (context) => {
  const bench = await openPulls(context);
  const image = await largeImage([300_000]);
  const [layer] = image.layers;
  assert.ok(layer);
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  const leaver = new AbortController();
  bench.registry.onPiece = (_digest, sent) => {
    if (sent >= 100_000) leaver.abort(new Error('the client left'));
  };
  await assert.rejects(bench.pull({}, leaver.signal), /the client left/);
  const [partial] = bench.partials();
  assert.equal(partial?.[0], digestHex(digestOf(layer)));
  assert.ok((partial?.[1] ?? 0) >= 90_000);
  bench.registry.onPiece = () => {};
  await bench.pull();
  assert.ok((bench.registry.served.get(digestOf(layer)) ?? 0) <= layer.length + 2 * bench.registry.pieceBytes);
});

test("pull: another's download that fails with its credentials is begun again with ours", async (context) => {
  const bench = await openPulls(context);
  const image = await largeImage([200_000]);
  const [layer] = image.layers;
  assert.ok(layer);
  bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  bench.registry.addImage('team/other', '1', new LayoutBuilder(), image);
  const begun = Promise.withResolvers<void>();
  const fail = Promise.withResolvers<void>();
  bench.registry.onPiece = async (digest, _sent, attempt) => {
    if (digest !== digestOf(layer) || attempt > 1) return;
    begun.resolve();
    await fail.promise;
    throw unauthorized();
  };
  const first = bench.pull();
  await begun.promise;
  const second = bench.pull({ reference: 'registry.test/team/other:1' });
  while (!bench.registry.requests.includes('manifest team/other 1')) await new Promise(setImmediate);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  fail.resolve();
  await assert.rejects(first, /authentication required/);
  await second;
  assert.deepEqual(bench.catalogue.resolve('registry.test/team/other:1').repoTags, ['registry.test/team/other:1']);
});

test('pull: no more downloads at once than allowed, for all pulls together', async (context) => {
  const bench = await openPulls(context, new FakeRegistry(), undefined, 2);
  const images = await Promise.all([largeImage([40_000, 40_000, 40_000]), largeImage([40_000, 40_000, 40_000])]);
  for (const [index, image] of images.entries()) bench.registry.addImage('team/app', String(index), new LayoutBuilder(), image);
  const layers = new Set(images.flatMap((image) => image.layers.map((layer) => digestOf(layer))));
  const running = new Set<Digest>();
  let most = 0;
  bench.registry.onPiece = async (digest, sent) => {
    if (!layers.has(digest)) return;
    running.add(digest);
    most = Math.max(most, running.size);
    await delay(5);
    if (sent + bench.registry.pieceBytes >= (bench.registry.blobs.get(digest)?.length ?? 0)) running.delete(digest);
  };
  const lines = (await Promise.all(images.map((_, index) => bench.pull({ reference: `registry.test/team/app:${index}` })))).flat();
  assert.equal(most <= 2, true, `${most} at once`);
  assert.ok(lines.some((line) => line.endsWith(': Waiting')));
});
