/** `GET /system/df`: every byte counted once. A layer that several images share is in `LayersSize` once and in each image's `SharedSize`. */
import type { Image } from '../images/catalogue.ts';
import { cacheRow, ownCacheBytes } from './build-classic/cache-json.ts';
import { type ContainerJsonContext, containerSummary } from './container-json.ts';
import { shownImages } from './image-filters.ts';
import { imageSummary } from './image-json.ts';
import type { ApiServices } from './services.ts';
import { volumeJson } from './volume-json.ts';

type Layer = Image['layers'][number];

export type DiskUsageType = 'image' | 'container' | 'volume' | 'build-cache';

export async function diskUsage(services: ApiServices, context: ContainerJsonContext, types: ReadonlySet<DiskUsageType>): Promise<object> {
  const images = shownImages(services.images, false);
  const containers = types.has('image') || types.has('container') ? await allContainers(services, types.has('container')) : [];
  const cache = types.has('build-cache') ? await services.builder.cacheUsage() : [];
  const now = new Date();
  return {
    LayersSize: types.has('image') ? bytesOnDisk(images.flatMap(({ layers }) => layers)) : 0,
    Images: types.has('image') ? imageUsage(images, countByImage(containers), context.apiMinor) : null,
    Containers: types.has('container') ? containers.map((view) => containerSummary(view, context, now)) : null,
    Volumes: types.has('volume') ? await volumeUsage(services) : null,
    BuildCache: types.has('build-cache') ? cache.map((usage) => cacheRow(usage, context.apiMinor)) : null,
    ...(context.apiMinor < 42 ? { BuilderSize: ownCacheBytes(cache) } : {}),
  };
}

export function countByImage(containers: readonly { readonly imageId: string }[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { imageId } of containers) counts.set(imageId, (counts.get(imageId) ?? 0) + 1);
  return counts;
}

/** What stays on disk when an image goes. A layer that one image has twice is there once, so the second counts as shared: what is left is what its removal frees. */
export function sharedBytesOf(images: readonly Image[]): ReadonlyMap<string, number> {
  const users = new Map<string, number>();
  for (const image of images) {
    for (const directory of new Set(image.layers.map((layer) => layer.directory))) users.set(directory, (users.get(directory) ?? 0) + 1);
  }
  const isOwn = ({ directory }: Layer) => users.get(directory) === 1;
  return new Map(images.map((image) => [image.id, image.sizeBytes - bytesOnDisk(image.layers.filter(isOwn))]));
}

function bytesOnDisk(layers: readonly Layer[]): number {
  const sizes = new Map(layers.map(({ directory, sizeBytes }) => [directory, sizeBytes]));
  return [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0);
}

function imageUsage(images: readonly Image[], counts: ReadonlyMap<string, number>, apiMinor: number): readonly object[] {
  const shared = sharedBytesOf(images);
  return images.map((image) => imageSummary(image, counts.get(image.id) ?? 0, shared.get(image.id) ?? 0, apiMinor));
}

async function volumeUsage({ volumes }: ApiServices): Promise<readonly object[]> {
  return (await volumes.list({}, { size: true })).volumes.map((volume) => volumeJson(volume, true));
}

function allContainers({ containers }: ApiServices, size: boolean) {
  return containers.list({ all: true, limit: null, size, filters: {} });
}
