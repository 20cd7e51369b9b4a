/**
 * Whether a layer's blob holds the layer it is said to hold. Unpacking checks that for every layer that is new; one whose layer is there already is not
 * unpacked again, and its bytes would come out of a `save` or push unseen.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { decompress } from '../archive/compression.ts';
import { invalid } from '../base/errors.ts';
import type { LayerSource } from '../store/layer-store.ts';
import { defaultUnpackLimits } from '../store/unpack-limits.ts';

/** `path` is the blob's file. */
export async function verifyLayerBlob({ blob, diffId }: LayerSource, path: string, signal?: AbortSignal): Promise<void> {
  if ((blob as string) === (diffId as string)) return;
  const { layerBytes, ratio, ratioFromBytes } = defaultUnpackLimits;
  const limitBytes = Math.min(layerBytes, Math.max(ratioFromBytes, ratio * (await stat(path)).size));
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of decompress(createReadStream(path, signal === undefined ? {} : { signal }))) {
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) throw invalid(`the layer ${diffId} is larger than ${limitBytes} bytes when uncompressed`);
    hash.update(chunk);
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffId) throw invalid(`the uncompressed layer is not what its digest says: expected ${diffId}, got ${found}`);
}
