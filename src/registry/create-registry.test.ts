/** The registry itself, without HTTP: uploads, restarts, quotas, rules, events, the check. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import { mediaTypes } from '../oci/manifest.ts';
import type { Registry, RegistryEvent, RegistryFinding } from './registry.ts';
import { blobOf, indexOf, type Material, manifestOf, pushImage, putManifest, tester } from './testing/registry-material.ts';
import { startTestRegistry } from './testing/test-registry.ts';

async function* chunksOf(...chunks: readonly (Buffer | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk as string);
}

async function* cutAfter(...chunks: readonly (Buffer | string)[]): AsyncGenerator<Uint8Array> {
  yield* chunksOf(...chunks);
  throw new Error('cut');
}

async function upload(registry: Registry, repository: string, blob: Material): Promise<void> {
  const open = await registry.repository(repository).beginUpload(tester);
  await open.append(chunksOf(blob.bytes), 0);
  await open.finish(blob.digest, tester);
}

test('an upload goes on after a cut and after a restart of the server, from the byte that came last', async () => {
  await using server = await startTestRegistry();
  const content = blobOf(randomBytes(1_500_000));
  const { id } = await server.registry.repository('resume').beginUpload(tester);
  const open = () => {
    const found = server.registry.repository('resume').upload(id);
    assert.ok(found);
    return found;
  };
  await assert.rejects(open().append(cutAfter(content.bytes.subarray(0, 700_001)), 0), /cut/);
  assert.equal(open().sizeBytes, 700_001);
  await server.restart();
  assert.equal(open().sizeBytes, 700_001);
  await assert.rejects(open().append(chunksOf('x'), 700_000), { refusal: 'RANGE_INVALID' });
  await open().append(chunksOf(content.bytes.subarray(700_001, 900_000)), 700_001);
  await server.restart();
  await open().append(chunksOf(content.bytes.subarray(900_000)), 900_000);
  const stored = await open().finish(content.digest, tester);
  assert.deepEqual([stored.digest, stored.sizeBytes], [content.digest, content.bytes.length]);
  assert.ok(await server.blobs.verify(content.digest));
  assert.deepEqual(await readdir(join(server.folder, 'uploads')), []);
  await server.restart();
  assert.equal((await server.registry.repository('resume').blob(content.digest))?.sizeBytes, content.bytes.length);
});

test('a second writer replaces the first, whose source is ended; without a way to end it the second is refused', async () => {
  await using server = await startTestRegistry();
  const open = await server.registry.repository('twice').beginUpload(tester);
  const stalled = Promise.withResolvers<never>();
  stalled.promise.catch(() => {});
  async function* stalling() {
    yield Buffer.from('abc');
    await stalled.promise;
  }
  const first = open.append(stalling(), 0, undefined, () => stalled.reject(new Error('replaced')));
  const refused = assert.rejects(first, /replaced/);
  // What had come when the second one asks is where it must start.
  await assert.rejects(open.append(chunksOf('x'), 99), { refusal: 'RANGE_INVALID' });
  await refused;
  assert.equal(open.sizeBytes, 3);
  await open.append(chunksOf('def'), 3);
  const blob = blobOf('abcdef');
  assert.equal((await open.finish(blob.digest, tester)).digest, blob.digest);
  await assert.rejects(open.finish(blob.digest, tester), { refusal: 'BLOB_UPLOAD_UNKNOWN' });
});

test('an upload whose blob could not be committed is still there, and can be finished again', async () => {
  await using server = await startTestRegistry();
  const { blobs, registry } = server;
  const blob = blobOf(randomBytes(300_000));
  const open = await registry.repository('full').beginUpload(tester);
  await open.append(chunksOf(blob.bytes), 0);
  const adopt = blobs.adopt.bind(blobs);
  blobs.adopt = (path, info) => ({
    ...adopt(path, info),
    commit: () => Promise.reject(new EngineError('system', 'no space left on device')),
  });
  await assert.rejects(open.finish(blob.digest, tester), /no space left/);
  blobs.adopt = adopt;
  assert.equal(registry.repository('full').upload(open.id)?.sizeBytes, blob.bytes.length);
  assert.equal((await open.finish(blob.digest, tester)).digest, blob.digest);
  assert.ok(await blobs.verify(blob.digest));
});

test('64 uploads of one blob at once: all are acknowledged, one file, memory stays flat', async () => {
  await using server = await startTestRegistry();
  const blob = blobOf(randomBytes(2_000_000));
  const before = process.memoryUsage().rss;
  await Promise.all(Array.from({ length: 64 }, (_, number) => upload(server.registry, `same-${number % 4}`, blob)));
  assert.ok(process.memoryUsage().rss - before < 200e6);
  assert.deepEqual(await server.blobs.list(), [blob.digest]);
  assert.deepEqual((await server.blobs.others()).staged, []);
  assert.deepEqual(await readdir(join(server.folder, 'uploads')), []);
  assert.deepEqual(server.registry.stats(), { repositories: 4, manifests: 0, blobs: 1, blobBytes: blob.bytes.length, openUploads: 0 });
});

test('everything is there again after a restart: repositories, tags, manifests, referrers, sizes', async () => {
  await using server = await startTestRegistry();
  const one = await pushImage(server.origin, 'again/one', 'v1');
  await putManifest(server.origin, 'again/one', 'V2', one);
  const index = indexOf([one], {
    subject: { mediaType: mediaTypes.ociManifest, digest: one.digest, size: one.bytes.length },
    artifactType: 'application/x',
  });
  await putManifest(server.origin, 'again/one', 'index', index, mediaTypes.ociIndex);
  await pushImage(server.origin, 'again/two', 'v1', 'two');
  const facts = async () => {
    const repository = server.registry.repository('again/one');
    return {
      repositories: server.registry.repositories({ after: null, limit: 10 }).entries,
      tags: (await repository.tags({ after: null, limit: 10 })).entries,
      manifests: repository.manifests().toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
      referrers: (await repository.referrers(one.digest, { after: null, limit: 10, artifactType: 'application/x' })).entries,
      bytes: (await repository.manifest('index'))?.bytes.toString(),
      usedBytes: repository.usedBytes,
      stats: server.registry.stats(),
      moved: repository.tag('V2'),
    };
  };
  const before = await facts();
  assert.deepEqual(before.tags, ['index', 'v1', 'V2']);
  assert.equal(before.referrers.length, 1);
  await server.restart();
  assert.deepEqual(await facts(), before);
});

test('quota: blobs, mounts and manifests beyond it are refused and leave nothing; what is there already costs nothing', async () => {
  await using server = await startTestRegistry({ registry: { rules: { quotaBytes: (name) => (name === 'free' ? null : 1000) } } });
  const { registry } = server;
  const [big, small] = [blobOf(Buffer.alloc(800)), blobOf(Buffer.alloc(300, 1))];
  await upload(registry, 'tight', big);
  await assert.rejects(upload(registry, 'tight', small), { refusal: 'QUOTA_EXCEEDED', status: 403 });
  await assert.rejects(registry.repository('tight').beginUpload(tester, 300), { refusal: 'QUOTA_EXCEEDED' });
  await upload(registry, 'free', small);
  await assert.rejects(registry.repository('tight').mount(small.digest, 'free', tester), { refusal: 'QUOTA_EXCEEDED' });
  const image = manifestOf(big, [], { annotations: { pad: 'x'.repeat(300) } });
  await assert.rejects(registry.repository('tight').putManifest('v1', '', image.bytes, tester), { refusal: 'QUOTA_EXCEEDED' });
  assert.equal(registry.repository('tight').usedBytes, 800);
  // Both would fit alone: what is being committed counts.
  const halves = [blobOf(Buffer.alloc(150, 2)), blobOf(Buffer.alloc(150, 3))];
  const both = await Promise.allSettled(halves.map((blob) => upload(registry, 'tight', blob)));
  assert.equal(both.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('quota: uploads that are open count together, and there is an end to them', async () => {
  await using server = await startTestRegistry({ registry: { rules: { quotaBytes: (name) => (name === 'free' ? null : 1000) } } });
  const tight = server.registry.repository('tight');
  const [one, two] = [await tight.beginUpload(tester), await tight.beginUpload(tester)];
  await one.append(chunksOf(Buffer.alloc(600)), 0);
  await assert.rejects(two.append(chunksOf(Buffer.alloc(600)), 0), { refusal: 'QUOTA_EXCEEDED' });
  await assert.rejects(tight.beginUpload(tester, 600), { refusal: 'QUOTA_EXCEEDED' });
  await one.cancel();
  await two.append(chunksOf(Buffer.alloc(600)), 0);
  const free = server.registry.repository('free');
  const open = await Promise.all(Array.from({ length: 1000 }, () => free.beginUpload(tester)));
  await assert.rejects(free.beginUpload(tester), { refusal: 'TOOMANYREQUESTS', message: /1000 uploads under way/ });
  await open[0]?.cancel();
  await free.beginUpload(tester);
});

test('SEC-29: a page of referrers ends before their annotations are too many', async () => {
  await using server = await startTestRegistry();
  const subject = manifestOf(blobOf(Buffer.from('config')), []);
  const repository = server.registry.repository('referred');
  await upload(server.registry, 'referred', blobOf(Buffer.from('config')));
  await repository.putManifest('v1', '', subject.bytes, tester);
  const about = { mediaType: mediaTypes.ociManifest, digest: subject.digest, size: subject.bytes.length };
  for (const letter of ['a', 'b', 'c', 'd']) {
    const big = manifestOf(blobOf(Buffer.from('config')), [], { subject: about, annotations: { letter: letter.repeat(900_000) } });
    await repository.putManifest(null, '', big.bytes, tester);
  }
  const first = await repository.referrers(subject.digest, { after: null, limit: 500, artifactType: null });
  assert.deepEqual([first.entries.length, first.more], [2, true]);
  const rest = await repository.referrers(subject.digest, { after: first.entries[1]?.digest ?? '', limit: 500, artifactType: null });
  assert.deepEqual([rest.entries.length, rest.more], [2, false]);
});

test('keepTag: a tag that a rule keeps cannot be moved or deleted, nor its manifest; two at once cannot both make it', async () => {
  await using server = await startTestRegistry({
    registry: { rules: { keepTag: (_, tag, from) => (tag.startsWith('v') ? `tag ${tag} is immutable and stays at ${from}` : null) } },
  });
  const { registry, origin } = server;
  const repository = registry.repository('immutable');
  const images = [await pushImage(origin, 'immutable', 'a', 'a'), await pushImage(origin, 'immutable', 'b', 'b')];
  const puts = await Promise.allSettled(images.map(({ bytes }) => repository.putManifest('v1', '', bytes, tester)));
  assert.deepEqual(puts.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  const kept = repository.tag('v1')?.digest;
  assert.ok(kept);
  await repository.putManifest('v1', '', images.find(({ digest }) => digest === kept)?.bytes ?? Buffer.of(), tester);
  await assert.rejects(repository.deleteTag('v1', tester), { refusal: 'DENIED', message: `tag v1 is immutable and stays at ${kept}` });
  await assert.rejects(repository.deleteManifest(kept, tester), { refusal: 'DENIED' });
  assert.equal(await repository.deleteTag('a', tester), true);
});

test('events: what was done, by whom, after it was durable', async () => {
  await using server = await startTestRegistry();
  const seen: RegistryEvent[] = [];
  server.registry.onEvent((event) => seen.push(event));
  const image = await pushImage(server.origin, 'told', 'v1');
  const repository = server.registry.repository('told');
  await server.registry.repository('other').mount(blobOf('layer of told:v1').digest, 'told', tester);
  await repository.deleteTag('v1', tester);
  await repository.deleteManifest(image.digest, tester);
  assert.deepEqual(
    seen.map(({ action, kind, repository: name, tag }) => `${action} ${kind} ${name} ${tag}`),
    [
      'upload blob told null',
      'upload blob told null',
      'push manifest told v1',
      'mount blob other null',
      'tag-delete tag told v1',
      'delete manifest told null',
    ],
  );
  assert.equal(seen[3]?.writer, tester);
  assert.equal(seen[2]?.digest, image.digest);
});

test('check: a flipped byte, a changed size, a missing file and a missing link are found, by repository (SEC-23)', async () => {
  await using server = await startTestRegistry();
  const { registry, blobs, origin } = server;
  for (const name of ['whole', 'flipped', 'cut', 'gone']) await pushImage(origin, `check/${name}`, 'v1', name);
  const findings: RegistryFinding[] = [];
  const more: RegistryFinding[] = [];
  assert.deepEqual((await registry.check((finding) => findings.push(finding))).blobs, 8);
  assert.equal(findings.length, 0);
  const pathOf = (text: string) => blobs.path(blobOf(`layer of ${text}`).digest);
  const flipped = Buffer.from('layer of flipped');
  flipped[0] = 0x4c;
  await writeFile(pathOf('flipped'), flipped);
  await writeFile(pathOf('cut'), 'layer');
  await blobs.delete(blobOf('layer of gone').digest);
  await registry.check((finding) => findings.push(finding));
  const told = findings.map(({ kind, repositories }) => `${kind} ${repositories}`).toSorted();
  assert.deepEqual(told, ['damaged-blob check/flipped', 'missing-blob check/gone', 'wrong-size check/cut']);
  // A client that asks is told that it is missing, and so a push heals it.
  assert.equal((await fetch(`${origin}/v2/check/gone/blobs/${blobOf('layer of gone').digest}`, { method: 'HEAD' })).status, 404);
  await pushImage(origin, 'check/gone', 'v1', 'gone');
  assert.equal((await fetch(`${origin}/v2/check/gone/blobs/${blobOf('layer of gone').digest}`)).status, 200);
  await registry.repository('check/whole').deleteBlob(blobOf('layer of whole').digest, tester);
  await registry.check((finding) => more.push(finding));
  assert.ok(more.some(({ kind, text }) => kind === 'missing-blob' && text.includes('check/whole names')));
});
