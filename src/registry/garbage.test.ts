/** Garbage collection: what goes, what stays, and what happens beside pushes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { mediaTypes } from '../oci/manifest.ts';
import type { Registry } from './registry.ts';
import { beginUpload, blobOf, type Material, manifestOf, pushBlob, pushImage, putManifest, tester } from './testing/registry-material.ts';
import { startTestRegistry } from './testing/test-registry.ts';

const grace = 60_000;

/** A registry whose clock the test moves. */
async function withClock() {
  let now = Date.now();
  const server = await startTestRegistry({ registry: { graceMs: grace, uploadPatienceMs: 10 * grace, now: () => now } });
  const later = (ms: number) => {
    now += ms;
  };
  return Object.assign(server, { later });
}

async function upload(registry: Registry, repository: string, blob: Material): Promise<void> {
  const open = await registry.repository(repository).beginUpload(tester);
  await open.append(chunksOf(blob.bytes), 0);
  await open.finish(blob.digest, tester);
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

test('collectGarbage: what a manifest names stays; what nobody names goes with its file when its grace is over', async () => {
  await using server = await withClock();
  const { origin, registry, blobs } = server;
  const image = await pushImage(origin, 'gc/kept', 'v1');
  const stray = blobOf('stray');
  await pushBlob(origin, 'gc/kept', stray);
  server.later(grace - 1);
  assert.deepEqual(await registry.collectGarbage(), { removedBlobs: 0, reclaimedBytes: 0, removedUploads: 0 });
  server.later(2);
  const promised = await registry.collectGarbage({ dryRun: true });
  assert.ok(blobs.has(stray.digest));
  assert.deepEqual(promised, { removedBlobs: 1, reclaimedBytes: stray.bytes.length, removedUploads: 0 });
  assert.deepEqual(await registry.collectGarbage(), promised);
  assert.ok(!blobs.has(stray.digest));
  assert.equal(await registry.repository('gc/kept').blob(stray.digest), null);
  for (const { digest } of [blobOf('layer of gc/kept:v1'), blobOf(JSON.stringify({ of: 'gc/kept:v1' }))]) assert.ok(blobs.has(digest));
  assert.equal((await fetch(`${origin}/v2/gc/kept/manifests/${image.digest}`)).status, 200);
});

test('collectGarbage: when a manifest is deleted its blobs have their grace, then go, unless another repository has them', async () => {
  await using server = await withClock();
  const { origin, registry, blobs } = server;
  const image = await pushImage(origin, 'gc/a', 'v1', 'same');
  await pushImage(origin, 'gc/b', 'v1', 'same');
  server.later(2 * grace);
  await registry.repository('gc/a').deleteManifest(image.digest, tester);
  await registry.collectGarbage();
  assert.ok(await registry.repository('gc/a').blob(blobOf('layer of same').digest));
  server.later(2 * grace);
  assert.equal((await registry.collectGarbage()).removedBlobs, 0);
  assert.equal(await registry.repository('gc/a').blob(blobOf('layer of same').digest), null);
  assert.deepEqual(registry.repositories({ after: null, limit: 10 }).entries, ['gc/b']);
  await registry.repository('gc/b').deleteManifest(image.digest, tester);
  server.later(2 * grace);
  assert.equal((await registry.collectGarbage()).removedBlobs, 2);
  assert.deepEqual(await blobs.list(), []);
  assert.deepEqual(registry.stats(), { repositories: 0, manifests: 0, blobs: 0, blobBytes: 0, openUploads: 0 });
});

test('collectGarbage: HEAD, mount and upload make a blob young again, also for the process that comes after', async () => {
  await using server = await withClock();
  const { origin } = server;
  const touched = { head: blobOf('by head'), mount: blobOf('by mount'), upload: blobOf('by upload') };
  for (const blob of Object.values(touched)) await pushBlob(origin, 'gc/young', blob);
  server.later(grace - 10);
  assert.equal((await fetch(`${origin}/v2/gc/young/blobs/${touched.head.digest}`, { method: 'HEAD' })).status, 200);
  assert.equal(
    (await fetch(`${origin}/v2/gc/other/blobs/uploads/?mount=${touched.mount.digest}&from=gc/young`, { method: 'POST' })).status,
    201,
  );
  await pushBlob(origin, 'gc/young', touched.upload);
  server.later(grace / 2);
  await server.restart();
  await server.registry.collectGarbage();
  const { registry } = server;
  assert.ok(await registry.repository('gc/young').blob(touched.head.digest), 'HEAD');
  assert.ok(await registry.repository('gc/other').blob(touched.mount.digest), 'mount');
  assert.ok(await registry.repository('gc/young').blob(touched.upload.digest), 'upload');
});

test('collectGarbage: a manifest that is put while its blobs are being collected keeps them or is refused; never half', async () => {
  await using server = await withClock();
  const { registry, blobs } = server;
  for (let round = 0; round < 8; round++) {
    const name = `gc/race-${round}`;
    const repository = registry.repository(name);
    const [config, layer] = [blobOf(`{"round":${round}}`), blobOf(`layer ${round}`)];
    for (const blob of [config, layer]) await upload(registry, name, blob);
    server.later(2 * grace);
    const collecting = registry.collectGarbage();
    for (let turn = 0; turn < round; turn++) await nextTurn();
    const image = manifestOf(config, [layer]);
    const put = await repository.putManifest('v1', mediaTypes.ociManifest, image.bytes, tester).then(
      () => 'kept',
      (thrown: { refusal?: string }) => thrown.refusal,
    );
    await collecting;
    await registry.collectGarbage();
    const there = await Promise.all(
      [config, layer].map(async ({ digest }) => (await repository.blob(digest)) !== null && blobs.has(digest)),
    );
    assert.deepEqual([put, ...there], put === 'kept' ? ['kept', true, true] : ['MANIFEST_BLOB_UNKNOWN', false, false], `round ${round}`);
  }
});

test('collectGarbage: a file without a link goes at once, one that a lease holds or somebody else needs stays', async () => {
  const elsewhere = blobOf('needed elsewhere');
  await using server = await startTestRegistry({ registry: { graceMs: 0, neededElsewhere: (digest) => digest === elsewhere.digest } });
  const { registry, blobs, leases } = server;
  const [orphan, held] = [blobOf('orphan'), blobOf('held')];
  using lease = leases.acquire();
  using other = leases.acquire();
  for (const blob of [orphan, elsewhere]) await blobs.write([blob.bytes], { lease: other });
  other.release();
  await blobs.write([held.bytes], { lease });
  assert.deepEqual(await registry.collectGarbage(), { removedBlobs: 1, reclaimedBytes: orphan.bytes.length, removedUploads: 0 });
  assert.deepEqual((await blobs.list()).toSorted(), [elsewhere.digest, held.digest].toSorted());
});

test('collectGarbage: uploads that nobody goes on with are removed, bytes and all; those that are used are not', async () => {
  await using server = await withClock();
  const { origin, registry } = server;
  const [left, used] = [await beginUpload(origin, 'gc/uploads'), await beginUpload(origin, 'gc/uploads')];
  server.later(20 * grace);
  assert.equal((await registry.collectGarbage({ dryRun: true })).removedUploads, 2);
  const answer = await fetch(used, { method: 'PATCH', body: 'goes on' });
  assert.equal(answer.status, 202);
  assert.equal((await registry.collectGarbage()).removedUploads, 1);
  assert.equal((await fetch(left)).status, 404);
  assert.equal((await fetch(used)).status, 204);
});

test('collectGarbage beside 64 pushers and pullers: every acknowledged image is there', async () => {
  await using server = await startTestRegistry({ registry: { graceMs: 500 } });
  const { origin, registry } = server;
  let running = true;
  const collecting = (async () => {
    let rounds = 0;
    for (; running; rounds++) await registry.collectGarbage();
    return rounds;
  })();
  const client = async (number: number) => {
    const repository = `gc/client-${number % 8}`;
    const acknowledged: { readonly tag: string; readonly manifest: Material }[] = [];
    for (let i = 0; i < 2; i++) {
      // Layers that many push at once, among them one that comes and goes.
      const [config, shared, own] = [blobOf(`{"n":${number}}`), blobOf(`shared ${i}`), blobOf(`own ${number} ${i}`)];
      const manifest = manifestOf(config, [shared, own]);
      const tag = `t${number}-${i}`;
      for (;;) {
        for (const blob of [config, shared, own]) await pushBlob(origin, repository, blob);
        const answer = await putManifest(origin, repository, tag, manifest);
        if (answer.status === 201) break;
        // The grace of the test is shorter than a push under load: refused cleanly, pushed again.
        assert.equal(answer.status, 404);
      }
      acknowledged.push({ tag, manifest });
      if (i === 0) await fetch(`${origin}/v2/${repository}/manifests/${manifest.digest}`, { method: 'DELETE' });
    }
    return { repository, kept: acknowledged.slice(1) };
  };
  const clients = await Promise.all(Array.from({ length: 64 }, (_, number) => client(number)));
  running = false;
  assert.ok((await collecting) > 1);
  for (const { repository, kept } of clients) {
    for (const image of kept) {
      const answer = await fetch(`${origin}/v2/${repository}/manifests/${image?.tag}`);
      assert.equal(answer.headers.get('docker-content-digest'), image?.manifest.digest);
      const { config, layers } = (await answer.json()) as { config: { digest: string }; layers: { digest: string }[] };
      for (const { digest } of [config, ...layers]) {
        const blob = await fetch(`${origin}/v2/${repository}/blobs/${digest}`);
        assert.equal(blobOf(Buffer.from(await blob.arrayBuffer())).digest, digest);
      }
    }
  }
});
