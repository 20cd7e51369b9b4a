/** What a build came to, in the keys that clients look for. */
import type { BuildOutcome } from '../../../build/builder.ts';

/** With an image in the image store, `containerimage.digest` is its id, as without a containerd image store: Compose compares it with what `GET /images` says. */
export function exporterResponse({
  imageId,
  configDigest,
  digest,
  mediaType,
  sizeBytes,
  names,
}: BuildOutcome): ReadonlyMap<string, string> {
  const response = new Map<string, string>();
  const told = imageId ?? digest;
  if (told !== null) response.set('containerimage.digest', told);
  if (configDigest !== null) response.set('containerimage.config.digest', configDigest);
  if (names.length > 0) response.set('image.name', names.join(','));
  if (digest !== null && mediaType !== null) {
    const descriptor = { mediaType, digest, size: sizeBytes };
    response.set('containerimage.descriptor', Buffer.from(JSON.stringify(descriptor)).toString('base64'));
  }
  return response;
}
