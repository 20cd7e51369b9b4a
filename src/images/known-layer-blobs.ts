/**
 * Which layers' blobs were seen to hold which layer: every image that was admitted proves the pairs of its manifest and config. Derived from what is there, so there is
 * nothing to keep up to date.
 */
import type { Digest } from '../base/brand.ts';
import { type Descriptor, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import type { LayerSource } from '../store/layer-store.ts';
import type { ImageStore } from './image-store.ts';

type Pair = Pick<LayerSource, 'blob' | 'diffId'>;

export function pairOf({ blob, diffId }: Pair): string {
  return `${blob} ${diffId}`;
}

/** Those of `wanted` that an image here has. A manifest that cannot be read proves nothing. */
export async function knownLayerBlobs({ records, blobs }: ImageStore, wanted: readonly Pair[]): Promise<ReadonlySet<string>> {
  const open = new Map(wanted.map((pair) => [pairOf(pair), pair]));
  const known = new Set<string>();
  const layersOf = new Map<Digest, readonly Descriptor[]>();
  for (const record of records.all()) {
    const diffIds = record.config.rootfs.diff_ids;
    for (const target of record.targets.values()) {
      if (open.size === 0) return known;
      if (![...open.values()].some(({ blob, diffId }) => target.blobs.includes(blob) && diffIds.includes(diffId))) continue;
      const { digest, mediaType } = target.manifest;
      const layers = layersOf.get(digest) ?? (await readLayers(blobs, digest, mediaType));
      layersOf.set(digest, layers);
      for (const [index, layer] of layers.entries()) {
        const diffId = diffIds[index];
        const pair = diffId === undefined ? '' : pairOf({ blob: layer.digest, diffId });
        if (open.delete(pair)) known.add(pair);
      }
    }
  }
  return known;
}

async function readLayers(blobs: ImageStore['blobs'], digest: Digest, mediaType: string): Promise<readonly Descriptor[]> {
  try {
    const manifest = parseManifest(await blobs.readSmall(digest, manifestLimitBytes), mediaType, `manifest ${digest}`);
    return manifest.kind === 'manifest' ? manifest.layers : [];
  } catch {
    return [];
  }
}
