/** The cache before an upstream that counts: what is asked of it and what is not, who waits for whom, what is kept. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBlobStore } from '../../store/blobs.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases } from '../../store/leases.ts';
import { createRegistry } from '../create-registry.ts';
import type { RegistryEvent, RegistryRepository, StoredBlob } from '../registry.ts';
import { registryMigrations } from '../registry-migrations.ts';
import { createPullThrough, type PullThroughRegistry } from './pull-through.ts';
import { failed, MemoryUpstream } from './testing/memory-upstream.ts';
import type { UpstreamOptions } from './upstream.ts';

const writer = { user: null, address: '127.0.0.1', userAgent: 'test' };
const page = { after: null, limit: 100 };

interface Bench {
  readonly registry: PullThroughRegistry;
  readonly upstream: MemoryUpstream;
  readonly root: string;
  /** Asked of upstream since the last look. */
  news(): string[];
  clock: number;
  reopen(): Promise<Bench>;
}

interface BenchOptions {
  readonly upstreams?: (upstream: MemoryUpstream) => readonly UpstreamOptions[];
  readonly maxBytes?: number;
  readonly root?: string;
  readonly upstream?: MemoryUpstream;
}

async function openBench(context: TestContext, options: BenchOptions = {}): Promise<Bench> {
  const root = options.root ?? mkdtempSync(join(tmpdir(), 'gantry-cache-'));
  const upstream = options.upstream ?? new MemoryUpstream();
  const blobs = await createBlobStore({ root: join(root, 'blobs') });
  const database = await openDatabase(join(root, 'registry.db'), { migrations: registryMigrations });
  const own = await createRegistry({ database, blobs, leases: createLeases(), root });
  const source = { registry: 'docker.io', path: '', ttlMs: 60_000, client: upstream.client, credentials: null };
  const bench = {
    upstream,
    root,
    clock: 1_000_000,
    news: () => upstream.asked.splice(0),
    async reopen(): Promise<Bench> {
      await close();
      return await openBench(context, { ...options, root, upstream });
    },
  };
  const upstreams = options.upstreams?.(upstream) ?? [{ prefix: 'hub', source }];
  const registry = await createPullThrough({ own, upstreams, root, maxBytes: options.maxBytes ?? null, now: () => bench.clock });
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await registry.close();
    await blobs.close();
  };
  context.after(async () => {
    await close();
    rmSync(root, { recursive: true, force: true });
  });
  return Object.assign(bench, { registry });
}

async function read(blob: StoredBlob | null, start = 0, end = blob?.sizeBytes ?? 0): Promise<Buffer> {
  assert.ok(blob);
  const chunks: Uint8Array[] = [];
  for await (const chunk of blob.stream(start, end)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const layer = (sizeBytes: number) => randomBytes(sizeBytes);

test('pull-through: a manifest and its blobs are fetched once, then they are here', async (context) => {
  const bench = await openBench(context);
  const bytes = layer(50_000);
  const { manifest, layers } = bench.upstream.push('library/busybox', 'latest', [bytes]);
  const events: RegistryEvent[] = [];
  bench.registry.onEvent((event) => events.push(event));
  const repository = bench.registry.repository('hub/busybox');
  const all = await Promise.all(Array.from({ length: 20 }, () => repository.manifest('latest')));
  assert.ok(all.every((each) => each?.digest === manifest.digest));
  assert.deepEqual(bench.news(), ['GET manifest library/busybox:latest']);
  assert.equal((await repository.manifest(manifest.digest))?.digest, manifest.digest);
  const digest = layers[0]?.digest;
  assert.ok(digest);
  const blobs = await Promise.all(Array.from({ length: 20 }, async () => read(await repository.blob(digest))));
  assert.ok(blobs.every((each) => each.equals(bytes)));
  assert.deepEqual(bench.news(), ['GET blob library/busybox 0']);
  await settled(repository, digest);
  assert.ok((await repository.blob(digest))?.path);
  assert.deepEqual(await read(await repository.blob(digest), 10, 20), bytes.subarray(10, 20));
  assert.deepEqual(bench.news(), []);
  assert.deepEqual(
    events.map(({ action, kind, repository: name }) => [action, kind, name]),
    [
      ['pull-through', 'manifest', 'hub/busybox'],
      ['pull-through', 'blob', 'hub/busybox'],
    ],
  );
  assert.deepEqual(bench.registry.repositories(page).entries, ['hub/busybox']);
  const again = await bench.reopen();
  again.upstream.failure = failed('unavailable', 'down', null);
  assert.deepEqual(await read(await again.registry.repository('hub/busybox').blob(digest)), bytes);
});

test('pull-through: SEC-26 one repository does not give what came for another, nor what no manifest names', async (context) => {
  const bench = await openBench(context);
  const bytes = layer(5000);
  const secret = bench.upstream.push('team/secret', 'v1', [bytes]);
  const open = bench.upstream.push('team/open', 'v1', [layer(10)]);
  const digest = secret.layers[0]?.digest;
  assert.ok(digest);
  const [hidden, seen] = ['hub/team/secret', 'hub/team/open'].map((name) => bench.registry.repository(name));
  assert.equal(await hidden?.blob(digest), null);
  await hidden?.manifest('v1');
  await read((await hidden?.blob(digest)) ?? null);
  await seen?.manifest('v1');
  assert.equal(await seen?.blob(digest), null);
  assert.equal(await seen?.manifest(secret.manifest.digest).catch(() => null), null);
  assert.equal((await seen?.manifest(open.manifest.digest))?.digest, open.manifest.digest);
  // Two repositories of one upstream that both have it: upstream is asked, the bytes do not come twice.
  await settled(hidden as RegistryRepository, digest);
  bench.upstream.push('team/other', 'v1', [bytes]);
  const other = bench.registry.repository('hub/team/other');
  await other.manifest('v1');
  bench.news();
  assert.deepEqual(await read(await other.blob(digest)), bytes);
  assert.deepEqual(bench.news(), ['HEAD blob team/other']);
});

test('pull-through: a slow reader and one that leaves hold up nobody; a range waits for its bytes', async (context) => {
  const bench = await openBench(context);
  const bytes = layer(2_000_000);
  bench.upstream.pieceBytes = 100_000;
  const { layers } = bench.upstream.push('library/big', 'v1', [bytes]);
  const repository = bench.registry.repository('hub/library/big');
  await repository.manifest('v1');
  const digest = layers[0]?.digest;
  assert.ok(digest);
  const gate = Promise.withResolvers<void>();
  bench.upstream.beforePiece = async (at) => {
    if (at >= 1_000_000) await gate.promise;
  };
  const slow = (await repository.blob(digest))?.stream(0, bytes.length)[Symbol.asyncIterator]();
  const first = await slow?.next();
  assert.ok(first && !first.done);
  const leaving = (await repository.blob(digest))?.stream(0, bytes.length)[Symbol.asyncIterator]();
  await leaving?.next();
  await leaving?.return?.();
  const range = read(await repository.blob(digest), 1_500_000, 1_600_000);
  const whole = read(await repository.blob(digest));
  gate.resolve();
  assert.deepEqual(await range, bytes.subarray(1_500_000, 1_600_000));
  assert.deepEqual(await whole, bytes);
  await settled(repository, digest);
  assert.ok((await repository.blob(digest))?.path, 'kept, although a reader has not finished');
  const rest: Uint8Array[] = [first.value];
  for (let next = await slow?.next(); next && !next.done; next = await slow?.next()) rest.push(next.value);
  assert.ok(Buffer.concat(rest).equals(bytes));
  assert.equal(bench.news().filter((line) => line.startsWith('GET blob')).length, 1);
});

test('pull-through: a fetch that is cut goes on where it was, also after a restart', async (context) => {
  const bench = await openBench(context);
  const bytes = layer(1_000_000);
  bench.upstream.pieceBytes = 100_000;
  const { layers } = bench.upstream.push('library/cut', 'v1', [bytes]);
  const digest = layers[0]?.digest;
  assert.ok(digest);
  const repository = bench.registry.repository('hub/library/cut');
  await repository.manifest('v1');
  bench.news();
  let cuts = 1;
  bench.upstream.beforePiece = async (at) => {
    if (at === 400_000 && cuts-- > 0) throw failed('unavailable', 'cut', null, { retryable: true });
    if (at === 700_000) throw failed('unavailable', 'gone', 500);
  };
  await assert.rejects(read(await repository.blob(digest)), /upstream docker.io: gone/);
  assert.deepEqual(bench.news(), ['GET blob library/cut 0', 'GET blob library/cut 400000']);
  const again = await bench.reopen();
  again.upstream.beforePiece = async () => {};
  assert.ok((await read(await again.registry.repository('hub/library/cut').blob(digest))).equals(bytes));
  assert.deepEqual(again.news(), ['GET blob library/cut 700000']);
});

test('pull-through: SEC-24 damaged bytes are never given out whole, and not kept', async (context) => {
  const bench = await openBench(context);
  const { layers } = bench.upstream.push('library/bad', 'v1', [layer(30_000)]);
  const digest = layers[0]?.digest;
  assert.ok(digest);
  bench.upstream.damaged.set(digest, layer(30_000));
  const repository = bench.registry.repository('hub/library/bad');
  await repository.manifest('v1');
  let came = 0;
  await assert.rejects(async () => {
    for await (const chunk of (await repository.blob(digest))?.stream(0, 30_000) ?? []) came += chunk.length;
  }, /came damaged from upstream/);
  assert.ok(came < 30_000);
  assert.deepEqual(readdirSync(join(bench.root, 'cache/blobs/sha256')), []);
  assert.deepEqual(readdirSync(join(bench.root, 'cache/uploads')), []);
  bench.upstream.damaged.clear();
  assert.equal((await read(await repository.blob(digest))).length, 30_000);
});

test('pull-through: a tag is believed for its TTL, then looked at; while upstream is down it is served as stale', async (context) => {
  const bench = await openBench(context);
  const first = bench.upstream.push('library/moves', 'v1', [layer(10)]);
  const repository = bench.registry.repository('hub/library/moves');
  assert.equal((await repository.manifest('v1'))?.cached?.ageSeconds, 0);
  const second = bench.upstream.push('library/moves', 'v1', [layer(20)]);
  bench.clock += 59_000;
  const believed = await repository.manifest('v1');
  assert.deepEqual([believed?.digest, believed?.cached], [first.manifest.digest, { ageSeconds: 59, isStale: false }]);
  bench.clock += 2_000;
  bench.news();
  assert.equal((await repository.manifest('v1'))?.digest, second.manifest.digest);
  assert.deepEqual(bench.news(), ['HEAD manifest library/moves:v1', 'GET manifest library/moves:v1']);
  bench.clock += 61_000;
  await repository.manifest('v1');
  assert.deepEqual(bench.news(), ['HEAD manifest library/moves:v1']);
  bench.clock += 61_000;
  bench.upstream.failure = failed('unavailable', 'connection refused', null);
  const stale = await repository.manifest('v1');
  assert.deepEqual([stale?.digest, stale?.cached], [second.manifest.digest, { ageSeconds: 61, isStale: true }]);
  await repository.manifest('v1');
  assert.equal(bench.news().length, 1, 'one that is down is left alone for a while');
  await assert.rejects(repository.manifest('v2'), {
    refusal: 'UNAVAILABLE',
    message: 'upstream docker.io: connection refused (it is asked again in 5 s)',
  });
  assert.deepEqual((await repository.tags(page)).entries, ['v1']);
  bench.upstream.failure = failed('forbidden', 'denied: your account was closed', 403);
  bench.clock += 61_000;
  await assert.rejects(repository.manifest('v1'), { refusal: 'DENIED' });
  bench.upstream.failure = null;
  bench.upstream.contents('library/moves').tags.clear();
  await assert.rejects(repository.manifest('v1'), /has no tag v1 of library\/moves any more/);
});

test('pull-through: a rate limit is honoured, and told with its time', async (context) => {
  const bench = await openBench(context);
  bench.upstream.push('library/some', 'v1', [layer(10)]);
  const repository = bench.registry.repository('hub/library/some');
  bench.upstream.failure = failed('unavailable', 'toomanyrequests: You have reached your pull rate limit', 429, {
    retryAfterMs: 30_000,
    retryable: true,
  });
  await assert.rejects(repository.manifest('v1'), { refusal: 'TOOMANYREQUESTS', retryAfterSeconds: 30 });
  bench.clock += 10_000;
  await assert.rejects(repository.manifest('v1'), { refusal: 'TOOMANYREQUESTS', retryAfterSeconds: 20 });
  assert.equal(bench.news().length, 1);
  bench.clock += 20_001;
  bench.upstream.failure = null;
  assert.ok(await repository.manifest('v1'));
});

test('pull-through: an upstream that asks to be left alone for years is asked again after an hour', async (context) => {
  const bench = await openBench(context);
  bench.upstream.push('library/some', 'v1', [layer(10)]);
  const repository = bench.registry.repository('hub/library/some');
  bench.upstream.failure = failed('unavailable', 'busy', 429, { retryAfterMs: 999_999_999_000, retryable: true });
  await assert.rejects(repository.manifest('v1'), { refusal: 'TOOMANYREQUESTS', retryAfterSeconds: 3600 });
  bench.clock += 3_600_001;
  bench.upstream.failure = null;
  assert.ok(await repository.manifest('v1'));
});

test('pull-through: what upstream does not have is asked for again only after a while', async (context) => {
  const bench = await openBench(context);
  bench.upstream.push('library/some', 'v1', [layer(10)]);
  const repository = bench.registry.repository('hub/library/some');
  for (let times = 0; times < 5; times++)
    await assert.rejects(repository.manifest('no'), {
      refusal: 'MANIFEST_UNKNOWN',
      message: /upstream docker\.io: manifest for library\/some:no not found/,
    });
  assert.equal(bench.news().length, 1);
  bench.upstream.push('library/some', 'no', [layer(10)]);
  bench.clock += 10_001;
  assert.ok(await repository.manifest('no'));
});

test('pull-through: stays within its size, what was used longest ago goes first', async (context) => {
  const bench = await openBench(context, { maxBytes: 40_000 });
  const repository = bench.registry.repository('hub/library/many');
  const digests = [];
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    const [only] = bench.upstream.push('library/many', name, [layer(10_000)]).layers;
    assert.ok(only);
    await repository.manifest(name);
    bench.clock += 1000;
    if (name === 'e') await read(await repository.blob(digests[0] ?? only.digest));
    bench.clock += 1000;
    await read(await repository.blob(only.digest));
    await settled(repository, only.digest);
    digests.push(only.digest);
  }
  const here = await Promise.all(digests.map(async (digest) => (await repository.blob(digest))?.path != null));
  assert.deepEqual(here, [true, false, false, true, true]);
  assert.ok(bench.registry.stats().blobBytes <= 40_000);
  const [huge] = bench.upstream.push('library/many', 'huge', [layer(50_000)]).layers;
  await repository.manifest('huge');
  assert.equal((await read(await repository.blob(huge?.digest as never))).length, 50_000);
  assert.ok(bench.registry.stats().blobBytes <= 40_000);
});

test('pull-through: nothing is pushed to it; the longest prefix decides; what is excepted is ours', async (context) => {
  const other = new MemoryUpstream();
  const credentials = { kind: 'basic', username: 'u', password: 'p' } as const;
  const bench = await openBench(context, {
    upstreams: (upstream) => [
      { prefix: '', source: { registry: 'docker.io', path: '', ttlMs: 1, client: upstream.client, credentials: null } },
      { prefix: 'lab', source: { registry: '10.0.0.7:5000', path: 'team', ttlMs: 1, client: other.client, credentials } },
      { prefix: 'ours', source: null },
    ],
  });
  bench.upstream.push('library/busybox', 'latest', [layer(1)]);
  other.push('team/app', 'v1', [layer(1)]);
  assert.ok(await bench.registry.repository('library/busybox').manifest('latest'));
  assert.ok(await bench.registry.repository('lab/app').manifest('v1'));
  assert.deepEqual(other.credentials.at(-1), credentials);
  const upload = await bench.registry.repository('ours/thing').beginUpload(writer);
  await upload.cancel();
  await assert.rejects(bench.registry.repository('lab/app').beginUpload(writer), {
    refusal: 'DENIED',
    message:
      'lab/app is a pull-through cache of 10.0.0.7:5000/team/app: nothing is pushed to it. Push to 10.0.0.7:5000 itself, or under another name',
  });
  assert.equal(bench.registry.repository('lab').name, 'lab');
  const kept = bench.registry.kept.repository('lab/app');
  other.asked.splice(0);
  assert.equal(await kept.manifest('v2'), null);
  assert.deepEqual([(await kept.tags(page)).entries, other.asked], [['v1'], []]);
});

test('pull-through: check removes what is damaged, and it comes again', async (context) => {
  const bench = await openBench(context);
  const bytes = layer(5000);
  const digest = bench.upstream.push('library/some', 'v1', [bytes, layer(3)]).layers[0]?.digest;
  assert.ok(digest);
  const repository = bench.registry.repository('hub/library/some');
  await repository.manifest('v1');
  await read(await repository.blob(digest));
  await settled(repository, digest);
  const path = (await repository.blob(digest))?.path;
  assert.ok(path && existsSync(path));
  writeFileSync(path, layer(5000));
  const findings: string[] = [];
  await bench.registry.check(({ kind }) => findings.push(kind));
  assert.deepEqual(findings, ['damaged-blob']);
  assert.ok((await read(await repository.blob(digest))).equals(bytes));
});

/** Until its fetch, if there is one, has ended. */
async function settled(repository: RegistryRepository, digest: Parameters<RegistryRepository['blob']>[0]): Promise<void> {
  while ((await repository.blob(digest))?.path == null) await sleep(5);
}
