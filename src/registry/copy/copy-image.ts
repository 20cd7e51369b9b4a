/**
 * Copies an image with everything that belongs to it, what is named before what names it, so that the destination is whole at every moment:
 *
 *     blobs (several at once) → manifests → index → tag            and after a manifest, with `referrers`, what refers to it
 *
 * What is there is not copied: a manifest that the destination has is not gone into, a blob is looked for before it is sent. Every manifest and blob is handled once, however many name it.
 */
import type { Digest } from '../../base/brand.ts';
import { type EngineError, invalid, notFound } from '../../base/errors.ts';
import { type Descriptor, type ImageIndex, type ImageManifest, isIndexType, parseManifest } from '../../oci/manifest.ts';
import { choosePlatform, formatPlatform, type Platform } from '../../oci/platform.ts';
import type { BlobOutcome, FetchedDocument, ImageDestination, ImageSource } from './image-place.ts';
import { Slots } from './slots.ts';

export interface CopyOptions {
  /** Of an index only this one, and the tag becomes its manifest. Null: everything. */
  readonly platform: Platform | null;
  /** Signatures, bills of material and the like go along. */
  readonly referrers: boolean;
  /** Blobs at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  onEvent(event: CopyEvent): void;
}

export type CopyEvent =
  | { readonly kind: 'blob'; readonly blob: Descriptor; readonly outcome: BlobOutcome }
  | { readonly kind: 'progress'; readonly blob: Descriptor; readonly sentBytes: number }
  | { readonly kind: 'manifest'; readonly manifest: Descriptor; readonly tag: string | null; readonly outcome: 'copied' | 'exists' };

/** An index in an index in an index: nobody needs it, a loop would. Chains of referrers count too. */
const nestingLimit = 6;

/** One copy: of one reference, or of many between the same two places. */
export class ImageCopy {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #options: CopyOptions;
  readonly #slots: Slots;
  readonly #manifests = new Map<Digest, Promise<void>>();
  readonly #blobs = new Map<Digest, Promise<void>>();

  constructor(source: ImageSource, destination: ImageDestination, options: CopyOptions) {
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
    this.#slots = new Slots(options.parallel);
  }

  /** `tag` null: it arrives under its digest only. Answers what the tag now means. */
  async copy(reference: string | null, tag: string | null): Promise<Descriptor> {
    const { signal } = this.#options;
    const root = await this.#chosen(await this.#source.fetch(reference, signal));
    await this.#manifest(root.descriptor, root, 0);
    if (tag !== null) {
      await this.#destination.putManifest(root, tag, signal);
      this.#options.onEvent({ kind: 'manifest', manifest: root.descriptor, tag, outcome: 'copied' });
    }
    return root.descriptor;
  }

  async #chosen(document: FetchedDocument): Promise<FetchedDocument> {
    const { platform, signal } = this.#options;
    if (platform === null) return document;
    const parsed = this.#parsed(document);
    if (parsed.kind === 'manifest') return document;
    const chosen = choosePlatform(parsed.manifests, platform);
    if (chosen === null) throw noSuchPlatform(this.#source.name, parsed, platform);
    return await this.#chosen(await this.#fetched(chosen, signal));
  }

  /** Once for each digest; whoever comes later waits for the first. */
  #manifest(descriptor: Descriptor, known: FetchedDocument | null, depth: number): Promise<void> {
    const running = this.#manifests.get(descriptor.digest) ?? this.#copyManifest(descriptor, known, depth);
    this.#manifests.set(descriptor.digest, running);
    return running;
  }

  async #copyManifest(descriptor: Descriptor, known: FetchedDocument | null, depth: number): Promise<void> {
    const { signal, onEvent, referrers } = this.#options;
    if (depth > nestingLimit) throw invalid(`${this.#source.name} nests indexes or referrers too deeply (at ${descriptor.digest})`);
    const isThere = await this.#destination.holds(descriptor, signal);
    // What refers to the platforms of an index may be missing where the index is not.
    if (!isThere || (referrers && isIndexType(descriptor.mediaType))) {
      const document = known ?? (await this.#fetched(descriptor, signal));
      await this.#contents(this.#parsed(document), depth);
      if (!isThere) await this.#destination.putManifest(document, null, signal);
    }
    onEvent({ kind: 'manifest', manifest: descriptor, tag: null, outcome: isThere ? 'exists' : 'copied' });
    if (referrers) await this.#referrersOf(descriptor, depth);
  }

  async #contents(document: ImageIndex | ImageManifest, depth: number): Promise<void> {
    if (document.kind === 'index') await allSettled(document.manifests.map((entry) => this.#manifest(entry, null, depth + 1)));
    else await allSettled([document.config, ...document.layers].filter(isCopied).map((blob) => this.#blob(blob)));
  }

  async #referrersOf({ digest }: Descriptor, depth: number): Promise<void> {
    const found = await this.#source.referrers(digest, this.#options.signal);
    await allSettled(found.map((referrer) => this.#manifest(referrer, null, depth + 1)));
  }

  #blob(blob: Descriptor): Promise<void> {
    const running = this.#blobs.get(blob.digest) ?? this.#slots.run(() => this.#copyBlob(blob));
    this.#blobs.set(blob.digest, running);
    return running;
  }

  async #copyBlob(blob: Descriptor): Promise<void> {
    const { signal, onEvent } = this.#options;
    signal.throwIfAborted();
    const outcome = await this.#destination.putBlob(
      {
        blob,
        open: (offsetBytes) => this.#source.open(blob, offsetBytes, signal),
        from: this.#source.repository,
        onProgress: (sentBytes) => onEvent({ kind: 'progress', blob, sentBytes }),
      },
      signal,
    );
    onEvent({ kind: 'blob', blob, outcome });
  }

  async #fetched(descriptor: Descriptor, signal: AbortSignal): Promise<FetchedDocument> {
    const { bytes } = await this.#source.fetch(descriptor.digest, signal);
    if (bytes.length !== descriptor.size)
      throw invalid(
        `${this.#source.name}: manifest ${descriptor.digest} has ${bytes.length} bytes where ${descriptor.size} were announced`,
      );
    return { descriptor, bytes };
  }

  #parsed({ descriptor, bytes }: FetchedDocument): ImageIndex | ImageManifest {
    return parseManifest(bytes, descriptor.mediaType, `${this.#source.name}: manifest ${descriptor.digest}`);
  }
}

/** Layers that may not be distributed lie where their `urls` say, and stay there. */
function isCopied({ mediaType }: Descriptor): boolean {
  return !/nondistributable|\.foreign\./.test(mediaType);
}

function noSuchPlatform(where: string, { manifests }: ImageIndex, wanted: Platform): EngineError {
  const there = manifests.flatMap(({ platform }) => (platform && platform.os !== 'unknown' ? [formatPlatform(platform)] : []));
  return notFound(`${where} has no image for ${formatPlatform(wanted)}: there is ${there.join(', ') || 'none with a platform'}`);
}

/** The first failure, when nothing runs any more: what was begun is finished or failed by then. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
