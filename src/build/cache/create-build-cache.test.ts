import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { DiffId, Digest } from '../../base/brand.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases } from '../../store/leases.ts';
import type { CacheKey, CachePruneOptions, NewCacheRecord } from './build-cache.ts';
import { type BuildCacheOptions, createBuildCache } from './create-build-cache.ts';

const everything: CachePruneOptions = { all: true, unusedSince: null, ids: [], types: [], keepBytes: null };
const now = new AbortController().signal;

function hex(text: string): string {
  return Buffer.from(text).toString('hex').padEnd(64, '0');
}

function key(name: string, parts: Record<string, string> = {}, below: string | null = null): CacheKey {
  return {
    digest: hex(name),
    place: 'web RUN make',
    position: null,
    parts: new Map(Object.entries(parts)),
    below: below === null ? null : (`sha256:${hex(below)}` as DiffId),
  };
}

function made(layer: string, sizeBytes = 100): NewCacheRecord {
  return {
    layer: { diffId: `sha256:${hex(layer)}` as DiffId, directory: `d-${hex(layer)}`, sizeBytes },
    blob: { digest: `sha256:${hex(layer)}` as Digest, sizeBytes: sizeBytes * 2 },
    description: `[build 2/4] RUN ${layer}`,
    kind: 'run',
  };
}

async function bench(context: TestContext, given: Partial<BuildCacheOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), 'gantry-cache-'));
  const leases = createLeases();
  const lost = new Set<string>();
  const images = { blobs: new Set<Digest>(), directories: new Set<string>() };
  let sweeps = 0;
  const closing: (() => Promise<void>)[] = [];
  context.after(async () => {
    for (const close of closing.reverse()) await close();
    await rm(root, { recursive: true });
  });
  const open = async () => {
    const database = await openDatabase(join(root, 'db'));
    const cache = await createBuildCache({
      database,
      leases,
      isThere: ({ layer, blob }) => !lost.has(layer.directory) && !lost.has(blob.digest),
      inUse: () => images,
      sweep: async () => void sweeps++,
      mountRoot: join(root, 'mounts'),
      limitBytes: 1 << 30,
      ...given,
    });
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      await cache.close();
      await database.close();
    };
    closing.push(close);
    return { cache, close };
  };
  const first = await open();
  return { ...first, open, leases, lost, images, root, sweeps: () => sweeps };
}

test('createBuildCache: what was added is found again, also by the next daemon', async (context) => {
  const { cache, close, open, leases } = await bench(context);
  const lease = leases.acquire();
  assert.equal(await cache.find(key('a'), lease), null);
  await cache.add(key('a'), made('layer'));
  assert.deepEqual((await cache.find(key('a'), lease))?.layer, made('layer').layer);
  assert.ok(leases.holds(made('layer').blob.digest) && leases.holdsLayer(made('layer').layer.directory));
  await close();
  const next = await open();
  assert.deepEqual((await next.cache.find(key('a'), lease))?.blob, made('layer').blob);
  assert.equal((await next.cache.usage())[0]?.usageCount, 3);
  assert.ok(next.cache.holds(made('layer').blob.digest));
  assert.deepEqual([...next.cache.layerDirectories()], [made('layer').layer.directory]);
});

test('createBuildCache: of one key the first stays, unless the new one replaces it', async (context) => {
  const { cache, leases } = await bench(context);
  await cache.add(key('a'), made('one'));
  assert.equal((await cache.add(key('a'), made('two'))).layer.directory, made('one').layer.directory);
  assert.equal((await cache.add(key('a'), made('two'), { replace: true })).layer.directory, made('two').layer.directory);
  assert.equal((await cache.find(key('a'), leases.acquire()))?.layer.directory, made('two').layer.directory);
  assert.equal(cache.holds(made('one').blob.digest), false);
});

test('createBuildCache: a record that lost its layer or blob is no hit, at once and at the next start', async (context) => {
  const { cache, close, open, leases, lost } = await bench(context);
  await cache.add(key('a'), made('one'));
  await cache.add(key('b'), made('two'));
  lost.add(made('one').layer.directory);
  assert.equal(await cache.find(key('a'), leases.acquire()), null);
  assert.equal((await cache.usage()).length, 1);
  lost.add(made('two').blob.digest);
  await close();
  assert.deepEqual(await (await open()).cache.usage(), []);
});

test('usage: each layer and blob counts once, what images have is shared, parents are the steps below', async (context) => {
  const { cache, leases, images } = await bench(context);
  await cache.add(key('a'), made('one'));
  await cache.add(key('same'), made('one'));
  await cache.add(key('b', {}, 'one'), made('two', 10));
  images.directories.add(made('one').layer.directory);
  const lease = leases.acquire();
  await cache.find(key('b'), lease);
  const usage = await cache.usage();
  assert.deepEqual(
    usage.map(({ sizeBytes, shared, inUse, type }) => ({ sizeBytes, shared, inUse, type })),
    [
      { sizeBytes: 300, shared: true, inUse: false, type: 'regular' },
      { sizeBytes: 0, shared: true, inUse: false, type: 'regular' },
      { sizeBytes: 30, shared: false, inUse: true, type: 'regular' },
    ],
  );
  assert.deepEqual(usage[2]?.parents, [usage[0]?.id, usage[1]?.id]);
  assert.equal(usage[0]?.description, '[build 2/4] RUN one');
});

test('prune: what images have stays unless all is said; what a build holds always does', async (context) => {
  const { cache, leases, images, sweeps } = await bench(context);
  await cache.add(key('a'), made('one'));
  await cache.add(key('b'), made('two'));
  await cache.add(key('c'), made('three'));
  images.directories.add(made('one').layer.directory);
  const lease = leases.acquire();
  await cache.find(key('b'), lease);
  const first = await cache.prune({ ...everything, all: false });
  assert.deepEqual(first, { deleted: [hex('c').slice(0, 25)], reclaimedBytes: 300 });
  assert.equal(sweeps(), 1);
  // Of what the image has only the blob is freed.
  assert.deepEqual(await cache.prune(everything), { deleted: [hex('a').slice(0, 25)], reclaimedBytes: 200 });
  lease.release();
  assert.equal((await cache.prune(everything)).reclaimedBytes, 300);
  assert.deepEqual(await cache.prune(everything), { deleted: [], reclaimedBytes: 0 });
});

test('prune: a layer that two records own is freed with the second', async (context) => {
  const { cache } = await bench(context);
  await cache.add(key('a'), made('one'));
  await cache.add(key('b'), made('one'));
  const ids = [hex('a').slice(0, 12)];
  assert.equal((await cache.prune({ ...everything, ids })).reclaimedBytes, 0);
  assert.equal((await cache.prune(everything)).reclaimedBytes, 300);
});

test('prune: unused since, types and kept bytes; the latest used stay', async (context) => {
  const { cache, leases } = await bench(context);
  for (const name of ['one', 'two', 'three']) {
    await cache.add(key(name), made(name));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const lease = leases.acquire();
  await cache.find(key('one'), lease);
  lease.release();
  assert.deepEqual((await cache.prune({ ...everything, types: ['exec.cachemount'] })).deleted, []);
  assert.deepEqual((await cache.prune({ ...everything, unusedSince: new Date(0) })).deleted, []);
  assert.deepEqual((await cache.prune({ ...everything, keepBytes: 650 })).deleted, [hex('two').slice(0, 25)]);
  assert.deepEqual((await cache.prune({ ...everything, keepBytes: 650 })).deleted, []);
  assert.equal((await cache.prune({ ...everything, unusedSince: new Date(Date.now() + 1000) })).deleted.length, 2);
});

test('prune: on a full disk files go first, as the database can write only then', async (context) => {
  const { cache, close, root, leases } = await bench(context);
  await cache.add(key('a'), made('one'));
  await close();
  const database = await openDatabase(join(root, 'db'));
  let isFull = true;
  const write: typeof database.write = (...parameters) =>
    isFull ? Promise.reject(new Error('no space left on device')) : database.write(...parameters);
  const full = await createBuildCache({
    database: { ...database, query: (sql, ...parameters) => database.query(sql, ...parameters), write },
    leases,
    isThere: () => true,
    inUse: () => ({ blobs: new Set(), directories: new Set() }),
    sweep: async () => {
      assert.equal(full.layerDirectories().size, 0);
      isFull = false;
    },
    mountRoot: join(root, 'mounts'),
  });
  assert.equal((await full.prune(everything)).reclaimedBytes, 300);
  await full.close();
  assert.deepEqual(await database.query('SELECT key FROM build_cache'), []);
  await database.close();
});

test('the limit: the longest unused go by themselves', async (context) => {
  const { cache, leases } = await bench(context, { limitBytes: 700 });
  for (const name of ['one', 'two', 'three']) {
    await cache.add(key(name), made(name));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  while ((await cache.usage()).length > 2) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await cache.find(key('one'), leases.acquire()), null);
  assert.ok(await cache.find(key('three'), leases.acquire()));
});

test('explain: compared with the last step of the same place, also after a restart', async (context) => {
  const { cache, close, open } = await bench(context);
  const reasons = async (name: string, parts: Record<string, string>, outcome: 'hit' | 'miss' | 'no-cache', from = cache) =>
    (await from.explain(key(name, parts), outcome)).reasons;
  assert.deepEqual(await reasons('a', { 'argument V': '"1"' }, 'miss'), ['never built before']);
  assert.deepEqual(await reasons('a', { 'argument V': '"1"' }, 'hit'), ['nothing changed']);
  assert.deepEqual(await reasons('b', { 'argument V': '"2"' }, 'miss'), ['build argument V is "2", was "1"']);
  assert.deepEqual(await reasons('a', { 'argument V': '"1"' }, 'hit'), ['built like this before', 'build argument V is "1", was "2"']);
  assert.deepEqual(await reasons('a', { 'argument V': '"1"' }, 'no-cache'), ['--no-cache']);
  assert.deepEqual(await reasons('a', { 'argument V': '"1"' }, 'miss'), [
    'its last build failed, or its result is not in the cache any more',
  ]);
  await close();
  const next = await open();
  assert.deepEqual(await reasons('c', { 'argument V': '"3"', below: '#1' }, 'miss', next.cache), [
    'build argument V is "3", was "1"',
    'the step before it changed',
  ]);
});

test('explain: an instruction that was changed is told from one that is new', async (context) => {
  const { cache } = await bench(context);
  const at = async (name: string, place: string, position: string) =>
    (await cache.explain({ ...key(name, { instruction: `#${name}`, 'argument V': `"${name}"` }), place, position }, 'miss')).reasons;
  assert.deepEqual(await at('a', 'RUN a', '2'), ['never built before']);
  assert.deepEqual(await at('b', 'RUN b', '2'), ['the instruction changed']);
  assert.deepEqual(await at('new', 'RUN new', '3'), ['never built before']);
  assert.deepEqual(await at('c', 'RUN b', '4'), ['the instruction changed', 'build argument V is "c", was "b"']);
});

test('cache mounts count, are pruned when free, and their type can be asked for', async (context) => {
  const { cache } = await bench(context);
  const request = { id: '/root/.cache', sharing: 'shared', fill: null, origin: '', mode: 0o755, uid: 0, gid: 0 } as const;
  const held = await cache.mounts.acquire(request, now);
  await writeFile(join(held.directory, 'f'), 'x'.repeat(1000));
  const [usage] = await cache.usage();
  assert.deepEqual([usage?.type, usage?.sizeBytes, usage?.inUse], ['exec.cachemount', 1000, true]);
  assert.deepEqual((await cache.prune(everything)).deleted, []);
  await held.release();
  const { deleted, reclaimedBytes } = await cache.prune({ ...everything, types: ['exec.cachemount'] });
  assert.deepEqual([deleted, reclaimedBytes], [[usage?.id], 1000]);
});

test('builds, prunes and mounts at once: what a build holds never goes, and nothing is owned that no record names', async (context) => {
  const { cache, leases } = await bench(context, { limitBytes: 2000 });
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % below;
  };
  const build = async () => {
    const lease = leases.acquire();
    const used: string[] = [];
    for (let step = 0; step < 4; step++) {
      const name = `step${random(12)}`;
      lease.hold(made(name).blob.digest);
      lease.holdLayer(made(name).layer.directory);
      const found = (await cache.find(key(name), lease)) ?? (await cache.add(key(name), made(name)));
      used.push(found.layer.directory);
      const directories = cache.layerDirectories();
      for (const directory of used) assert.ok(directories.has(directory), `${directory} is gone while it is held`);
    }
    lease.release();
  };
  const mount = async () => {
    const sharing = (['shared', 'private', 'locked'] as const)[random(3)] ?? 'shared';
    const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const held = await cache.mounts.acquire({ id: `m${random(3)}`, sharing, fill: null, origin: '', mode: 0o755, ...own }, now);
    await writeFile(join(held.directory, 'f'), 'x'.repeat(random(500)));
    await held.release();
  };
  const prune = async () => {
    const { reclaimedBytes } = await cache.prune({ ...everything, keepBytes: random(2) === 0 ? null : 500 });
    assert.ok(reclaimedBytes >= 0);
  };
  const works = [build, build, build, mount, mount, prune];
  for (let round = 0; round < 25; round++) await Promise.all(Array.from({ length: 6 }, () => works[random(works.length)]?.()));
  const usage = await cache.usage();
  assert.equal(usage.filter(({ type }) => type === 'regular').length, cache.layerDirectories().size);
  await cache.prune(everything);
  assert.deepEqual(await cache.usage(), []);
  assert.equal(cache.layerDirectories().size, 0);
});
