/** A registry of given images, as much of one as the page looks at. */
import type { Digest } from '../../../base/brand.ts';
import { digestOf } from '../../../oci/digest.ts';
import { type Descriptor, mediaTypes } from '../../../oci/manifest.ts';
import type { Page, PageOf, Registry, RegistryRepository, StoredManifest } from '../../registry.ts';

export interface FixedImage {
  readonly config: Readonly<Record<string, unknown>>;
  readonly layers: readonly Buffer[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export class FixedRegistry {
  readonly #repositories = new Map<
    string,
    { tags: Map<string, Digest>; manifests: Map<Digest, StoredManifest>; blobs: Map<Digest, Buffer> }
  >();

  tagImage(name: string, tag: string | null, image: FixedImage): Descriptor {
    const config = this.#blob(name, mediaTypes.ociConfig, Buffer.from(JSON.stringify(image.config)));
    const layers = image.layers.map((layer) => this.#blob(name, mediaTypes.ociLayerGzip, layer));
    const { annotations } = image;
    return this.tagDocument(name, tag, mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers,
      annotations,
    });
  }

  tagDocument(name: string, tag: string | null, mediaType: string, document: unknown): Descriptor {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    const repository = this.#repository(name);
    repository.manifests.set(digest, { digest, mediaType, bytes, subject: null });
    if (tag !== null) repository.tags.set(tag, digest);
    return { mediaType, digest, size: bytes.length };
  }

  get registry(): Registry {
    return {
      repositories: (page: Page) => paged([...this.#repositories.keys()], page),
      repository: (name: string) => this.#view(name),
    } as Partial<Registry> as Registry;
  }

  #view(name: string): RegistryRepository {
    const found = this.#repositories.get(name);
    return {
      name,
      exists: found !== undefined,
      tag: (tag) => {
        const digest = found?.tags.get(tag);
        return digest === undefined ? null : { digest, movedAt: new Date('2026-11-21T20:23:00Z') };
      },
      tags: async (page) => paged([...(found?.tags.keys() ?? [])], page),
      manifest: async (reference) => found?.manifests.get((found.tags.get(reference) ?? reference) as Digest) ?? null,
      blob: async (digest) => {
        const bytes = found?.blobs.get(digest);
        if (bytes === undefined) return null;
        return {
          digest,
          sizeBytes: bytes.length,
          path: null,
          stream: async function* (start, end) {
            yield bytes.subarray(start, end);
          },
        };
      },
      referrers: async () => ({ entries: [], more: false }),
    } as Partial<RegistryRepository> as RegistryRepository;
  }

  #blob(name: string, mediaType: string, bytes: Buffer): Descriptor {
    const digest = digestOf(bytes);
    this.#repository(name).blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  #repository(name: string) {
    const found = this.#repositories.get(name) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    this.#repositories.set(name, found);
    return found;
  }
}

function paged(names: readonly string[], { after, limit }: Page): PageOf<string> {
  const rest = names.toSorted().filter((name) => after === null || name > after);
  return { entries: rest.slice(0, limit), more: rest.length > limit };
}
