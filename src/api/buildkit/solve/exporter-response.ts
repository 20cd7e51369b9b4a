/** What a build came to, in the keys that clients look for. */
import type { BuiltResult } from './jobs.ts';

/**
 * `containerimage.digest` is what others have to ask for: of an image that was pushed its manifest's or index's digest, of one in the image store its id, as without a containerd image store (Compose
 * compares it with what `GET /images` says).
 */
export function exporterResponse({ plan, outcome, cacheManifest }: BuiltResult): ReadonlyMap<string, string> {
  const { imageId, configDigest, digest, mediaType, sizeBytes, names } = outcome;
  const response = new Map<string, string>();
  const isPushed = plan.request.outputs.some(({ push }) => push);
  const told = isPushed ? (digest ?? imageId) : (imageId ?? digest);
  if (told !== null) response.set('containerimage.digest', told);
  if (configDigest !== null) response.set('containerimage.config.digest', configDigest);
  if (names.length > 0) response.set('image.name', names.join(','));
  if (digest !== null && mediaType !== null) {
    const descriptor = { mediaType, digest, size: sizeBytes };
    response.set('containerimage.descriptor', Buffer.from(JSON.stringify(descriptor)).toString('base64'));
  }
  if (cacheManifest !== null) response.set('cache.manifest', JSON.stringify(cacheManifest));
  return response;
}
