/** Pushes what a `RegistryContent` holds to a running registry by plain HTTP, or reads from one what it holds. */
import type { Digest } from '../../src/base/brand.ts';
import type { ManifestBytes, RegistryContent } from './fault-registry/registry-content.ts';

interface Document {
  readonly manifests?: readonly { readonly digest: Digest }[];
  readonly config?: { readonly digest: Digest };
  readonly layers?: readonly { readonly digest: Digest; readonly urls?: readonly string[] }[];
}

/** `authorization`: sent with each request. */
export async function seedRegistry(url: string, content: RegistryContent, authorization?: string): Promise<void> {
  for (const repository of content.repositories()) {
    const put = new Set<string>();
    for (const tag of content.tags(repository) ?? []) await pushManifest({ url, content, repository, put, authorization }, tag);
  }
}

interface Push {
  readonly url: string;
  readonly content: RegistryContent;
  readonly repository: string;
  /** What this repository has by now. */
  readonly put: Set<string>;
  readonly authorization: string | undefined;
}

/** Children first: a registry refuses a manifest that names what it does not have. */
async function pushManifest(push: Push, reference: string): Promise<void> {
  const manifest = push.content.manifest(push.repository, reference);
  if (manifest === undefined || push.put.has(reference)) return;
  push.put.add(reference);
  const { manifests = [], config, layers = [] } = JSON.parse(manifest.bytes.toString()) as Document;
  for (const { digest } of manifests) await pushManifest(push, digest);
  const own = layers.filter(({ urls }) => urls === undefined);
  await Promise.all([...(config === undefined ? [] : [config]), ...own].map(({ digest }) => pushBlob(push, digest)));
  await putManifest(push, reference, manifest);
  for (const { digest } of push.content.referrers(reference as Digest) as readonly { digest: Digest }[]) await pushManifest(push, digest);
}

async function putManifest(push: Push, reference: string, { mediaType, bytes }: ManifestBytes): Promise<void> {
  const headers = { 'Content-Type': mediaType };
  await sent(push, 'PUT', `${push.url}/v2/${push.repository}/manifests/${reference}`, 201, { headers, body: new Uint8Array(bytes) });
}

async function pushBlob(push: Push, digest: Digest): Promise<void> {
  const source = push.content.blob(digest, push.repository);
  if (source === undefined || push.put.has(digest)) return;
  push.put.add(digest);
  const begun = await sent(push, 'POST', `${push.url}/v2/${push.repository}/blobs/uploads/`, 202);
  const location = new URL(begun.headers.get('location') ?? '', push.url);
  location.searchParams.set('digest', digest);
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read(0, source.sizeBytes)) pieces.push(piece);
  const headers = { 'Content-Type': 'application/octet-stream' };
  await sent(push, 'PUT', location.href, 201, { headers, body: new Uint8Array(Buffer.concat(pieces)) });
}

async function sent({ authorization }: Push, method: string, url: string, expected: number, init: RequestInit = {}): Promise<Response> {
  const headers = { ...init.headers, ...(authorization === undefined ? {} : { Authorization: authorization }) };
  const response = await fetch(url, { ...init, method, headers });
  const text = await response.text();
  if (response.status !== expected) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return response;
}
