/**
 * Attestations beside an image: a manifest of the platform `unknown/unknown` in the same index, whose layers are in-toto statements about the image's manifest. Clients that look for an image
 * pass over it.
 */
import { digestHex, digestOf } from '../../oci/digest.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import { formatPlatform, type Platform } from '../../oci/platform.ts';
import { canonicalName, familiarName, parseReference } from '../../oci/reference.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import { encodeImageManifest } from './encode-manifest.ts';
import type { BuiltImage } from './outputs.ts';

const statementType = 'application/vnd.in-toto+json';

export type Attestation = BuiltImage['attestations'][number];

export interface Subject {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

/** Entry of the index. */
export async function writeAttestations(
  blobs: BlobStore,
  lease: Lease,
  image: { readonly manifest: Descriptor; readonly platform: Platform; readonly names: readonly string[] },
  attestations: readonly Attestation[],
): Promise<{ readonly descriptor: Descriptor; readonly layers: readonly Descriptor[]; readonly config: Descriptor }> {
  const subjects = subjectsOf(image);
  const layers: Descriptor[] = [];
  for (const { predicateType, statement } of attestations) {
    const bytes = encodeStatement(statement, predicateType, subjects);
    const { digest, sizeBytes } = await blobs.write([bytes], { lease, what: 'attestation' });
    layers.push({ mediaType: statementType, digest, size: sizeBytes, annotations: { 'in-toto.io/predicate-type': predicateType } });
  }
  const nowhere = { architecture: 'unknown', os: 'unknown' };
  const configBytes = Buffer.from(
    JSON.stringify({ ...nowhere, config: {}, rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) } }),
  );
  await blobs.write([configBytes], { lease, what: 'config of attestations' });
  const config = { mediaType: mediaTypes.ociConfig, digest: digestOf(configBytes), size: configBytes.length };
  const bytes = encodeImageManifest(config, layers, {});
  await blobs.write([bytes], { lease, what: 'manifest of attestations' });
  const descriptor: Descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    annotations: { 'vnd.docker.reference.digest': image.manifest.digest, 'vnd.docker.reference.type': 'attestation-manifest' },
    platform: nowhere,
  };
  return { descriptor, layers, config };
}

/** What a statement is about is known only when the image is. */
export function encodeStatement(statement: unknown, predicateType: string, subject: readonly Subject[]): Buffer {
  const given = typeof statement === 'object' && statement !== null ? statement : {};
  const predicate = 'predicate' in given ? given.predicate : statement;
  return Buffer.from(JSON.stringify({ _type: 'https://in-toto.io/Statement/v0.1', predicateType, subject, predicate }));
}

/** Package URLs, one for each name: `pkg:docker/app@1?platform=linux%2Famd64`. */
function subjectsOf({
  manifest,
  platform,
  names,
}: {
  readonly manifest: Descriptor;
  readonly platform: Platform;
  readonly names: readonly string[];
}) {
  const digest = { sha256: digestHex(manifest.digest) };
  const query = `platform=${encodeURIComponent(formatPlatform(platform))}`;
  if (names.length === 0) return [{ name: '_', digest }];
  return names.map((name) => {
    const reference = parseReference(name);
    const path = reference.domain === 'docker.io' ? familiarName(reference) : canonicalName(reference);
    return { name: `pkg:docker/${path}@${reference.tag ?? 'latest'}?${query}`, digest };
  });
}
