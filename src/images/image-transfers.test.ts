import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageId } from '../base/brand.ts';
import { downloadBlob } from '../distribution/download-blob.ts';
import { defaultRegistrySettings, type RegistryClient } from '../distribution/registry-client.ts';
import type { ImageProgress } from './catalogue.ts';
import { buildImage, LayoutBuilder } from './fixtures/archives.ts';
import { openBench } from './fixtures/catalogue-bench.ts';
import { createTransfers } from './image-transfers.ts';
import { brokenConnection, FakeRegistry, unauthorized } from './testing/fake-registry.ts';

const host = { os: 'linux', architecture: 'amd64' };
const signal = new AbortController().signal;

async function transfersOf(context: Parameters<typeof openBench>[0], answer: 'registry' | Error, mirrors: readonly string[] = []) {
  const bench = await openBench(context);
  const registry = new FakeRegistry();
  for (const name of ['busybox', 'hello-world'])
    registry.addImage(`library/${name}`, 'latest', new LayoutBuilder(), await buildImage({ packing: 'gzip' }));
  const client = registry.client();
  if (answer !== 'registry') client.repository = (name) => ({ ...registry.repository(name), manifest: () => Promise.reject(answer) });
  const embedded = {
    has: (reference: string) => ['busybox:latest', 'hello-world:latest'].includes(reference),
    ensure: async (reference: string, report: (progress: ImageProgress) => void) => {
      report({ kind: 'status', text: `embedded ${reference}` });
      return 'sha256:0' as ImageId;
    },
  };
  const settings = { settings: { ...defaultRegistrySettings, mirrors }, maxConcurrentDownloads: 3, maxConcurrentUploads: 5 };
  const transfers = createTransfers({
    ...settings,
    store: bench.store,
    client: client as RegistryClient,
    download: downloadBlob,
    embedded,
    host,
    ownRegistry: () => null,
  });
  return async (reference: string): Promise<readonly string[]> => {
    const said: string[] = [];
    await transfers.pull(
      { reference, platform: null, credentials: null },
      (progress) => void (progress.kind === 'status' && said.push(progress.text)),
      signal,
    );
    return said;
  };
}

test('hello-world is the embedded one, unless docker.io has a mirror', async (context) => {
  assert.deepEqual(await (await transfersOf(context, 'registry'))('hello-world'), ['embedded hello-world:latest']);
  const mirrored = await (await transfersOf(context, 'registry', ['http://mirror.test']))('hello-world:latest');
  assert.equal(mirrored.at(-1), 'Status: Downloaded newer image for hello-world:latest');
});

test('busybox comes from the registry; when nobody answers, the embedded one does and says so', async (context) => {
  assert.equal((await (await transfersOf(context, 'registry'))('busybox')).at(-1), 'Status: Downloaded newer image for busybox:latest');
  assert.deepEqual(await (await transfersOf(context, brokenConnection()))('busybox:latest'), [
    'docker.io cannot be reached (the connection was cut): taking the image that comes with Gantry',
    'embedded busybox:latest',
  ]);
  await assert.rejects((await transfersOf(context, unauthorized()))('busybox'), /authentication required/);
});
