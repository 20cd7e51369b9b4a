/** What a manifest says, and the list that is made of several. Pure. */
import type { RemoteManifest } from '../../client/manifest-api.ts';
import { isIndexType, mediaTypes } from '../../oci/manifest.ts';
import type { ListedManifest } from './local-lists.ts';

export function documentOf(raw: string): unknown {
  return JSON.parse(Buffer.from(raw, 'base64').toString('utf8'));
}

export function isList({ Descriptor }: RemoteManifest): boolean {
  return isIndexType(Descriptor.mediaType);
}

export function listedManifest(reference: string, remote: RemoteManifest): ListedManifest {
  const [platform] = remote.Platforms;
  const { mediaType, digest, size } = remote.Descriptor;
  const kind = mediaType === mediaTypes.dockerManifest ? 'SchemaV2Manifest' : 'OCIManifest';
  return {
    Ref: reference,
    Descriptor: { mediaType, digest, size, ...(platform === undefined ? {} : { platform }) },
    Raw: remote.Raw,
    [kind]: documentOf(remote.Raw),
  };
}

export interface ManifestList {
  readonly mediaType: string;
  readonly text: string;
}

/** Byte for byte what Docker's client makes of Docker's manifests, so that its digest is the same; an OCI index as soon as one of them is OCI's. */
export function manifestList(members: readonly ListedManifest[]): ManifestList {
  const isDocker = members.every(({ Descriptor }) => Descriptor.mediaType === mediaTypes.dockerManifest);
  const mediaType = isDocker ? mediaTypes.dockerIndex : mediaTypes.ociIndex;
  const manifests = members.map(({ Descriptor: { mediaType: type, size, digest, platform } }) => ({
    mediaType: type,
    size,
    digest,
    ...(platform === undefined ? {} : { platform: orderedPlatform(platform) }),
  }));
  return { mediaType, text: JSON.stringify({ schemaVersion: 2, mediaType, manifests }, null, 3) };
}

function orderedPlatform(platform: NonNullable<ListedManifest['Descriptor']['platform']>): object {
  const { architecture, os, variant } = platform;
  const version = platform['os.version'];
  const features = platform['os.features'] ?? [];
  return {
    architecture,
    os,
    ...(version ? { 'os.version': version } : {}),
    ...(features.length > 0 ? { 'os.features': features } : {}),
    ...(variant ? { variant } : {}),
  };
}
