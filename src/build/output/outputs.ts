/**
 * What a build came to, as images and archives: configs and manifests, the image store, `oci`, `docker`, `tar` and `local` outputs, pushes, attestations. The same trees and configs give the same
 * bytes: nothing here reads a clock.
 */
import type { ImageConfig } from '../../oci/image-config.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { OutputRequest } from '../build-request.ts';
import type { BuildOutcome } from '../builder.ts';
import type { Tree } from '../result.ts';

export interface Outputs {
  /** All outputs of one build. `report`: sub-steps such as `exporting layers`, `writing image sha256:…`, `naming to …`, `pushing layers`. */
  export(
    request: ExportRequest,
    signal: AbortSignal,
  ): Promise<Pick<BuildOutcome, 'imageId' | 'configDigest' | 'digest' | 'mediaType' | 'sizeBytes' | 'names'>>;
}

export interface ExportRequest {
  readonly outputs: readonly OutputRequest[];
  /** One for each platform. */
  readonly images: readonly BuiltImage[];
  readonly client: BuildClient;
  readonly lease: Lease;
  readonly report: (step: ExportStep) => void;
}

export interface BuiltImage {
  readonly platform: Platform;
  readonly config: ImageConfig;
  readonly tree: Tree;
  /** Of the tree's layers, bottom first: those of the base as its manifest has them, new ones plain. */
  readonly layers: readonly Descriptor[];
  readonly epoch: number;
  /** In-toto statements, for an attestation manifest beside the image. */
  readonly attestations: readonly { readonly predicateType: string; readonly statement: unknown }[];
}

export interface ExportStep {
  readonly id: string;
  readonly current: number;
  readonly total: number;
  readonly done: boolean;
}
