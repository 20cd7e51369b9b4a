import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Digest } from '../base/brand.ts';
import { digestOf } from '../oci/digest.ts';
import { type BlobStore, createBlobStore } from './blobs.ts';
import { createLeases } from './leases.ts';

async function openStore(context: TestContext): Promise<{ store: BlobStore; root: string; left: () => readonly string[] }> {
  const root = await mkdtemp(join(tmpdir(), 'gantry-blobs-'));
  const store = await createBlobStore({ root });
  context.after(async () => {
    await store.close();
    await rm(root, { recursive: true, force: true });
  });
  return { store, root, left: () => [...readdirSync(join(root, 'tmp')), ...readdirSync(join(root, 'sha256'))] };
}

function* pieces(bytes: Buffer, sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += sizeBytes) yield bytes.subarray(at, at + sizeBytes);
}

for (const [what, lengthBytes] of [
  ['nothing', 0],
  ['a little', 1000],
  ['the most that is kept inline', 256 * 1024],
  ['a byte more', 256 * 1024 + 1],
  ['much', 9_000_001],
] as const) {
  test(`BlobStore.write: ${what}: every byte, whatever the pieces`, async (context) => {
    const { store } = await openStore(context);
    const bytes = randomBytes(lengthBytes);
    for (const pieceBytes of [977, 65_536, 1 << 22]) {
      const lease = createLeases().acquire();
      const info = await store.write(pieces(bytes, pieceBytes), { lease, expectedDigest: digestOf(bytes), expectedSizeBytes: lengthBytes });
      assert.deepEqual(info, { digest: digestOf(bytes), sizeBytes: lengthBytes });
      assert.ok((await buffer(store.stream(info.digest))).equals(bytes));
      assert.deepEqual(await store.list(), [info.digest]);
      await store.delete(info.digest);
    }
  });
}

test('SEC-23 BlobStore.write: another digest or size is refused and leaves nothing', async (context) => {
  const { store, left } = await openStore(context);
  for (const lengthBytes of [100, 1_000_000]) {
    const bytes = randomBytes(lengthBytes);
    const lease = createLeases().acquire();
    await assert.rejects(
      store.write([bytes], { lease, expectedDigest: digestOf('other'), what: 'layer' }),
      /layer is damaged: its digest is sha256/,
    );
    await assert.rejects(store.write([bytes], { lease, expectedSizeBytes: lengthBytes + 1 }), /bytes where \d+ were announced/);
    await assert.rejects(store.write([bytes], { lease, expectedSizeBytes: lengthBytes - 1 }), /is larger than the/);
    await assert.rejects(store.write([bytes], { lease, limitBytes: 10 }), { code: 'invalid' });
    assert.deepEqual(left(), []);
  }
});

test('BlobStore.stage: a source that fails, an abort: nothing left, the worker goes on', async (context) => {
  const { store, left } = await openStore(context);
  const block = randomBytes(200_000);
  async function* failing() {
    for (let count = 0; count < 5; count++) yield block;
    throw new Error('connection lost');
  }
  const abort = new AbortController();
  async function* aborted() {
    for (let count = 0; count < 5; count++) yield block;
    abort.abort();
    yield block;
  }
  await assert.rejects(store.stage(failing()), /connection lost/);
  await assert.rejects(store.stage(aborted(), { signal: abort.signal }), { name: 'AbortError' });
  assert.deepEqual(left(), []);
  const staged = await store.stage([block, block]);
  assert.equal(left().length, 1);
  await staged.discard();
  assert.deepEqual(left(), []);
});

test('BlobStore: a full disk is a typed error and leaves nothing', {
  skip: process.getuid?.() === 0 ? false : 'needs root to mount a small tmpfs',
}, async (context) => {
  const { execFileSync } = await import('node:child_process');
  const root = await mkdtemp(join(tmpdir(), 'gantry-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', root]);
  const store = await createBlobStore({ root });
  context.after(async () => {
    await store.close();
    execFileSync('umount', [root]);
    await rm(root, { recursive: true });
  });
  const lease = createLeases().acquire();
  await store.write([randomBytes(900_000)], { lease });
  for (const lengthBytes of [200_000, 2_000_000]) {
    await assert.rejects(store.write(pieces(randomBytes(lengthBytes), 65536), { lease, what: 'layer 1' }), {
      code: 'system',
      message: /cannot write layer 1 to .*: no space left on device/,
    });
  }
  assert.deepEqual(readdirSync(join(root, 'tmp')), []);
  const [first] = await store.list();
  await store.delete(first as Digest);
  assert.deepEqual(await store.list(), []);
});

test('BlobStore.readSmall: limit, missing, damaged on the disk', async (context) => {
  const { store } = await openStore(context);
  const { digest } = await store.write([Buffer.from('hello')], { lease: createLeases().acquire() });
  assert.equal((await store.readSmall(digest, 5)).toString(), 'hello');
  await assert.rejects(store.readSmall(digest, 4), { code: 'invalid' });
  await assert.rejects(store.readSmall(digestOf('absent'), 4), { code: 'not-found' });
  await writeFile(store.path(digest), 'hellO');
  await assert.rejects(store.readSmall(digest, 5), /is damaged on the disk/);
  assert.throws(() => store.path('sha256:../../etc/passwd' as Digest), { code: 'invalid' });
});

test('BlobStore: a commit is held by its lease before anybody sees it; delete hides at once', async (context) => {
  const { store } = await openStore(context);
  const leases = createLeases();
  const lease = leases.acquire();
  const staged = await store.stage([Buffer.from('a')]);
  const committing = staged.commit(lease);
  assert.equal(leases.holds(staged.digest), true);
  await committing;
  const deleting = store.delete(staged.digest);
  assert.equal(store.has(staged.digest), false);
  await deleting;
  lease.release();
  assert.equal(leases.holds(staged.digest), false);
});

test('createBlobStore: what a killed daemon was writing is removed at open', async (context) => {
  const { store, root } = await openStore(context);
  await store.write([Buffer.from('kept')], { lease: createLeases().acquire() });
  await mkdir(join(root, 'tmp'), { recursive: true });
  await writeFile(join(root, 'tmp/1'), 'half');
  const again = await createBlobStore({ root });
  assert.equal(existsSync(join(root, 'tmp/1')), false);
  assert.deepEqual(await again.list(), [digestOf('kept')]);
});

test('BlobStore.measure: digest and size of the plain bytes, within a limit', async (context) => {
  const { store } = await openStore(context);
  const plain = Buffer.alloc(5_000_000, 'abc');
  const staged = await store.stage([gzipSync(plain)]);
  assert.deepEqual(await store.measure(staged, plain.length), { digest: digestOf(plain), sizeBytes: plain.length });
  await assert.rejects(store.measure(staged, plain.length - 1), { code: 'invalid' });
  await staged.discard();
});

test('BlobStore.write: the event loop stays free while a big blob is hashed and written', async (context) => {
  const { store } = await openStore(context);
  const block = randomBytes(1 << 20);
  let longestMs = 0;
  let last = performance.now();
  const ticker = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }, 1);
  await store.write(
    Array.from({ length: 100 }, () => block),
    { lease: createLeases().acquire() },
  );
  clearInterval(ticker);
  assert.ok(longestMs < 500, `the event loop stood still for ${longestMs} ms`);
});
