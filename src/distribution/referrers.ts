/**
 * Manifests that refer to another one (OCI distribution v1.1, "Listing Referrers"): by the registry's API, or by the tag `sha256-HEX` where a registry has none, in
 * which case whoever pushes keeps that tag's index.
 */
import type { Digest } from '../base/brand.ts';
import { digestHex, digestOf, isDigest } from '../oci/digest.ts';
import { isObject, parseJsonObject } from '../oci/json.ts';
import { type Descriptor, type ImageIndex, mediaTypes, parseManifest } from '../oci/manifest.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { discard, type HttpAnswer } from './http-transport.ts';
import { fetchManifest, manifestAt } from './manifest-requests.ts';
import { pages } from './name-lists.ts';
import type { RepositoryName } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { repositoryScope } from './scopes.ts';

/** `sha256-` and the digits: what a registry without the API is asked by. */
export function referrersTag(digest: Digest): string {
  return `sha256-${digestHex(digest)}`;
}

export async function listReferrers(
  session: EndpointSession,
  name: RepositoryName,
  digest: Digest,
  artifactType: string | null,
  signal?: AbortSignal,
): Promise<ImageIndex> {
  const found = (await byApi(session, name, digest, artifactType, signal)) ?? (await byTag(session, name, digest, signal)) ?? [];
  const manifests = artifactType === null ? found : found.filter((descriptor) => descriptor.artifactType === artifactType);
  return { kind: 'index', mediaType: mediaTypes.ociIndex, manifests, annotations: {} };
}

/** All of them are held at once. */
const referrersLimit = 10_000;

function tooMany(answer: HttpAnswer, digest: Digest): RegistryError {
  const { host } = answer.url;
  const text = `${host}: ${digest} has more than ${referrersLimit} referrers`;
  return new RegistryError('invalid', text, { host, status: answer.status, registryCode: null, retryable: false });
}

/** Null: there is no such API. */
async function byApi(
  session: EndpointSession,
  name: RepositoryName,
  digest: Digest,
  artifactType: string | null,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[] | null> {
  const found: Descriptor[] = [];
  const question = {
    path: `/v2/${name.path}/referrers/${digest}`,
    ...(artifactType === null ? {} : { query: { artifactType } }),
    headers: { accept: mediaTypes.ociIndex },
    scopes: [repositoryScope(name.path, 'pull')],
    signal,
  };
  try {
    for await (const { bytes, answer } of pages(session, question)) {
      // A web page, or anything else that answers 200 to every path.
      if (!(answer.headers['content-type'] ?? '').startsWith(mediaTypes.ociIndex)) return null;
      const index = parseManifest(bytes, mediaTypes.ociIndex, `referrers of ${digest}`);
      if (index.kind === 'index') found.push(...index.manifests);
      if (found.length > referrersLimit) throw tooMany(answer, digest);
    }
    return found;
  } catch (thrown) {
    const status = thrown instanceof RegistryError ? thrown.failure.status : null;
    if (status === 404 || status === 405 || status === 400 || status === 501) return null;
    throw thrown;
  }
}

/** Null: no such tag. */
async function byTag(
  session: EndpointSession,
  name: RepositoryName,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[] | null> {
  const bytes = await tagged(session, name, digest, signal);
  const index = bytes && parseManifest(bytes, mediaTypes.ociIndex, `referrers of ${digest}`);
  return index?.kind === 'index' ? index.manifests : null;
}

async function tagged(
  session: EndpointSession,
  name: RepositoryName,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<Buffer | null> {
  try {
    const { bytes, descriptor } = await fetchManifest(session, name, referrersTag(digest), signal);
    return descriptor.mediaType === mediaTypes.ociIndex ? bytes : null;
  } catch (thrown) {
    if (thrown instanceof RegistryError && thrown.code === 'not-found') return null;
    throw thrown;
  }
}

/** After a manifest with a subject went to a registry that did not say `OCI-Subject`: its descriptor is added to the tag's index. */
export async function addToReferrersTag(
  session: EndpointSession,
  name: RepositoryName,
  pushed: { readonly mediaType: string; readonly bytes: Uint8Array },
  signal?: AbortSignal,
): Promise<void> {
  const manifest = parseJsonObject(pushed.bytes, 'manifest');
  const subject = subjectOf(pushed.bytes);
  if (subject === null) return;
  const digest = digestOf(pushed.bytes);
  const before = await tagged(session, name, subject, signal);
  const document = before ? parseJsonObject(before, 'index of referrers') : { schemaVersion: 2, mediaType: mediaTypes.ociIndex };
  const entries: readonly unknown[] = Array.isArray(document.manifests) ? document.manifests : [];
  if (entries.some((entry) => isObject(entry) && entry.digest === digest)) return;
  const entry = {
    mediaType: pushed.mediaType,
    digest,
    size: pushed.bytes.length,
    artifactType: artifactTypeOf(manifest),
    ...(isObject(manifest.annotations) ? { annotations: manifest.annotations } : {}),
  };
  const bytes = Buffer.from(JSON.stringify({ ...document, manifests: [...entries, entry] }));
  const at = manifestAt(name, referrersTag(subject), 'pull', 'push');
  discard(
    await session.expect({ method: 'PUT', ...at, headers: { 'content-type': mediaTypes.ociIndex }, body: bytes, signal }, 200, 201, 202),
  );
}

/** The digest that a manifest refers to; null for one without `subject`. */
export function subjectOf(bytes: Uint8Array): Digest | null {
  const { subject } = parseJsonObject(bytes, 'manifest');
  return isObject(subject) && typeof subject.digest === 'string' && isDigest(subject.digest) ? subject.digest : null;
}

function artifactTypeOf(manifest: Readonly<Record<string, unknown>>): string | undefined {
  if (typeof manifest.artifactType === 'string' && manifest.artifactType !== '') return manifest.artifactType;
  return isObject(manifest.config) && typeof manifest.config.mediaType === 'string' ? manifest.config.mediaType : undefined;
}
