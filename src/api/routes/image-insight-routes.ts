/** Beyond Docker: what images are made of, whether they are whole, what two differ in, who needs a layer (docs/images.md). */
import { invalid } from '../../base/errors.ts';
import type { Image } from '../../images/catalogue.ts';
import type { ImageTree } from '../../images/insight.ts';
import { unixSeconds } from '../../wire/timestamps.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const changesLimit = 1000;
const changesLimitMost = 100_000;

export function imageInsightRoutes(services: ApiServices): readonly Route[] {
  return [
    { method: 'GET', pattern: '/images/tree', body: 'any', handle: (exchange) => tree(exchange, services) },
    { method: 'GET', pattern: '/images/why', body: 'any', handle: (exchange) => why(exchange, services) },
    { method: 'POST', pattern: '/images/{name:*}/verify', body: 'any', handle: (exchange) => verify(exchange, services) },
    { method: 'GET', pattern: '/images/{name:*}/diff', body: 'any', handle: (exchange) => diff(exchange, services) },
  ];
}

async function tree(exchange: Exchange, { images, insight, containers }: ApiServices): Promise<void> {
  const views = new Map(images.list().map((image) => [image.id, image]));
  const users = Map.groupBy(await containers.list({ all: true, limit: null, size: false, filters: {} }), ({ imageId }) => imageId);
  const trees = (await insight.tree()).flatMap((found) => {
    const image = views.get(found.id);
    return image === undefined
      ? []
      : [
          treeJson(
            found,
            image,
            (users.get(found.id) ?? []).map(({ id }) => id),
          ),
        ];
  });
  exchange.sendJson(200, trees);
}

function treeJson({ target, platforms, layers }: ImageTree, image: Image, containers: readonly string[]): object {
  const { mediaType, digest, size } = target;
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Created: unixSeconds(image.localCreatedAt),
    Size: image.sizeBytes,
    Target: { mediaType, digest, size },
    Platforms: platforms.map((each) => ({ Platform: each.platform, Digest: each.digest, Available: each.isAvailable })),
    Layers: layers.map(({ diffId, sizeBytes, blob, sharedWith }) => ({
      DiffID: diffId,
      Blob: blob?.digest ?? '',
      MediaType: blob?.mediaType ?? '',
      BlobSize: blob?.size ?? 0,
      Size: sizeBytes,
      SharedWith: sharedWith,
    })),
    Containers: containers,
  };
}

async function why(exchange: Exchange, { insight, containers }: ApiServices): Promise<void> {
  const digest = exchange.text('digest') ?? '';
  if (digest === '') throw invalid('images/why needs a digest');
  const needed = await insight.why(digest);
  const ids = new Set<string>(needed.images.map(({ id }) => id));
  const all = await containers.list({ all: true, limit: null, size: false, filters: {} });
  exchange.sendJson(200, {
    Digest: needed.digest,
    As: [...(needed.isBlob ? ['blob'] : []), ...(needed.isLayer ? ['layer'] : [])],
    Size: needed.sizeBytes,
    Images: needed.images.map(({ id, tags, why: text }) => ({ Id: id, RepoTags: tags, Why: text })),
    Containers: all.filter(({ imageId }) => ids.has(imageId)).map(({ id, name, imageId }) => ({ Id: id, Name: name, Image: imageId })),
    Others: needed.others,
  });
}

async function verify(exchange: Exchange, { insight }: ApiServices): Promise<void> {
  const { id, blobs, bytes, layers, files, findings } = await insight.verify(exchange.parameter('name'), exchange.signal);
  exchange.sendJson(200, {
    Id: id,
    Blobs: blobs,
    Bytes: bytes,
    Layers: layers,
    Files: files,
    Findings: findings.map(({ kind, what, text }) => ({ Kind: kind, What: what, Text: text })),
  });
}

async function diff(exchange: Exchange, { insight }: ApiServices): Promise<void> {
  const other = exchange.text('with') ?? '';
  if (other === '') throw invalid('images/NAME/diff needs the other image: with=OTHER');
  const limit = exchange.integer('limit') ?? changesLimit;
  if (limit < 0 || limit > changesLimitMost) throw invalid(`limit ${limit} is outside the range of [0, ${changesLimitMost}]`);
  const found = await insight.diff(exchange.parameter('name'), other, limit, exchange.signal);
  const layerJson = ({ diffId, sizeBytes }: { readonly diffId: string; readonly sizeBytes: number }) => ({
    DiffID: diffId,
    Size: sizeBytes,
  });
  const sum = (layers: readonly { readonly sizeBytes: number }[]) => layers.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  exchange.sendJson(200, {
    From: { Id: found.from.id, Size: sum(found.from.layers) },
    To: { Id: found.to.id, Size: sum(found.to.layers) },
    SharedLayers: found.shared.map(layerJson),
    OnlyFrom: found.onlyFrom.map(layerJson),
    OnlyTo: found.onlyTo.map(layerJson),
    Added: found.added,
    Changed: found.changed,
    Removed: found.removed,
    Truncated: found.added + found.changed + found.removed > found.changes.length,
    Changes: found.changes.map(({ kind, path, type, before, after, aspects }) => ({
      Kind: kind,
      Path: path,
      Type: type,
      Before: before,
      After: after,
      What: aspects,
    })),
  });
}
