/**
 * Garbage collection of a registry whose blobs lie in a store that somebody else removes from, too. The registry only takes back its links; the files are the other's to remove, who
 * looks at leases, its own records and the registry's links in the turn in which a file goes (images/sweep.ts).
 */
import type { Digest } from '../../base/brand.ts';
import type { RegistryOptions } from '../../registry/create-registry.ts';
import type { GarbageReport, Registry } from '../../registry/registry.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { Leases } from '../../store/leases.ts';

/** Where the blobs lie, when that is not the root: a store that somebody else has, and removes from. */
export interface SharedBlobs {
  readonly blobs: BlobStore;
  readonly leases: Leases;
  isMountName(name: string): boolean;
  readonly mountElsewhere: NonNullable<RegistryOptions['mountElsewhere']>;
  /** Those that its owner needs now. */
  needed(): ReadonlySet<Digest>;
  /** Removes what neither needs. */
  sweep(): Promise<void>;
}

export class SharedGarbage {
  readonly #shared: SharedBlobs;
  /** Of a look that changes nothing. */
  #needed: ReadonlySet<Digest> | null = null;

  constructor(shared: SharedBlobs) {
    this.#shared = shared;
  }

  /** The registry must not remove this file. */
  isLeft(digest: Digest): boolean {
    return this.#needed?.has(digest) ?? true;
  }

  /** The registry, whose collection is one of both. */
  over(registry: Registry): Registry {
    return {
      repositories: (page) => registry.repositories(page),
      repository: (name) => registry.repository(name),
      onEvent: (listener) => registry.onEvent(listener),
      check: (onFinding, signal) => registry.check(onFinding, signal),
      stats: () => registry.stats(),
      needsBlob: (digest) => registry.needsBlob(digest),
      close: () => registry.close(),
      collectGarbage: async (options = {}) => {
        if (options.dryRun) return await this.#look(() => registry.collectGarbage(options));
        const { removedUploads } = await registry.collectGarbage(options);
        return { removedUploads, ...(await this.#sweep(registry)) };
      },
    };
  }

  async #look(collect: () => Promise<GarbageReport>): Promise<GarbageReport> {
    this.#needed = this.#shared.needed();
    try {
      return await collect();
    } finally {
      this.#needed = null;
    }
  }

  async #sweep(registry: Registry): Promise<Omit<GarbageReport, 'removedUploads'>> {
    const { blobs } = this.#shared;
    const unlinked = (await blobs.list()).filter((digest) => !registry.needsBlob(digest) && blobs.has(digest));
    const sizes = new Map(unlinked.map((digest) => [digest, blobs.sizeBytes(digest)]));
    await this.#shared.sweep();
    const gone = [...sizes].filter(([digest]) => !blobs.has(digest));
    return { removedBlobs: gone.length, reclaimedBytes: gone.reduce((sum, [, sizeBytes]) => sum + sizeBytes, 0) };
  }
}
