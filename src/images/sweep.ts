/**
 * Takes back the blobs and layers that no image record and no other owner needs and no lease holds: after images went, after a failed load, at start.
 *
 * It runs beside other work. Blobs: the look at records and leases and the removal happen in one turn of the event loop, and whoever brings a
 * blob holds it in a lease before it is visible. Layers: their directories are made by the layer store under names that are known only
 * afterwards, so a layer sweep waits until no image is on its way in, and images on their way in wait for a running one.
 */
import type { Digest } from '../base/brand.ts';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { LayerStore } from '../store/layer-store.ts';
import type { Leases } from '../store/leases.ts';
import type { ImageRecords } from './image-records.ts';

export interface SweepStores {
  readonly records: ImageRecords;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly leases: Leases;
  readonly log: Logger;
}

/** Somebody else whose bytes lie in the same stores: a registry, the cache of the builder. Asked in the turn in which something would go, so the answer must be at hand. */
export interface BlobOwner {
  /** For messages: `the registry of this daemon`. */
  readonly name: string;
  holds(digest: Digest): boolean;
  /** Of the layer store. */
  layerDirectories?(): ReadonlySet<string>;
}

export class Sweeper {
  readonly #stores: SweepStores;
  readonly #owners = new Set<BlobOwner>();
  #arriving = 0;
  #layerSweep: Promise<void> | null = null;
  #layerSweepDue = false;

  constructor(stores: SweepStores) {
    this.#stores = stores;
  }

  /** From now on nothing that it holds is swept; call it before the first sweep. The answer takes it back. */
  addOwner(owner: BlobOwner): () => void {
    this.#owners.add(owner);
    return () => void this.#owners.delete(owner);
  }

  /** Name of the owner that holds the blob beside the images; null: none. */
  ownerOf(digest: Digest): string | null {
    return this.#owners.values().find((owner) => owner.holds(digest))?.name ?? null;
  }

  /** Directories of layers that others than the images own → who. */
  layerOwners(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#owners].flatMap((owner) => [...(owner.layerDirectories?.() ?? [])].map((directory) => [directory, owner.name] as const)),
    );
  }

  /** An image is on its way in: its layers have no record yet. */
  get isArriving(): boolean {
    return this.#arriving > 0;
  }

  /** Around everything from the first unpacked layer to the record that keeps it. */
  async whileArriving<T>(work: () => Promise<T>): Promise<T> {
    while (this.#layerSweep) await this.#layerSweep;
    this.#arriving++;
    try {
      return await work();
    } finally {
      this.#arriving--;
      if (this.#arriving === 0 && this.#layerSweepDue) this.#startLayerSweep();
    }
  }

  /** Done when the garbage is gone; layers excepted while an image is arriving, then they go after it. Never fails: what stays is found next time. */
  async sweep(): Promise<void> {
    try {
      await this.#sweepBlobs();
    } catch (cause) {
      this.#stores.log.warn({ cause: errorText(cause) }, 'unused blobs could not be removed');
    }
    this.#layerSweepDue = true;
    if (this.#arriving > 0) return;
    // A sweep that already runs may have looked before the latest removal.
    while (this.#layerSweep) await this.#layerSweep;
    if (this.#layerSweepDue && this.#arriving === 0) await this.#startLayerSweep();
  }

  async #sweepBlobs(): Promise<void> {
    const { blobs, leases, records } = this.#stores;
    const present = await blobs.list();
    const { blobs: inUse } = records.inUse();
    const garbage = present.filter((digest) => !inUse.has(digest) && !leases.holds(digest) && this.ownerOf(digest) === null);
    // `delete` takes a blob out of sight before its first await, so all of them go in this turn.
    await Promise.all(garbage.map((digest) => blobs.delete(digest)));
    // What is a blob that somebody needs is no unfinished download any more; a crash between the two leaves both.
    await blobs.partials.removeIdle((digest) => !blobs.has(digest));
  }

  #startLayerSweep(): Promise<void> {
    this.#layerSweepDue = false;
    this.#layerSweep = this.#sweepLayers().finally(() => {
      this.#layerSweep = null;
    });
    return this.#layerSweep;
  }

  async #sweepLayers(): Promise<void> {
    const { layers, leases, records, log } = this.#stores;
    try {
      const owned = new Set(this.layerOwners().keys());
      await layers.sweep(records.inUse().directories.union(owned).union(leases.heldLayers()));
    } catch (cause) {
      log.warn({ cause: errorText(cause) }, 'unused layers could not be removed');
    }
  }
}
