import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ImageId } from '../base/brand.ts';
import type { Image, ImageCatalogue } from '../images/catalogue.ts';
import { imagePruneFilters, listImages } from './image-filters.ts';

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
const names = (filters: Record<string, string[]>) => listImages(catalogue, filters).map(({ id }) => id.slice('sha256:'.length));

describe('listImages', () => {
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
    assert.deepEqual(listImages(catalogue, { reference: ['*:1'] })[0]?.repoTags, ['busybox:1']);
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
    assert.throws(() => imagePruneFilters({ until: ['soon'] }), /invalid value for "until"/);
  });
});
