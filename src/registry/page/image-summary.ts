/**
 * What the page says of a manifest, read from the registry's bytes. Documents are immutable, so what was read is kept (a bounded number of them); nothing here trusts them: a manifest
 * or config that cannot be read is shown as one that cannot.
 */
import type { Digest } from '../../base/brand.ts';
import { EngineError, errorText } from '../../base/errors.ts';
import { type ImageConfig, parseImageConfig } from '../../oci/image-config.ts';
import { type Descriptor, type ImageIndex, type ImageManifest, mediaTypes, parseManifest } from '../../oci/manifest.ts';
import type { RegistryRepository, StoredManifest } from '../registry.ts';

export interface ManifestSummary {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly document: ImageManifest | ImageIndex | null;
  /** Why there is no document. */
  readonly problem: string | null;
}

export type ConfigReading = { readonly kind: 'config'; readonly config: ImageConfig } | { readonly kind: 'none'; readonly why: string };

/** Larger ones are read by programs, not by people. */
const configLimitBytes = 1024 * 1024;
const keptSummaries = 2000;
/** Of an index: more platforms than anybody builds. */
const entriesLimit = 100;

const kept = new Map<string, ManifestSummary>();

export async function readManifest(repository: RegistryRepository, reference: string): Promise<ManifestSummary | null> {
  const stored = await repository.manifest(reference);
  if (stored === null) return null;
  const known = kept.get(keyOf(stored));
  if (known !== undefined) return known;
  const summary = summarized(stored);
  kept.set(keyOf(stored), summary);
  if (kept.size > keptSummaries) for (const oldest of kept.keys().take(1)) kept.delete(oldest);
  return summary;
}

/** The digest decides the bytes, the media type how they are read. */
function keyOf({ digest, mediaType }: StoredManifest): string {
  return `${digest} ${mediaType}`;
}

function summarized({ digest, mediaType, bytes }: StoredManifest): ManifestSummary {
  const facts = { digest, mediaType, sizeBytes: bytes.length };
  try {
    return { ...facts, document: parseManifest(bytes, mediaType), problem: null };
  } catch (thrown) {
    if (!(thrown instanceof EngineError)) throw thrown;
    return { ...facts, document: null, problem: errorText(thrown) };
  }
}

export async function readConfig(repository: RegistryRepository, { config }: ImageManifest): Promise<ConfigReading> {
  if (config.mediaType !== mediaTypes.ociConfig && config.mediaType !== mediaTypes.dockerConfig) {
    return { kind: 'none', why: `it is no container image: its config is ${config.mediaType}` };
  }
  if (config.size > configLimitBytes) return { kind: 'none', why: `its config has ${config.size} bytes, too many to show` };
  const blob = await repository.blob(config.digest);
  if (blob === null) return { kind: 'none', why: `its config ${config.digest} is not in this repository` };
  if (blob.sizeBytes !== config.size)
    return { kind: 'none', why: `its config has ${blob.sizeBytes} bytes where ${config.size} were announced` };
  const chunks: Uint8Array[] = [];
  for await (const chunk of blob.stream(0, blob.sizeBytes)) chunks.push(chunk);
  try {
    return { kind: 'config', config: parseImageConfig(Buffer.concat(chunks)) };
  } catch (thrown) {
    if (!(thrown instanceof EngineError)) throw thrown;
    return { kind: 'none', why: errorText(thrown) };
  }
}

/** Every blob that a reference needs, over all platforms, each once, by size. Manifests that are not here are left out. */
export async function blobsOf(repository: RegistryRepository, { document }: ManifestSummary, depth = 0): Promise<Map<Digest, number>> {
  const blobs = new Map<Digest, number>();
  if (document === null) return blobs;
  if (document.kind === 'manifest') {
    for (const { digest, size } of [document.config, ...document.layers]) blobs.set(digest, size);
    return blobs;
  }
  if (depth > 2) return blobs;
  for (const entry of document.manifests.slice(0, entriesLimit)) {
    const inner = await readManifest(repository, entry.digest);
    if (inner !== null) for (const [digest, size] of await blobsOf(repository, inner, depth + 1)) blobs.set(digest, size);
  }
  return blobs;
}

/** Attestations of a build ride along in its index as manifests of an unknown platform. */
export function isAttestation({ platform }: Descriptor): boolean {
  return platform?.os === 'unknown';
}

export function sumOf(sizes: Iterable<number>): number {
  let sum = 0;
  for (const size of sizes) sum += size;
  return sum;
}
