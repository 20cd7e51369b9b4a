/**
 * Layers on their way from registries: each blob once, whoever wants it, at most so many at a time.
 *
 *     join ──▶ partial file opened ──▶ a place ──▶ downloaded (retried, resumed) ──▶ whole ──▶ proved by whoever read it ──▶ adopted as a blob
 *                                                    ▲                                │
 *                                                    └──── wrong digest: once more ◀──┘
 *
 * A fetch lives as long as somebody holds a ticket of it; when the last one leaves, the download stops and the partial file stays.
 */
import type { DiffId, Digest } from '../base/brand.ts';
import { EngineError, invalid } from '../base/errors.ts';
import type { BlobSink, downloadBlob } from '../distribution/download-blob.ts';
import type { BlobDescriptor, Repository } from '../distribution/registry-client.ts';
import { BlobGrowth } from '../store/blob-growth.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { IncomingBlob } from '../store/layer-store.ts';
import type { Lease } from '../store/leases.ts';
import type { PartialBlob } from '../store/partial-blobs.ts';
import { createLock } from './image-store.ts';
import type { TransferSlots } from './transfer-slots.ts';

/** The whole of a blob from where the sink ends, with retries: `downloadBlob`. */
export type DownloadBlob = typeof downloadBlob;

export interface FetchListener {
  /** It has to wait for others. */
  waiting?(): void;
  progress?(doneBytes: number, totalBytes: number): void;
  retry?(seconds: number): void;
  whole?(): void;
}

export interface FetchTicket {
  readonly digest: Digest;
  readonly incoming: IncomingBlob;
  /** It was begun for this ticket: with these credentials, from this repository. */
  readonly isOwn: boolean;
  /** When the last one leaves, what is not adopted stays as a partial file. */
  leave(): Promise<void>;
}

export class BlobFetches {
  readonly #blobs: BlobStore;
  readonly #download: DownloadBlob;
  readonly #slots: TransferSlots;
  readonly #fetches = new Map<Digest, BlobFetch>();
  readonly #adopting = createLock();

  constructor(blobs: BlobStore, download: DownloadBlob, slots: TransferSlots) {
    this.#blobs = blobs;
    this.#download = download;
    this.#slots = slots;
  }

  async join(blob: BlobDescriptor, repository: Repository, listener: FetchListener): Promise<FetchTicket> {
    for (;;) {
      const running = this.#fetches.get(blob.digest);
      if (running === undefined) return await this.#begin(blob, repository, listener);
      if (!running.isOver) return await running.ticket(listener, false);
      await running.closed;
    }
  }

  /** What its reader proved becomes blobs that the lease holds. */
  async adopt(tickets: readonly FetchTicket[], lease: Lease): Promise<void> {
    // One at a time: two pulls of the same layer would take the file from each other.
    await this.#adopting(async () => {
      const fetches = tickets.map(({ digest }) => this.#fetches.get(digest)).filter((fetch) => fetch !== undefined);
      await this.#blobs.adoptAll(
        fetches.map(({ digest, path, sizeBytes }) => ({ digest, path, sizeBytes })),
        lease,
      );
      for (const fetch of fetches) fetch.adopted = true;
    });
  }

  async #begin(blob: BlobDescriptor, repository: Repository, listener: FetchListener): Promise<FetchTicket> {
    const fetch = new BlobFetch({ blobs: this.#blobs, download: this.#download, slots: this.#slots, blob, repository });
    this.#fetches.set(blob.digest, fetch);
    void fetch.closed.then(() => this.#fetches.delete(blob.digest));
    return await fetch.ticket(listener, true);
  }
}

interface FetchParts {
  readonly blobs: BlobStore;
  readonly download: DownloadBlob;
  readonly slots: TransferSlots;
  readonly blob: BlobDescriptor;
  readonly repository: Repository;
}

class BlobFetch implements IncomingBlob {
  readonly closed: Promise<void>;
  adopted = false;
  readonly #parts: FetchParts;
  readonly #growth = new BlobGrowth();
  readonly #listeners = new Set<FetchListener>();
  readonly #proved = new Set<DiffId>();
  readonly #gone = new AbortController();
  readonly #opened: Promise<PartialBlob>;
  readonly #close: () => void;
  #partial: PartialBlob | null = null;
  #whole: Promise<void>;
  #failed = false;
  #isWhole = false;
  #tickets = 0;
  #beganAgain = false;
  #worthless = false;

  constructor(parts: FetchParts) {
    this.#parts = parts;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.#close = closed.resolve;
    this.#opened = this.#open();
    this.#whole = this.#start();
  }

  get digest(): Digest {
    return this.#parts.blob.digest;
  }

  get sizeBytes(): number {
    return this.#parts.blob.size;
  }

  get growth(): SharedArrayBuffer {
    return this.#growth.shared;
  }

  get path(): string {
    if (this.adopted) return this.#parts.blobs.path(this.digest);
    return this.#file.path;
  }

  /** Nobody can join it any more. */
  get isOver(): boolean {
    return this.#gone.signal.aborted || this.#failed;
  }

  async ticket(listener: FetchListener, isOwn: boolean): Promise<FetchTicket> {
    this.#tickets++;
    this.#listeners.add(listener);
    let left = false;
    const leave = async () => {
      if (left) return;
      left = true;
      this.#listeners.delete(listener);
      this.#tickets--;
      if (this.#tickets === 0) await this.#end();
    };
    try {
      await this.#opened;
    } catch (error) {
      await leave();
      throw error;
    }
    if (this.#isWhole) listener.whole?.();
    return { digest: this.digest, incoming: this, isOwn, leave };
  }

  whole(): Promise<void> {
    return this.#whole;
  }

  async again(epoch: number, found: string): Promise<void> {
    // Somebody else saw it first.
    if (epoch !== this.#growth.epoch) return;
    if (this.#beganAgain) {
      this.#worthless = true;
      this.#failed = true;
      const { domain, path } = this.#parts.repository.name;
      throw invalid(
        `filesystem layer verification failed for digest ${this.digest}: ${domain}/${path} served other bytes twice (their digest is ${found}). Nothing was kept: its storage, or something on the way, is damaged`,
      );
    }
    this.#beganAgain = true;
    this.#isWhole = false;
    this.#growth.restart();
    await this.#file.restart();
    this.#whole = this.#start();
  }

  proved(diffId: DiffId): void {
    this.#proved.add(diffId);
  }

  hasProved(diffId: DiffId): boolean {
    return this.#proved.has(diffId);
  }

  get #file(): PartialBlob {
    if (this.#partial === null) throw new EngineError('system', `the download of ${this.digest} is not open`);
    return this.#partial;
  }

  async #open(): Promise<PartialBlob> {
    const partial = await this.#parts.blobs.partials.open(this.digest);
    this.#partial = partial;
    partial.onWritten((sizeBytes) => {
      this.#growth.reached(sizeBytes);
      for (const listener of this.#listeners) listener.progress?.(sizeBytes, this.sizeBytes);
    });
    return partial;
  }

  #start(): Promise<void> {
    const started = this.#fetch();
    // Whoever reads it asks later, or never.
    started.catch(() => {});
    return started;
  }

  async #fetch(): Promise<void> {
    try {
      const partial = await this.#opened;
      if (partial.sizeBytes > this.sizeBytes) await partial.restart();
      this.#growth.reached(partial.sizeBytes);
      if (partial.sizeBytes < this.sizeBytes) await this.#downloadRest(partial);
      await partial.flush();
      if (partial.sizeBytes !== this.sizeBytes)
        throw invalid(`the registry sent ${partial.sizeBytes} bytes of ${this.digest} where ${this.sizeBytes} were announced`);
      this.#isWhole = true;
      this.#growth.end('complete');
      for (const listener of this.#listeners) listener.whole?.();
    } catch (error) {
      this.#failed = true;
      this.#growth.end('failed');
      throw error;
    }
  }

  async #downloadRest(partial: PartialBlob): Promise<void> {
    const { slots, download, repository, blob } = this.#parts;
    const { signal } = this.#gone;
    if (slots.full) for (const listener of this.#listeners) listener.waiting?.();
    const release = await slots.take(signal);
    try {
      await download(repository, blob, this.#sink(partial), {
        signal,
        onRetry: (seconds) => {
          for (const listener of this.#listeners) listener.retry?.(seconds);
        },
      });
    } finally {
      release();
    }
  }

  #sink(partial: PartialBlob): BlobSink {
    const { size, digest } = this.#parts.blob;
    return {
      get sizeBytes() {
        return partial.acceptedBytes;
      },
      append: async (bytes) => {
        if (partial.acceptedBytes + bytes.length > size)
          throw invalid(`the registry sent more than the ${size} bytes that were announced for ${digest}`);
        await partial.append(bytes);
      },
      restart: async () => {
        this.#growth.restart();
        await partial.restart();
      },
    };
  }

  async #end(): Promise<void> {
    this.#gone.abort(new EngineError('unavailable', 'nobody waits for the download any more'));
    await this.#whole.catch(() => {});
    const partial = this.#partial;
    try {
      if (this.adopted || this.#worthless || this.#parts.blobs.has(this.digest)) await partial?.discard();
      else await partial?.close();
    } finally {
      this.#close();
    }
  }
}
