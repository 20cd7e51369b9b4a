/** Manifests that were asked for lately, up to so many bytes: what is hot is answered without a look at the database. Content never changes; a key does not go stale. */
import type { Digest } from '../base/brand.ts';
import type { StoredManifest } from './registry.ts';

export class ManifestCache {
  readonly #limitBytes: number;
  /** The first was used longest ago. */
  readonly #entries = new Map<string, StoredManifest>();
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The same bytes may have another media type elsewhere. */
  get(digest: Digest, mediaType: string): StoredManifest | undefined {
    const found = this.#entries.get(digest);
    if (found === undefined || found.mediaType !== mediaType) return undefined;
    // Only when it is worth it: a cache with room needs no order.
    if (this.#sizeBytes > this.#limitBytes / 2) {
      this.#entries.delete(digest);
      this.#entries.set(digest, found);
    }
    return found;
  }

  put(manifest: StoredManifest): void {
    this.#delete(manifest.digest);
    this.#entries.set(manifest.digest, manifest);
    this.#sizeBytes += costOf(manifest);
    for (const digest of this.#entries.keys()) {
      if (this.#sizeBytes <= this.#limitBytes) break;
      this.#delete(digest);
    }
  }

  #delete(digest: string): void {
    const found = this.#entries.get(digest);
    if (found === undefined) return;
    this.#entries.delete(digest);
    this.#sizeBytes -= costOf(found);
  }
}

function costOf({ bytes }: StoredManifest): number {
  return bytes.length + 512;
}
