/** What the parts of the catalogue share: records, bytes, layers, the lock that orders changes, and who listens. */
import type { ImageId } from '../base/brand.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { LayerStore } from '../store/layer-store.ts';
import type { Leases } from '../store/leases.ts';
import type { ImageEvent, ImageUser } from './catalogue.ts';
import type { ImageRecords } from './image-records.ts';
import type { Sweeper } from './sweep.ts';

export interface ImageStore {
  readonly records: ImageRecords;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly leases: Leases;
  readonly sweeper: Sweeper;
  /** One change of the records at a time: what a change looked at still holds when it is applied. */
  exclusive<T>(change: () => Promise<T>): Promise<T>;
  users(id: ImageId): readonly ImageUser[];
  emit(event: ImageEvent): void;
}

/** Runs what it is given one after the other, in order. */
export function createLock(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}
