/** Images as things: list, inspect, history, tag, remove, prune, and what they all take on disk. Their bytes are in image-transfer-routes.ts. */
import { invalid } from '../../base/errors.ts';
import type { HistoryEntry, ImageCatalogue, RemovedImage } from '../../images/catalogue.ts';
import { booleanFilter, requireKnownFilters } from '../../wire/filters.ts';
import { unixSeconds } from '../../wire/timestamps.ts';
import { countByImage, type DiskUsageType, diskUsage, sharedBytesOf } from '../disk-usage.ts';
import type { Exchange } from '../exchange.ts';
import { filterImages, imagePruneFilters, shownImages } from '../image-filters.ts';
import { imageInspect, imageSummary } from '../image-json.ts';
import { requirePlatform } from '../platform-parameter.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

export function imageRoutes(services: ApiServices): readonly Route[] {
  const { images } = services;
  const name = (exchange: Exchange) => exchange.parameter('name');
  return [
    { method: 'GET', pattern: '/images/json', body: 'any', handle: (exchange) => list(exchange, services) },
    {
      method: 'GET',
      pattern: '/images/{name:*}/json',
      body: 'any',
      async handle(exchange) {
        const image = images.resolve(name(exchange));
        requirePlatform(exchange, image, name(exchange));
        exchange.sendJson(200, imageInspect(image, {}, exchange.apiMinor));
      },
    },
    {
      method: 'GET',
      pattern: '/images/{name:*}/history',
      body: 'any',
      async handle(exchange) {
        requirePlatform(exchange, images.resolve(name(exchange)), name(exchange));
        exchange.sendJson(200, images.history(name(exchange)).map(historyJson));
      },
    },
    {
      method: 'POST',
      pattern: '/images/{name:*}/tag',
      body: 'any',
      async handle(exchange) {
        await images.tag(name(exchange), tagTarget(exchange));
        exchange.sendEmpty(201);
      },
    },
    {
      method: 'DELETE',
      pattern: '/images/{name:*}',
      body: 'any',
      async handle(exchange) {
        exchange.refuse(['platforms'], 'an image is kept for one platform only');
        const removed = await images.remove(name(exchange), { force: exchange.flag('force'), noPrune: exchange.flag('noprune') });
        exchange.sendJson(200, removed.map(removedJson));
      },
    },
    { method: 'POST', pattern: '/images/prune', body: 'any', handle: (exchange) => prune(exchange, images) },
    { method: 'GET', pattern: '/system/df', body: 'any', handle: (exchange) => df(exchange, services) },
  ];
}

async function list(exchange: Exchange, services: ApiServices): Promise<void> {
  exchange.refuse(['identity'], 'signatures of images are not checked');
  const filters = exchange.filters();
  // What others stand on is never dangling.
  const shown = shownImages(services.images, exchange.flag('all') && booleanFilter(filters, 'dangling') !== true);
  const found = filterImages(shown, services.images, filters);
  const shared = exchange.flag('shared-size') ? sharedBytesOf(shown) : null;
  // 1.51 counts the containers of an image; before, -1 says that nobody did.
  const counts =
    exchange.apiMinor < 51 ? null : countByImage(await services.containers.list({ all: true, limit: null, size: false, filters: {} }));
  exchange.sendJson(
    200,
    found.map((image) =>
      imageSummary(image, counts === null ? -1 : (counts.get(image.id) ?? 0), shared?.get(image.id) ?? -1, exchange.apiMinor),
    ),
  );
}

async function prune(exchange: Exchange, images: ImageCatalogue): Promise<void> {
  const { removed, reclaimedBytes } = await images.prune(imagePruneFilters(exchange.filters()));
  exchange.sendJson(200, { ImagesDeleted: removed.length === 0 ? null : removed.map(removedJson), SpaceReclaimed: reclaimedBytes });
}

const usageTypes: readonly DiskUsageType[] = ['image', 'container', 'volume', 'build-cache'];

async function df(exchange: Exchange, services: ApiServices): Promise<void> {
  requireKnownFilters(exchange.filters(), new Set());
  const asked = exchange.apiMinor < 42 ? [] : exchange.query.getAll('type');
  const types = asked.map((text) => {
    const known = usageTypes.find((type) => type === text);
    if (known === undefined) throw invalid(`unknown object type: ${text} (one of ${usageTypes.join(', ')})`);
    return known;
  });
  const context = { images: services.images, apiMinor: exchange.apiMinor };
  exchange.sendJson(200, await diskUsage(services, context, new Set(types.length === 0 ? usageTypes : types)));
}

/** `repo` may hold the tag already (old clients) or the tag comes beside it. */
export function tagTarget(exchange: Exchange): string {
  const repository = exchange.text('repo') ?? '';
  const tag = exchange.text('tag') ?? '';
  return tag === '' ? repository : `${repository}:${tag}`;
}

function historyJson({ id, createdAt, createdBy, comment, sizeBytes, tags }: HistoryEntry): object {
  return {
    Comment: comment,
    Created: unixSeconds(createdAt),
    CreatedBy: createdBy,
    Id: id,
    Size: sizeBytes,
    Tags: tags.length === 0 ? null : tags,
  };
}

function removedJson(removed: RemovedImage): object {
  return removed.kind === 'untagged' ? { Untagged: removed.reference } : { Deleted: removed.id };
}
