import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { writeTar } from '../../archive/tar-writer.ts';
import type { DiffId } from '../../base/brand.ts';
import type { BlobStore, ByteSource } from '../../store/blobs.ts';
import { createBlobStore } from '../../store/blobs.ts';
import type { LayerStore } from '../../store/layer-store.ts';
import { createLeases } from '../../store/leases.ts';
import type { CacheRecord } from '../cache/build-cache.ts';
import { cacheDocumentOf, encodeCacheDocument } from './cache-document.ts';
import { layoutSource } from './cache-place.ts';
import { exportCache, inlineDocument } from './export-cache.ts';
import { importCaches } from './import-cache.ts';
import { layoutTarget } from './layout-target.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-cache-transfer-'));
const open: BlobStore[] = [];
after(async () => {
  for (const blobs of open) await blobs.close();
  rmSync(folder, { recursive: true });
});

const never = () => new AbortController().signal;
const leases = createLeases();
const key = (digit: string) => digit.repeat(64);
let folders = 0;

async function store(): Promise<BlobStore> {
  const blobs = await createBlobStore({ root: join(folder, `blobs-${folders++}`) });
  open.push(blobs);
  return blobs;
}

async function record(blobs: BlobStore, name: string, text: string): Promise<CacheRecord> {
  const tar = writeTar([{ entry: { type: 'file', path: 'f' }, content: Buffer.from(text) }]);
  const blob = await blobs.write(tar, { lease: leases.acquire(), what: 'a layer' });
  const layer = { diffId: blob.digest as string as DiffId, directory: `d-${blob.digest.slice(7)}`, sizeBytes: text.length };
  return { key: name, layer, blob, description: `RUN ${text}`, kind: 'run', createdAt: new Date(0) };
}

/** Takes what it is told to unpack for unpacked. */
const layers: Pick<LayerStore, 'unpack'> = {
  unpack: async (sources) => sources.map(({ diffId }) => ({ diffId, directory: `d-${diffId.slice(7)}`, sizeBytes: 0 })),
};

async function* gzip(plain: ByteSource): AsyncGenerator<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of plain) pieces.push(piece);
  yield gzipSync(Buffer.concat(pieces));
}

async function exportedTo(name: string, blobs: BlobStore, records: readonly CacheRecord[]): Promise<string> {
  const file = createWriteStream(join(folder, `${name}.tar`));
  await once(file, 'open');
  const request = { records, mounts: [], lease: leases.acquire() };
  await exportCache(layoutTarget(file, 'latest', name), request, { blobs, compress: gzip }, never());
  const directory = join(folder, name);
  mkdirSync(directory);
  execFileSync('tar', ['-xf', `${directory}.tar`, '-C', directory]);
  return directory;
}

test('a cache goes out as an OCI layout and comes back, byte for byte', async () => {
  const mine = await store();
  const records = [await record(mine, key('a'), 'one'), await record(mine, key('b'), 'two')];
  const directory = await exportedTo('whole', mine, records);
  const theirs = await store();
  const warnings: string[] = [];
  const parts = { blobs: theirs, layers: layers as LayerStore, warn: (text: string) => void warnings.push(text) };
  const imported = await importCaches([layoutSource(directory, 'latest', 'whole')], parts, never());
  const scratch = { kind: 'tree', layers: [], identity: '' } as const;
  const found = await imported.find(key('b'), scratch, leases.acquire(), never());
  assert.equal(found?.layer.diffId, records[1]?.layer.diffId);
  assert.deepEqual(found?.blob, records[1]?.blob);
  assert.equal(found?.description, 'RUN two');
  assert.equal(await imported.find(key('c'), scratch, leases.acquire(), never()), null);
  assert.ok(!theirs.has((await record(mine, key('a'), 'one')).blob.digest), 'what nobody asks for is not fetched');
  assert.deepEqual(warnings, []);
});

test('a damaged layer is a warning and a miss; so is a cache that is not there', async () => {
  const mine = await store();
  const good = await record(mine, key('a'), 'one');
  const other = await record(mine, key('b'), 'two');
  const directory = await exportedTo('damaged', mine, [{ ...good, layer: { ...good.layer, diffId: other.layer.diffId } }]);
  const warnings: string[] = [];
  const parts = { blobs: await store(), layers: layers as LayerStore, warn: (text: string) => void warnings.push(text) };
  const sources = [layoutSource(join(folder, 'nowhere'), 'latest', 'nowhere'), layoutSource(directory, 'latest', 'damaged')];
  const imported = await importCaches(sources, parts, never());
  const scratch = { kind: 'tree', layers: [], identity: '' } as const;
  assert.equal(await imported.find(key('a'), scratch, leases.acquire(), never()), null);
  assert.match(warnings[0] ?? '', /the build cache nowhere is not used: there is none/);
  assert.match(warnings[1] ?? '', /a step of the build cache damaged is not used: .*digest/);
});

test('what a cache mount held goes along, and comes back as a tree', async () => {
  const mine = await store();
  const { blob } = await record(mine, key('a'), 'packages');
  const file = createWriteStream(join(folder, 'mounts.tar'));
  await once(file, 'open');
  const request = { records: [], mounts: [{ id: key('d'), blob }], lease: leases.acquire() };
  await exportCache(layoutTarget(file, 'latest', 'mounts'), request, { blobs: mine, compress: gzip }, never());
  mkdirSync(join(folder, 'mounts'));
  execFileSync('tar', ['-xf', join(folder, 'mounts.tar'), '-C', join(folder, 'mounts')]);
  const parts = { blobs: await store(), layers: layers as LayerStore, warn: assert.fail };
  const imported = await importCaches([layoutSource(join(folder, 'mounts'), 'latest', 'mounts')], parts, never());
  const tree = await imported.mount(key('d'), leases.acquire(), never());
  assert.deepEqual(
    tree?.layers.map(({ diffId }) => diffId),
    [blob.digest],
  );
  assert.equal(await imported.mount(key('e'), leases.acquire(), never()), null);
});

test('the same records give the same cache', async () => {
  const mine = await store();
  const records = [await record(mine, key('a'), 'one'), await record(mine, key('b'), 'two')];
  const [one, other] = [await exportedTo('first', mine, records), await exportedTo('second', mine, records)];
  assert.deepEqual(readFileSync(join(one, 'index.json')), readFileSync(join(other, 'index.json')));
});

test('inline: records whose layers the image has', async () => {
  const mine = await store();
  const [one, two] = [await record(mine, key('a'), 'one'), await record(mine, key('b'), 'two')];
  const document = inlineDocument([one, two], [two.layer.diffId]);
  const parsed = cacheDocumentOf(Buffer.from(JSON.stringify(document)), 1, 'inline');
  assert.deepEqual(
    parsed.records.map((each) => [each.key, each.layer]),
    [[key('b'), 0]],
  );
});

test('a hostile document is refused', () => {
  const wrong = [
    {},
    { version: 2 },
    { version: 1, records: {} },
    { version: 1, records: [{ key: '../../x', layer: 0, diffId: `sha256:${key('a')}`, kind: 'run', description: '' }] },
    { version: 1, records: [{ key: key('a'), layer: 7, diffId: `sha256:${key('a')}`, kind: 'run', description: '' }] },
    { version: 1, records: [{ key: key('a'), layer: -1, diffId: `sha256:${key('a')}`, kind: 'run', description: '' }] },
    { version: 1, records: [{ key: key('a'), layer: 0, diffId: 'x', kind: 'run', description: '' }] },
    { version: 1, mounts: [{ id: '../x', layer: 0, diffId: `sha256:${key('a')}` }] },
  ];
  for (const document of wrong)
    assert.throws(() => cacheDocumentOf(Buffer.from(JSON.stringify(document)), 1, 'it'), JSON.stringify(document));
  assert.deepEqual(cacheDocumentOf(encodeCacheDocument({ records: [], mounts: [] }), 0, 'it'), { records: [], mounts: [] });
});
