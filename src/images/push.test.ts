import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { downloadBlob } from '../distribution/download-blob.ts';
import { digestOf } from '../oci/digest.ts';
import { BlobFetches } from './blob-fetches.ts';
import type { ImageProgress } from './catalogue.ts';
import { buildImage, dockerArchive, LayoutBuilder } from './fixtures/archives.ts';
import { type CatalogueBench, openBench } from './fixtures/catalogue-bench.ts';
import { pullImage } from './pull.ts';
import { type PushRequest, pushImage } from './push.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { TransferSlots } from './transfer-slots.ts';

const host = { os: 'linux', architecture: 'amd64' };
const signal = new AbortController().signal;

interface PushBench extends CatalogueBench {
  readonly registry: FakeRegistry;
  push(reference: string, more?: Partial<PushRequest>): Promise<readonly ImageProgress[]>;
  pull(reference: string, platform?: string): Promise<void>;
}

async function openPushes(context: TestContext): Promise<PushBench> {
  const bench = await openBench(context);
  const registry = new FakeRegistry();
  const { store } = bench;
  const slots = new TransferSlots(5);
  const fetches = new BlobFetches(bench.blobs, downloadBlob, slots);
  return {
    ...bench,
    registry,
    async push(reference, more = {}) {
      const said: ImageProgress[] = [];
      const request = { reference, platform: null, credentials: null, ...more };
      await pushImage({ store, client: registry.client(), slots, ownRegistry: null }, request, (progress) => said.push(progress), signal);
      return said;
    },
    pull: (reference, platform) =>
      pullImage(
        { store, client: registry.client(), download: downloadBlob, fetches, host },
        { reference, platform: platform ?? null, credentials: null },
        () => {},
        signal,
      ),
  };
}

function texts(said: readonly ImageProgress[]): readonly string[] {
  return said.flatMap((progress) => (progress.kind === 'step' || progress.kind === 'status' ? [progress.text] : []));
}

test('push: an image that was loaded has its layers compressed once; what was pushed can be pulled, with the same id', async (context) => {
  const bench = await openPushes(context);
  const image = await buildImage({ files: ['a', 'b'] });
  await bench.load(await dockerArchive([{ image, tags: ['registry.test/team/app:1'] }]));
  const said = await bench.push('registry.test/team/app:1');
  const pushed = said.at(-1);
  assert.ok(pushed?.kind === 'pushed' && pushed.tag === '1');
  assert.deepEqual(texts(said), [
    'The push refers to repository [registry.test/team/app]',
    'Preparing',
    'Preparing',
    'Pushed',
    'Pushed',
    `1: digest: ${pushed.digest} size: ${pushed.sizeBytes}`,
  ]);
  const manifest = JSON.parse(bench.registry.manifests.get('team/app:1')?.bytes.toString() ?? '');
  assert.ok(manifest.layers.every(({ mediaType }: { mediaType: string }) => mediaType.endsWith('tar+gzip')));
  assert.deepEqual(bench.catalogue.resolve('registry.test/team/app:1').repoDigests, [`registry.test/team/app@${pushed.digest}`]);
  const again = await bench.push('registry.test/team/app:1');
  assert.deepEqual(again.at(-1), pushed);
  assert.deepEqual(texts(again).slice(3, 5), ['Layer already exists', 'Layer already exists']);
  const other = await openPushes(context);
  for (const [digest, bytes] of bench.registry.blobs) other.registry.blobs.set(digest, bytes);
  for (const [key, served] of bench.registry.manifests) other.registry.manifests.set(key, served);
  await other.pull('registry.test/team/app:1');
  assert.equal(other.catalogue.resolve('registry.test/team/app:1').id, digestOf(image.config));
  assert.deepEqual(
    bench.events.filter(({ action }) => action === 'push').map(({ id }) => id),
    ['registry.test/team/app:1', 'registry.test/team/app:1'],
  );
});

test('push: what was pulled goes out byte for byte, and is mounted from where it came', async (context) => {
  const bench = await openPushes(context);
  const image = await buildImage({ files: ['a'], packing: 'gzip' });
  const target = bench.registry.addImage('team/app', '1', new LayoutBuilder(), image);
  await bench.pull('registry.test/team/app:1');
  await bench.catalogue.tag('registry.test/team/app:1', 'registry.test/other/name:2');
  await bench.catalogue.tag('registry.test/team/app:1', 'elsewhere.test/app:2');
  bench.registry.blobs.clear();
  bench.registry.mountable.add('team/app');
  const said = await bench.push('registry.test/other/name:2');
  assert.ok(texts(said).includes('Mounted from team/app'));
  assert.ok(said.at(-1)?.kind === 'pushed' && said.at(-1));
  assert.equal(digestOf(bench.registry.manifests.get('other/name:2')?.bytes ?? ''), target.digest);
  await bench.push('elsewhere.test/app:2');
  const last = bench.registry.requests.filter((line) => line.startsWith('upload')).slice(-2);
  assert.ok(
    last.every((line) => line.endsWith('from ')),
    'another registry is asked for mounts',
  );
});

test('push of an index: whole when all of it is here, else its one platform; --platform picks', async (context) => {
  const bench = await openPushes(context);
  const layout = new LayoutBuilder();
  const of = async (architecture: string) => await buildImage({ files: [architecture], packing: 'gzip', top: { architecture } });
  const manifests = { amd64: layout.image(await of('amd64')), arm64: layout.image(await of('arm64')) };
  const index = layout.index([
    { ...manifests.amd64, platform: { os: 'linux', architecture: 'amd64' } },
    { ...manifests.arm64, platform: { os: 'linux', architecture: 'arm64' } },
  ]);
  bench.registry.add('team/app', '1', layout, index);
  await bench.pull('registry.test/team/app:1');
  await bench.catalogue.tag('registry.test/team/app:1', 'registry.test/copy:1');
  const single = await bench.push('registry.test/copy:1');
  assert.ok(texts(single).some((text) => text.startsWith('Not all multiplatform-content is present')));
  assert.equal(digestOf(bench.registry.manifests.get('copy:1')?.bytes ?? ''), manifests.amd64.digest);
  await assert.rejects(bench.push('registry.test/copy:1', { platform: { os: 'linux', architecture: 'arm64' } }), {
    message:
      'image with reference registry.test/copy:1 was found but does not provide the specified platform (linux/arm64): here is linux/amd64',
  });
  await bench.pull('registry.test/team/app:1', 'linux/arm64');
  await bench.push('registry.test/copy:1');
  await bench.catalogue.tag('registry.test/team/app:1', 'registry.test/copy:2');
  const whole = await bench.push('registry.test/copy:2');
  assert.ok(whole.at(-1)?.kind === 'pushed');
  assert.equal(digestOf(bench.registry.manifests.get('copy:2')?.bytes ?? ''), index.digest);
  await bench.push('registry.test/copy:2', { platform: { os: 'linux', architecture: 'amd64' } });
  assert.equal(digestOf(bench.registry.manifests.get('copy:2')?.bytes ?? ''), manifests.amd64.digest);
});

test('push: all tags of a repository; unknown names and tags in Docker words', async (context) => {
  const bench = await openPushes(context);
  await bench.load(await dockerArchive([{ image: await buildImage(), tags: ['registry.test/app:1', 'registry.test/app:2'] }]));
  const said = await bench.push('registry.test/app');
  assert.deepEqual(
    said.flatMap((progress) => (progress.kind === 'pushed' ? [progress.tag] : [])),
    ['1', '2'],
  );
  await assert.rejects(bench.push('registry.test/none:1'), { message: 'An image does not exist locally with the tag: registry.test/none' });
  await assert.rejects(bench.push('registry.test/app:3'), { message: 'tag does not exist: registry.test/app:3' });
  await assert.rejects(bench.push(`registry.test/app@${digestOf('x')}`), /cannot push a digest reference/);
});
