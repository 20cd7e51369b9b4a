/** Manifests: end-3, end-7, end-9 of the specification. */
import type { ServerResponse } from 'node:http';
import type { Digest } from '../../base/brand.ts';
import { parseJsonObject } from '../../oci/json.ts';
import { isIndexType, manifestLimitBytes } from '../../oci/manifest.ts';
import { checkTag } from '../names.ts';
import type { RegistryRepository, StoredManifest } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { bodyOf, type Exchange, type Headers, lengthOf, send } from './exchange.ts';

const moreTagsLimit = 100;

/** Built once for each manifest while it is hot. */
const heads = new WeakMap<StoredManifest, Headers>();

export async function getManifest(exchange: Exchange, repository: RegistryRepository, reference: string): Promise<void> {
  const { request, response } = exchange;
  const stored = await repository.manifest(reference);
  if (stored === null) throw unknownManifest(repository.name, reference);
  const byTag = !reference.includes(':');
  const manifest = byTag && isIndexType(stored.mediaType) ? await negotiated(repository, stored, request.headers.accept) : stored;
  const head = headOf(manifest);
  if (request.headers['if-none-match'] !== undefined && matches(request.headers['if-none-match'], manifest.digest)) {
    send(response, 304, { ETag: `"${manifest.digest}"`, 'Docker-Content-Digest': manifest.digest });
    return;
  }
  sendManifest(response, head, request.method === 'HEAD' ? null : manifest.bytes);
}

export async function putManifest(exchange: Exchange, repository: RegistryRepository, reference: string): Promise<void> {
  const { request, response, query, writer } = exchange;
  const bytes = await readBody(exchange);
  const mediaType = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim() ?? '';
  const tags = query.getAll('tag').map(checkTag);
  if (tags.length > moreTagsLimit) throw new RegistryRefusal('MANIFEST_INVALID', `${tags.length} tags at once, more than ${moreTagsLimit}`);
  if (tags.length > 0 && !reference.includes(':'))
    throw new RegistryRefusal('MANIFEST_INVALID', 'tag parameters belong to a push by digest');
  const stored = await repository.putManifest(reference, mediaType, bytes, writer, tags);
  response.writeHead(201, {
    Location: `/v2/${repository.name}/manifests/${reference}`,
    'Docker-Content-Digest': stored.digest,
    'Content-Length': 0,
    ...(stored.subject === null ? {} : { 'OCI-Subject': stored.subject }),
    ...(tags.length === 0 ? {} : { 'OCI-Tag': tags }),
  });
  response.end();
}

export async function deleteManifest(exchange: Exchange, repository: RegistryRepository, reference: string): Promise<void> {
  const { response, writer } = exchange;
  const done = reference.includes(':')
    ? await repository.deleteManifest(reference as Digest, writer)
    : await repository.deleteTag(reference, writer);
  if (!done) throw unknownManifest(repository.name, reference);
  send(response, 202, { 'Content-Length': 0 });
}

function unknownManifest(name: string, reference: string): RegistryRefusal {
  const what = reference.includes(':') ? `manifest ${reference}` : `tag ${reference}`;
  return new RegistryRefusal('MANIFEST_UNKNOWN', `manifest unknown: ${what} is not in repository ${name}`, { name, reference });
}

function headOf(manifest: StoredManifest): Headers {
  let head = heads.get(manifest);
  if (head === undefined) {
    head = {
      'Content-Type': manifest.mediaType,
      'Content-Length': manifest.bytes.length,
      'Docker-Content-Digest': manifest.digest,
      ETag: `"${manifest.digest}"`,
      Vary: 'Accept',
      ...freshness(manifest),
    };
    heads.set(manifest, head);
  }
  return head;
}

/** RFC 9111: how long ago upstream said so (5.1); 110 is "Response is Stale" (obsolete there, and still the only way to say it). */
function freshness({ cached }: StoredManifest): Headers {
  if (cached === undefined) return {};
  return { Age: cached.ageSeconds, ...(cached.isStale ? { Warning: '110 - "Response is Stale"' } : {}) };
}

function sendManifest(response: ServerResponse, head: Headers, bytes: Buffer | null): void {
  response.writeHead(200, head);
  if (bytes === null) response.end();
  else response.end(bytes);
}

/**
 * A client that names the types it takes, images among them but no index, is of the time before indexes: it gets the image for linux/amd64, as from Docker's registry.
 * Everybody else gets what the tag names; a type that a client did not ask for is better than a lie that there is nothing.
 */
async function negotiated(repository: RegistryRepository, index: StoredManifest, accept: string | undefined): Promise<StoredManifest> {
  if (accept === undefined || accept.includes('*') || accept.includes(index.mediaType)) return index;
  const entry = oldImageOf(index);
  if (entry === null || !accept.includes(entry.mediaType)) return index;
  return (await repository.manifest(entry.digest)) ?? index;
}

/** Found once for each index while it is hot: it may be of megabytes. */
const oldImages = new WeakMap<StoredManifest, IndexEntry | null>();

function oldImageOf(index: StoredManifest): IndexEntry | null {
  let entry = oldImages.get(index);
  if (entry === undefined) {
    const { manifests } = parseJsonObject(index.bytes, 'manifest') as { manifests?: readonly IndexEntry[] };
    entry = manifests?.find(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64') ?? null;
    oldImages.set(index, entry);
  }
  return entry;
}

interface IndexEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

export function matches(ifNoneMatch: string, digest: Digest): boolean {
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${digest}"`);
}

/** Throws SIZE_INVALID with 413 beyond what a manifest may have: before a byte is read when the length is told. */
async function readBody(exchange: Exchange): Promise<Buffer> {
  const tooLarge = () =>
    new RegistryRefusal('SIZE_INVALID', `manifest is larger than the ${manifestLimitBytes} bytes allowed for it`, null, 413);
  if ((lengthOf(exchange.request) ?? 0) > manifestLimitBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyOf(exchange)) {
    sizeBytes += chunk.length;
    if (sizeBytes > manifestLimitBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
