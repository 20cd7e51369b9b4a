import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chainIds, digestOf, shortId } from '../oci/digest.ts';
import type { ImageUser, RemovedImage } from './catalogue.ts';
import { type BuiltImage, buildImage, dockerArchive } from './fixtures/archives.ts';
import { type CatalogueBench, openBench } from './fixtures/catalogue-bench.ts';

const gentle = { force: false, noPrune: false };
const forced = { force: true, noPrune: false };
const container = 'c'.repeat(64);

async function loaded(bench: CatalogueBench, image: BuiltImage, ...tags: string[]): Promise<string> {
  await bench.load(await dockerArchive([{ image, tags }]));
  return digestOf(image.config);
}

function use(bench: CatalogueBench, id: string, running: boolean): void {
  const users: readonly ImageUser[] = [{ containerId: container, running, reference: 'x' }];
  bench.catalogue.setUsers((image) => (image === id ? users : []));
}

function said(removed: readonly RemovedImage[]): readonly string[] {
  return removed.map((entry) => (entry.kind === 'untagged' ? `Untagged: ${entry.reference}` : `Deleted: ${entry.id}`));
}

test('remove: by the last tag the image and its layer chain go, topmost first, and nothing is left', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage({ files: ['a', 'b'] }), 'x:1');
  const chain = chainIds(bench.catalogue.resolve('x:1').diffIds);
  bench.events.length = 0;
  const removed = await bench.catalogue.remove('x:1', gentle);
  assert.deepEqual(said(removed), ['Untagged: x:1', `Deleted: ${id}`, `Deleted: ${chain[1]}`, `Deleted: ${chain[0]}`]);
  assert.deepEqual(bench.kept(), []);
  assert.deepEqual(
    bench.events.map(({ action }) => action),
    ['untag', 'delete'],
  );
  await assert.rejects(bench.catalogue.remove('x:1', gentle), { code: 'not-found', message: 'No such image: x:1' });
});

test('remove: a layer that another image has stays', async (context) => {
  const bench = await openBench(context);
  await loaded(bench, await buildImage({ files: ['base'] }), 'base:1');
  const other = await buildImage({ files: ['base', 'more'] });
  const id = await loaded(bench, other, 'more:1');
  const before = bench.layers.directories.size;
  const chain = chainIds(bench.catalogue.resolve('more:1').diffIds);
  assert.deepEqual(said(await bench.catalogue.remove('more:1', gentle)), ['Untagged: more:1', `Deleted: ${id}`, `Deleted: ${chain[1]}`]);
  assert.equal(bench.layers.directories.size, before - 1);
});

test('remove: by one of two tags only the tag goes', async (context) => {
  const bench = await openBench(context);
  await loaded(bench, await buildImage(), 'x:1', 'x:2');
  assert.deepEqual(said(await bench.catalogue.remove('x:2', gentle)), ['Untagged: x:2']);
  assert.deepEqual(bench.catalogue.resolve('x:1').repoTags, ['x:1']);
});

test('remove: by id with names in several repositories it is refused, forced it goes', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage(), 'x:1', 'y:1');
  await assert.rejects(bench.catalogue.remove(id, gentle), {
    code: 'conflict',
    message: `conflict: unable to delete ${shortId(id)} (must be forced) - image is referenced in multiple repositories`,
  });
  assert.deepEqual(said(await bench.catalogue.remove(shortId(id), forced)).slice(0, 3), [
    'Untagged: x:1',
    'Untagged: y:1',
    `Deleted: ${id}`,
  ]);
  assert.deepEqual(bench.kept(), []);
});

test('remove: by id with one name both go', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage(), 'x:1');
  assert.deepEqual(said(await bench.catalogue.remove(shortId(id), gentle)).slice(0, 2), ['Untagged: x:1', `Deleted: ${id}`]);
});

test('remove: while a stopped container uses it', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage(), 'x:1');
  use(bench, id, false);
  await assert.rejects(bench.catalogue.remove('x:1', gentle), {
    code: 'conflict',
    message: `conflict: unable to remove repository reference "x:1" (must force) - container cccccccccccc is using its referenced image ${shortId(id)}`,
  });
  await assert.rejects(bench.catalogue.remove(id, gentle), {
    message: `conflict: unable to delete ${shortId(id)} (must be forced) - image is being used by stopped container cccccccccccc`,
  });
  assert.deepEqual(said(await bench.catalogue.remove('x:1', forced)), ['Untagged: x:1']);
  assert.equal(bench.catalogue.resolve(id).layers.length, 1);
  await assert.rejects(bench.catalogue.remove(id, forced), /cannot be forced\) - image is being used by stopped container/);
});

test('remove: while a running container uses it', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage(), 'x:1');
  use(bench, id, true);
  for (const options of [gentle, forced]) {
    await assert.rejects(bench.catalogue.remove(id, options), {
      message: `conflict: unable to delete ${shortId(id)} (cannot be forced) - image is being used by running container cccccccccccc`,
    });
  }
  assert.deepEqual(said(await bench.catalogue.remove('x:1', forced)), ['Untagged: x:1']);
});

test('remove: one of two tags goes also while a container uses the image', async (context) => {
  const bench = await openBench(context);
  use(bench, await loaded(bench, await buildImage(), 'x:1', 'x:2'), true);
  assert.deepEqual(said(await bench.catalogue.remove('x:1', gentle)), ['Untagged: x:1']);
});

test('prune: dangling images only, and what it gains', async (context) => {
  const bench = await openBench(context);
  const id = await loaded(bench, await buildImage({ files: ['gone'] }));
  await loaded(bench, await buildImage({ files: ['kept'] }), 'kept:1');
  const { removed, reclaimedBytes } = await bench.catalogue.prune({ dangling: true, until: null, labels: [], withoutLabels: [] });
  assert.equal(said(removed)[0], `Deleted: ${id}`);
  assert.equal(reclaimedBytes, 'content of gone\n'.length);
  assert.deepEqual(
    bench.catalogue.list().map(({ repoTags }) => repoTags),
    [['kept:1']],
  );
});

test('prune: all but what containers use; several tags of one image go one after the other', async (context) => {
  const bench = await openBench(context);
  const used = await loaded(bench, await buildImage({ files: ['used'] }), 'used:1');
  await loaded(bench, await buildImage({ files: ['two'] }), 'two:1', 'other:1');
  use(bench, used, false);
  const { removed } = await bench.catalogue.prune({ dangling: false, until: null, labels: [], withoutLabels: [] });
  assert.deepEqual(said(removed).slice(0, 2), ['Untagged: other:1', 'Untagged: two:1']);
  assert.deepEqual(
    bench.catalogue.list().map(({ id }) => id),
    [used],
  );
  assert.deepEqual(bench.events.at(-1)?.action, 'prune');
});

test('prune: filters by label and age', async (context) => {
  const bench = await openBench(context);
  await loaded(bench, await buildImage({ files: ['a'], run: { Labels: { keep: 'no', stage: 'x' } } }), 'a:1');
  await loaded(bench, await buildImage({ files: ['b'], run: { Labels: { keep: 'yes' } } }), 'b:1');
  const all = { dangling: false, until: null, labels: [], withoutLabels: [] };
  const names = () => bench.catalogue.list().flatMap(({ repoTags }) => repoTags);
  await bench.catalogue.prune({ ...all, until: new Date(Date.now() - 60_000) });
  await bench.catalogue.prune({ ...all, labels: ['absent'] });
  await bench.catalogue.prune({ ...all, labels: ['keep'], withoutLabels: ['keep=no', 'keep=yes'] });
  assert.deepEqual(names(), ['a:1', 'b:1']);
  await bench.catalogue.prune({ ...all, labels: ['keep'], withoutLabels: ['keep=yes'] });
  assert.deepEqual(names(), ['b:1']);
});
