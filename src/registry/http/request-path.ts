/**
 * Paths of the specification's endpoints, read strictly: each segment is decoded once, then every name, tag, digest and upload id must have its grammar; nothing else is
 * let in (SECURITY.md row 25). Repository names may hold any word, so paths are read from their end.
 *
 *     /v2/                                  /v2/<name>/blobs/<digest>
 *     /v2/_catalog                          /v2/<name>/blobs/uploads/
 *     /v2/<name>/tags/list                  /v2/<name>/blobs/uploads/<id>
 *     /v2/<name>/manifests/<reference>      /v2/<name>/referrers/<digest>
 */
import type { Digest } from '../../base/brand.ts';
import { checkDigest, checkRepositoryName, checkTag, isForeignDigest } from '../names.ts';
import { RegistryRefusal } from '../registry-refusal.ts';

export type RegistryPath =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalogue' }
  | { readonly kind: 'tags'; readonly name: string }
  | { readonly kind: 'manifest'; readonly name: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: Digest }
  | { readonly kind: 'uploads'; readonly name: string }
  | { readonly kind: 'upload'; readonly name: string; readonly id: string }
  | { readonly kind: 'referrers'; readonly name: string; readonly digest: Digest };

const uploadId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A name, a digest and the words between; more is nothing of ours. */
const pathLimit = 1024;

/**
 * `path`: without the query. Null: not an endpoint. Throws NAME_INVALID, DIGEST_INVALID, MANIFEST_INVALID, BLOB_UPLOAD_UNKNOWN; when it reads, 404 for digests of
 * other algorithms than sha256, by which nothing is found.
 */
export function readPath(path: string, reads: boolean): RegistryPath | null {
  if (path === '/v2/' || path === '/v2') return { kind: 'base' };
  if (path === '/v2/_catalog') return { kind: 'catalogue' };
  if (!path.startsWith('/v2/') || path.length > pathLimit) return null;
  const segments = decoded(path.slice('/v2/'.length)).split('/');
  // A trailing slash means the same, and belongs to the start of uploads.
  if (segments.at(-1) === '') segments.pop();
  const [third, second, last] = [segments.at(-3), segments.at(-2), segments.at(-1)];
  if (last === undefined || second === undefined) return null;
  const name = (count: number) => checkRepositoryName(segments.slice(0, -count).join('/'));
  if (third === 'blobs' && second === 'uploads' && segments.length > 3) return { kind: 'upload', name: name(3), id: checkUploadId(last) };
  if (segments.length < 3) return null;
  if (second === 'blobs' && last === 'uploads') return { kind: 'uploads', name: name(2) };
  if (second === 'blobs') return { kind: 'blob', name: name(2), digest: digestIn(last, reads, 'BLOB_UNKNOWN') };
  if (second === 'manifests') {
    const reference = last.includes(':') ? digestIn(last, reads, 'MANIFEST_UNKNOWN') : checkTag(last);
    return { kind: 'manifest', name: name(2), reference };
  }
  if (second === 'referrers') return { kind: 'referrers', name: name(2), digest: checkDigest(last) };
  if (second === 'tags' && last === 'list') return { kind: 'tags', name: name(2) };
  return null;
}

/** `%2F` would make two segments of one: a name never needs it. */
function decoded(path: string): string {
  if (!path.includes('%')) return path;
  if (/%2f/i.test(path)) throw new RegistryRefusal('NAME_INVALID', 'invalid repository name: it holds an encoded slash');
  try {
    return decodeURIComponent(path);
  } catch {
    throw new RegistryRefusal('NAME_INVALID', 'invalid path: its percent-encoding cannot be read');
  }
}

function digestIn(text: string, reads: boolean, unknown: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN'): Digest {
  if (reads && isForeignDigest(text)) {
    throw new RegistryRefusal(unknown, `${text.slice(0, text.indexOf(':'))} digests are not kept here, only sha256`, {
      digest: text.slice(0, 200),
    });
  }
  return checkDigest(text);
}

function checkUploadId(text: string): string {
  if (uploadId.test(text)) return text;
  throw new RegistryRefusal('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
}
