/** Bytes of manifests and indexes, with fields in one order. A manifest without annotations has the bytes that every other way into the image store gives it. */
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { Annotations } from './output-annotations.ts';

export function encodeImageManifest(config: Descriptor, layers: readonly Descriptor[], annotations: Annotations): Buffer {
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: ordered(config),
    layers: layers.map(ordered),
    ...whenAny(annotations),
  };
  return Buffer.from(JSON.stringify(manifest));
}

export function encodeIndex(manifests: readonly Descriptor[], annotations: Annotations): Buffer {
  return Buffer.from(JSON.stringify(indexDocument(manifests, annotations)));
}

export function indexDocument(manifests: readonly Descriptor[], annotations: Annotations = {}): object {
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: manifests.map(ordered), ...whenAny(annotations) };
}

function ordered({ mediaType, digest, size, urls, annotations, platform }: Descriptor): object {
  return {
    mediaType,
    digest,
    size,
    ...(urls === undefined ? {} : { urls }),
    ...whenAny(annotations ?? {}),
    ...(platform === undefined ? {} : { platform: orderedPlatform(platform) }),
  };
}

function orderedPlatform({ architecture, os, variant, 'os.version': version }: Platform): Platform {
  return { architecture, os, ...(version === undefined ? {} : { 'os.version': version }), ...(variant === undefined ? {} : { variant }) };
}

function whenAny(annotations: Annotations): { readonly annotations?: Annotations } {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}
