import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestHex, digestOf } from '../oci/digest.ts';
import { createBlobStore } from './blobs.ts';
import { createLeases } from './leases.ts';
import { openPartialBlobs } from './partial-blobs.ts';

const digest = digestOf('the whole');

function temporary(context: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'gantry-partial-'));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

test('PartialBlob: what was appended is there for the next who opens it, and a restart empties it', async (context) => {
  const root = temporary(context);
  const partials = await openPartialBlobs(root);
  const written: number[] = [];
  const first = await partials.open(digest);
  first.onWritten((sizeBytes) => written.push(sizeBytes));
  await Promise.all([first.append(Buffer.from('the ')), first.append(Buffer.from('who'))]);
  assert.equal(first.acceptedBytes, 7);
  await first.flush();
  assert.deepEqual([first.sizeBytes, written.at(-1)], [7, 7]);
  await assert.rejects(partials.open(digest), /is open already/);
  await first.close();
  const second = await partials.open(digest);
  assert.equal(second.sizeBytes, 7);
  await second.append(Buffer.from('le'));
  await second.flush();
  assert.equal(readFileSync(second.path, 'utf8'), 'the whole');
  await second.restart();
  await second.append(Buffer.from('x'));
  await second.close();
  assert.equal(readFileSync(second.path, 'utf8'), 'x');
});

test('openPartialBlobs: what nobody came back for in a week goes, what is no download is told', async (context) => {
  const root = temporary(context);
  const directory = join(root, 'partial');
  mkdirSync(directory);
  const old = digestHex(digestOf('old'));
  for (const name of [digestHex(digest), old, 'stranger']) writeFileSync(join(directory, name), name);
  const longAgo = Date.now() / 1000 - 8 * 24 * 3600;
  utimesSync(join(directory, old), longAgo, longAgo);
  const partials = await openPartialBlobs(root);
  assert.deepEqual(readdirSync(directory).sort(), [digestHex(digest), 'stranger'].sort());
  assert.deepEqual(await partials.strangers(), [join(directory, 'stranger')]);
  const used = await partials.open(digest);
  assert.deepEqual(await partials.removeIdle(), { reclaimedBytes: 0 });
  await used.close();
  assert.deepEqual(await partials.removeIdle(() => true), { reclaimedBytes: 0 });
  assert.deepEqual(await partials.removeIdle(), { reclaimedBytes: 64 });
});

test('BlobStore.adoptAll: files become blobs, keep their names, and are held', async (context) => {
  const blobs = await createBlobStore({ root: temporary(context) });
  context.after(() => blobs.close());
  const partial = await blobs.partials.open(digest);
  await partial.append(Buffer.from('the whole'));
  await partial.close();
  const leases = createLeases();
  const file = { digest, sizeBytes: 9, path: partial.path };
  await blobs.adoptAll([file], leases.acquire());
  await blobs.adoptAll([file], leases.acquire());
  assert.equal(leases.holds(digest), true);
  assert.equal((await blobs.readSmall(digest, 9)).toString(), 'the whole');
  assert.equal(readFileSync(partial.path, 'utf8'), 'the whole');
});
