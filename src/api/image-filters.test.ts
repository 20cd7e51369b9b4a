import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DiffId, ImageId } from '../base/brand.ts';
import type { Image, ImageCatalogue } from '../images/catalogue.ts';
import { sharedBytesOf } from './disk-usage.ts';
import { filterImages, imagePruneFilters, shownImages } from './image-filters.ts';

function image(name: string, repoTags: readonly string[], seconds: number, labels: Record<string, string> = {}): Image {
  return {
    id: `sha256:${name}` as ImageId,
    repoTags,
    repoDigests: [],
    config: { architecture: 'amd64', os: 'linux', config: { Labels: labels }, rootfs: { type: 'layers', diff_ids: [] }, history: [] },
    sizeBytes: 1,
    localCreatedAt: new Date(seconds * 1000),
    lastTagTime: null,
    layers: [],
    diffIds: [],
    parent: null,
  };
}

const images = [
  image('old', ['busybox:1', 'busybox:latest'], 100),
  image('new', ['reg.io/team/app:2'], 300, { tier: 'front' }),
  image('none', [], 200),
];
const catalogue = {
  list: () => images,
  resolve: (reference: string) => images.find(({ repoTags }) => repoTags.includes(reference)) ?? assert.fail(reference),
} as unknown as ImageCatalogue;
const listImages = (filters: Record<string, string[]>) => filterImages(shownImages(catalogue, false), catalogue, filters);
const names = (filters: Record<string, string[]>) => listImages(filters).map(({ id }) => id.slice('sha256:'.length));

describe('filterImages', () => {
  const cases: readonly (readonly [Record<string, string[]>, readonly string[]])[] = [
    [{}, ['new', 'none', 'old']],
    [{ dangling: ['true'] }, ['none']],
    [{ dangling: ['false'] }, ['new', 'old']],
    [{ label: ['tier'] }, ['new']],
    [{ label: ['tier=back'] }, []],
    [{ reference: ['busy*'] }, ['old']],
    [{ reference: ['busybox'] }, ['old']],
    [{ reference: ['*'] }, ['old']],
    [{ reference: ['*/*/*:2'] }, ['new']],
    [{ reference: ['nope'] }, []],
    [{ before: ['reg.io/team/app:2'] }, ['none', 'old']],
    [{ since: ['busybox:1'] }, ['new', 'none']],
    [{ until: ['250'] }, ['none', 'old']],
  ];
  for (const [filters, expected] of cases) {
    it(`${JSON.stringify(filters)} shows ${expected.join(', ')}`, () => assert.deepEqual(names(filters), expected));
  }

  it('shows only the references that were asked for', () => {
    assert.deepEqual(listImages({ reference: ['*:1'] })[0]?.repoTags, ['busybox:1']);
  });

  it('refuses what it does not know', () => assert.throws(() => names({ name: ['x'] }), { message: "invalid filter 'name'" }));
});

describe('imagePruneFilters', () => {
  it('is for dangling images unless told otherwise', () => {
    assert.equal(imagePruneFilters({}).dangling, true);
    assert.equal(imagePruneFilters({ dangling: ['false'] }).dangling, false);
  });

  it('reads durations and times', () => {
    const ago = Date.now() - (imagePruneFilters({ until: ['1h30m'] }).until?.getTime() ?? 0);
    assert.ok(Math.abs(ago - 90 * 60_000) < 5000);
    assert.equal(imagePruneFilters({ until: ['1700000000'] }).until?.toISOString(), '2023-11-14T22:13:20.000Z');
    assert.throws(() => imagePruneFilters({ until: ['soon'] }), /failed to parse value as time or duration: "soon"/);
  });
});

describe('shownImages', () => {
  const step = image('step', [], 10);
  const named = image('named', ['x:1'], 20);
  const stand = (name: string, parent: Image) => ({ ...image(name, [], 30), parent: parent.id });
  const family = { list: () => [step, named, stand('one', step), stand('two', named)] } as unknown as ImageCatalogue;
  const shown = (all: boolean) => shownImages(family, all).map(({ id }) => id.slice('sha256:'.length));

  it('leaves out what nobody named and others stand on', () => assert.deepEqual(shown(false), ['one', 'two', 'named']));
  it('shows it with all', () => assert.deepEqual(shown(true), ['one', 'two', 'named', 'step']));
});

describe('sharedBytesOf', () => {
  const layer = (name: string, sizeBytes: number) => ({ diffId: `sha256:${name}` as DiffId, directory: name, sizeBytes });
  const layered = (name: string, layers: readonly ReturnType<typeof layer>[]) => ({
    ...image(name, [`${name}:1`], 1),
    layers,
    sizeBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  });

  it('is what stays when the image goes: a layer that one image has twice is on disk once', () => {
    const base = layer('base', 100);
    const twice = layered('twice', [base, layer('own', 7), layer('own', 7)]);
    const once = layered('once', [base, layer('other', 5)]);
    assert.deepEqual([...sharedBytesOf([twice, once]).values()], [107, 100]);
    assert.deepEqual([...sharedBytesOf([twice]).values()], [7]);
  });
});
