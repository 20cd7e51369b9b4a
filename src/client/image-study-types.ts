/** What the daemon answers about the insides of images (docs/images.md). Only Gantry has it. */

/** `GET /images/tree` */
export interface ImageTree {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  /** Unix seconds. */
  readonly Created: number;
  readonly Size: number;
  readonly Target: { readonly mediaType: string; readonly digest: string; readonly size: number };
  readonly Platforms: readonly ImagePlatform[];
  /** Bottom first. */
  readonly Layers: readonly ImageLayer[];
  /** Ids. */
  readonly Containers: readonly string[];
}

export interface ImagePlatform {
  readonly Platform: string;
  readonly Digest: string;
  readonly Available: boolean;
}

export interface ImageLayer {
  readonly DiffID: string;
  readonly Blob: string;
  readonly MediaType: string;
  readonly BlobSize: number;
  readonly Size: number;
  /** Ids of other images that have it. */
  readonly SharedWith: readonly string[];
}

/** `POST /images/NAME/verify` */
export interface ImageVerification {
  readonly Id: string;
  readonly Blobs: number;
  readonly Bytes: number;
  readonly Layers: number;
  readonly Files: number;
  readonly Findings: readonly { readonly Kind: string; readonly What: string; readonly Text: string }[];
}

/** `GET /images/NAME/diff` */
export interface ImageDifference {
  readonly From: { readonly Id: string; readonly Size: number };
  readonly To: { readonly Id: string; readonly Size: number };
  readonly SharedLayers: readonly LayerSize[];
  readonly OnlyFrom: readonly LayerSize[];
  readonly OnlyTo: readonly LayerSize[];
  readonly Added: number;
  readonly Changed: number;
  readonly Removed: number;
  readonly Truncated: boolean;
  readonly Changes: readonly ImageChange[];
}

export interface LayerSize {
  readonly DiffID: string;
  readonly Size: number;
}

export interface ImageChange {
  readonly Kind: 'added' | 'changed' | 'removed';
  readonly Path: string;
  readonly Type: string;
  readonly Before?: number;
  readonly After?: number;
  /** Of what changed: `content`, `mode`, `owner`, `type`, `link`. */
  readonly What?: readonly string[];
}

/** `GET /images/why` */
export interface DigestUse {
  readonly Digest: string;
  readonly As: readonly string[];
  readonly Size: number;
  readonly Images: readonly { readonly Id: string; readonly RepoTags: readonly string[]; readonly Why: string }[];
  readonly Containers: readonly { readonly Id: string; readonly Name: string; readonly Image: string }[];
  readonly Others: readonly string[];
}
