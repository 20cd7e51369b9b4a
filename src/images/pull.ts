/**
 * `docker pull`: from a reference to an image of the catalogue.
 *
 *     manifest or index ─▶ this platform's manifest ─▶ config ──┐
 *                                └─▶ layers ─▶ partial files ───┴─▶ verified and unpacked while they come ─▶ blobs ─▶ record and tags
 *
 * A lease holds everything that the image will need from before it is looked for. Until the record is there nothing of the image is visible; when a step fails, what was
 * fetched of layers stays as partial files, and the next pull goes on there.
 */
import type { Digest, ImageId } from '../base/brand.ts';
import { EngineError, notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { BlobDescriptor, RegistryClient, RegistryCredentials, Repository } from '../distribution/registry-client.ts';
import { imageConfigLimitBytes, parseImageConfig } from '../oci/image-config.ts';
import type { Descriptor, ImageManifest } from '../oci/manifest.ts';
import { formatPlatform, type Platform, parsePlatform, runsOn } from '../oci/platform.ts';
import {
  canonicalName,
  canonicalReference,
  familiarName,
  familiarReference,
  type ImageReference,
  parseReference,
} from '../oci/reference.ts';
import type { IncomingBlob } from '../store/layer-store.ts';
import type { Lease } from '../store/leases.ts';
import { type Admitted, admitImage, type IncomingImage, layerSources } from './admit.ts';
import type { BlobFetches, DownloadBlob, FetchTicket } from './blob-fetches.ts';
import type { ImageProgress } from './catalogue.ts';
import { fetchSmall } from './fetch-small.ts';
import { withFullDiskAdvice } from './full-disk-advice.ts';
import type { ImageRecord } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { LayerLines } from './layer-lines.ts';
import { firstDocument, type RemoteDocument, type RemoteImage, remoteImage } from './remote-image.ts';

export interface PullRequest {
  /** A name with a tag or digest; with neither, all tags. */
  readonly reference: string;
  /** As `--platform` takes it; null: this machine's. */
  readonly platform: string | null;
  readonly credentials: RegistryCredentials | null;
  /** A name that means an image already goes on meaning it: this one is for another machine. */
  readonly keepsName?: boolean;
  /** Told of what a tag or digest came to, whatever it is called. */
  readonly onImage?: (id: ImageId) => void;
}

export interface PullParts {
  readonly store: ImageStore;
  readonly client: Pick<RegistryClient, 'repository'>;
  readonly download: DownloadBlob;
  readonly fetches: BlobFetches;
  readonly host: Platform;
}

type Report = (progress: ImageProgress) => void;

/** Errors before the first report are answers of their own: nothing of the pull has been told yet. */
export async function pullImage(parts: PullParts, request: PullRequest, report: Report, signal: AbortSignal): Promise<void> {
  const reference = parseReference(request.reference);
  const repository = parts.client.repository({ domain: reference.domain, path: reference.path }, request.credentials);
  const platform = request.platform === null ? parts.host : parsePlatform(request.platform);
  let newer = false;
  if (reference.tag !== null || reference.digest !== null) {
    const choice = { ...request, platform, asked: request.platform !== null };
    newer = await new Pull(parts, repository, reference, choice, report, signal).run();
  } else {
    for await (const tag of tagsOf(repository, reference, signal)) {
      const tagged = { ...reference, tag };
      newer = (await new Pull(parts, repository, tagged, { platform, asked: false }, report, signal).run()) || newer;
    }
  }
  const name = familiarReference(reference);
  report({ kind: 'status', text: newer ? `Status: Downloaded newer image for ${name}` : `Status: Image is up to date for ${name}` });
  const pulled = parts.store.records.reference(keyOf(reference));
  const labels = (pulled && parts.store.records.get(pulled.id)?.config.config.Labels) ?? {};
  parts.store.emit({ action: 'pull', id: name, attributes: { ...labels, name: familiarName(reference) } });
}

async function* tagsOf(repository: Repository, reference: ImageReference, signal: AbortSignal): AsyncGenerator<string> {
  try {
    yield* repository.tags(signal);
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
    throw notFound(`repository ${familiarName(reference)} not found: ${error.message}`, { cause: error });
  }
}

interface Choice {
  readonly platform: Platform;
  /** Somebody named it. */
  readonly asked: boolean;
  readonly keepsName?: boolean;
  readonly onImage?: (id: ImageId) => void;
}

/** One tag or digest. */
class Pull {
  readonly #parts: PullParts;
  readonly #repository: Repository;
  readonly #reference: ImageReference;
  readonly #choice: Choice;
  readonly #report: Report;
  readonly #lines: LayerLines;
  readonly #signal: AbortSignal;
  /** Layers whose end is to be told. */
  readonly #told = new Set<Digest>();
  /** Those of them that are downloaded. */
  readonly #whole = new Set<Digest>();

  constructor(parts: PullParts, repository: Repository, reference: ImageReference, choice: Choice, report: Report, signal: AbortSignal) {
    this.#parts = parts;
    this.#repository = repository;
    this.#reference = reference;
    this.#choice = choice;
    this.#report = report;
    this.#lines = new LayerLines(report);
    this.#signal = signal;
  }

  /** True: the reference means another image than before. */
  async run(): Promise<boolean> {
    const { store } = this.#parts;
    const { tag, digest } = this.#reference;
    const first = await firstDocument(this.#repository, digest ?? tag ?? 'latest', this.#signal);
    const id = digest === null ? (tag ?? 'latest') : canonicalReference(this.#reference);
    this.#report({ kind: 'status', text: `Pulling from ${this.#reference.path}`, id });
    const lease = store.leases.acquire();
    let complete = false;
    try {
      const image = await remoteImage(this.#repository, first, this.#choice.platform, this.#signal);
      const { record, isNew } = await this.#bring(image, lease);
      complete = true;
      this.#choice.onImage?.(record.id);
      this.#report({ kind: 'status', text: `Digest: ${first.descriptor.digest}` });
      this.#warnOfPlatform(record);
      return isNew;
    } finally {
      lease.release();
      if (!complete) await store.sweeper.sweep();
    }
  }

  async #bring(image: RemoteImage, lease: Lease): Promise<{ readonly record: ImageRecord; readonly isNew: boolean }> {
    const { store } = this.#parts;
    const { config, layers } = image.manifest;
    const documents = image.documents.map(({ descriptor }) => descriptor.digest);
    // Held first, looked for after: what is here now stays.
    for (const blob of [...documents, config.digest, ...layers.map(({ digest }) => digest)]) lease.hold(blob);
    const key = keyOf(this.#reference);
    const before = store.records.reference(key)?.id;
    for (let attempt = 1; ; attempt++) {
      const tickets = new Map<Digest, FetchTicket>();
      try {
        const { record } = await this.#admit(image, lease, tickets);
        return { record, isNew: before !== record.id };
      } catch (error) {
        // Somebody else's download that failed, with their credentials or because they left: ours may do better.
        const foreign = [...tickets.values()].some(({ isOwn }) => !isOwn);
        if (!foreign || this.#signal.aborted || attempt === 3) throw withFullDiskAdvice(error);
      } finally {
        await Promise.all([...tickets.values()].map((ticket) => ticket.leave()));
      }
    }
  }

  async #admit(image: RemoteImage, lease: Lease, tickets: Map<Digest, FetchTicket>): Promise<Admitted> {
    const { store, fetches } = this.#parts;
    const { manifest, target, manifestDescriptor } = image;
    // What failed stops the other half; both have ended when this ends.
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#signal, failure.signal]);
    const [configBytes] = await together(failure, [this.#config(manifest.config, signal), this.#joinMissing(manifest, tickets)]);
    this.#signal.throwIfAborted();
    const incoming = new Map<Digest, IncomingBlob>([...tickets].map(([digest, ticket]) => [digest, ticket.incoming]));
    const incomingImage: IncomingImage = {
      config: manifest.config,
      configBytes,
      target: { descriptor: target, manifest: manifestDescriptor, blobs: blobsOf(image) },
      layerBlobs: manifest.layers.map(({ digest }) => digest),
      incoming,
    };
    const what = familiarReference(this.#reference);
    this.#tellPacked(incomingImage, what);
    // Told at once, not when a thread comes to its layer; a download that is begun again is its reader's matter.
    for (const { incoming: coming } of tickets.values()) coming.whole().catch((error) => failure.abort(error));
    const admitted = await admitImage(store, incomingImage, {
      references: this.#references(target.digest),
      isPull: true,
      what,
      signal,
      onLayerProgress: ({ blob }, { doneBytes, totalBytes }) => this.#extracting(blob, doneBytes, totalBytes),
      onLayer: ({ blob }) => this.#unpacked(blob),
      beforeRecord: () => this.#commit(image, configBytes, [...tickets.values()], fetches, lease),
    });
    failpoint('pull.recorded');
    return admitted;
  }

  /** Everything that the record will name is a blob, durable and held. */
  async #commit(image: RemoteImage, config: Buffer, tickets: readonly FetchTicket[], fetches: BlobFetches, lease: Lease): Promise<void> {
    const { store } = this.#parts;
    failpoint('pull.layers-unpacked');
    await fetches.adopt(tickets, lease);
    failpoint('pull.layers-adopted');
    await this.#write(config, image.manifest.config.digest, 'image config', lease);
    for (const { descriptor, bytes } of image.documents) await this.#write(bytes, descriptor.digest, 'manifest', lease);
    const gone = image.manifest.layers.find(({ digest }) => !store.blobs.has(digest));
    if (gone) throw new EngineError('system', `the layer ${gone.digest} was removed from the disk during the pull: pull again`);
    failpoint('pull.blobs-written');
  }

  async #write(bytes: Buffer, expectedDigest: Digest, what: string, lease: Lease): Promise<void> {
    if (this.#parts.store.blobs.has(expectedDigest)) return;
    await this.#parts.store.blobs.write([bytes], { lease, what, expectedDigest });
  }

  /** One after the other: they come in the order of the manifest, and so their places are given out. Nothing is told of an image that is here. */
  async #joinMissing({ config, layers }: ImageManifest, tickets: Map<Digest, FetchTicket>): Promise<void> {
    const { blobs, records } = this.#parts.store;
    const known = records.get(config.digest as string as ImageId) !== undefined && layers.every(({ digest }) => blobs.has(digest));
    for (const layer of known ? [] : distinct(layers)) {
      const { digest } = layer;
      if (blobs.has(digest)) this.#lines.say(digest, 'Already exists');
      else tickets.set(digest, await this.#join(layer));
    }
  }

  #join({ digest, size, mediaType, urls }: Descriptor): Promise<FetchTicket> {
    this.#told.add(digest);
    this.#lines.say(digest, 'Pulling fs layer');
    const blob: BlobDescriptor = { digest, size, mediaType, ...(urls === undefined ? {} : { urls }) };
    return this.#parts.fetches.join(blob, this.#repository, {
      waiting: () => this.#lines.say(digest, 'Waiting'),
      progress: (done, total) => {
        this.#whole.delete(digest);
        this.#lines.bytes(digest, 'Downloading', done, total);
      },
      retry: (seconds) => this.#lines.say(digest, `Retrying in ${seconds} second${seconds === 1 ? '' : 's'}`),
      whole: () => {
        this.#whole.add(digest);
        this.#lines.say(digest, 'Verifying Checksum');
        this.#lines.say(digest, 'Download complete');
      },
    });
  }

  /** What is unpacked before its download ends is not told: the download is what one waits for. */
  #extracting(blob: Digest, done: number, total: number): void {
    if (this.#told.has(blob) && this.#whole.has(blob)) this.#lines.bytes(blob, 'Extracting', done, total);
  }

  #unpacked(blob: Digest): void {
    if (this.#told.delete(blob)) this.#lines.say(blob, 'Pull complete');
  }

  /** Layers whose bytes are here, and which are not unpacked. */
  #tellPacked(image: IncomingImage, what: string): void {
    const { layers } = this.#parts.store;
    for (const source of layerSources(parseImageConfig(image.configBytes, what), image, what)) {
      if (source.incoming !== undefined || layers.has(source) || this.#told.has(source.blob)) continue;
      this.#told.add(source.blob);
      this.#whole.add(source.blob);
      this.#lines.say(source.blob, 'Pulling fs layer');
      this.#lines.say(source.blob, 'Download complete');
    }
  }

  async #config(descriptor: Descriptor, signal: AbortSignal): Promise<Buffer> {
    const { store, download } = this.#parts;
    if (store.blobs.has(descriptor.digest)) return await store.blobs.readSmall(descriptor.digest, imageConfigLimitBytes);
    return await fetchSmall(download, this.#repository, descriptor, { limitBytes: imageConfigLimitBytes, what: 'image config', signal });
  }

  #references(target: Digest): readonly string[] {
    if (this.#choice.keepsName === true && this.#parts.store.records.reference(keyOf(this.#reference)) !== undefined) return [];
    const byDigest = `${canonicalName(this.#reference)}@${target}`;
    return this.#reference.digest === null ? [byDigest, keyOf(this.#reference)] : [byDigest];
  }

  #warnOfPlatform({ config }: ImageRecord): void {
    const { platform, asked } = this.#choice;
    if (!asked || runsOn(config, platform)) return;
    const text = `WARNING: image with reference ${familiarReference(this.#reference)} was found but does not match the specified platform: wanted ${formatPlatform(platform)}, actual: ${formatPlatform(config)}`;
    this.#report({ kind: 'status', text });
  }
}

function keyOf(reference: ImageReference): string {
  return reference.digest === null ? canonicalReference(reference) : `${canonicalName(reference)}@${reference.digest}`;
}

function blobsOf({ documents, manifest }: RemoteImage): readonly Digest[] {
  const all = [...documents.map(({ descriptor }: RemoteDocument) => descriptor), manifest.config, ...manifest.layers];
  return [...new Set(all.map(({ digest }) => digest))];
}

function distinct(layers: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(layers.map((layer) => [layer.digest, layer])).values()];
}

/** Both, or the first failure when both have ended. */
async function together<A, B>(failure: AbortController, works: readonly [Promise<A>, Promise<B>]): Promise<readonly [A, B]> {
  for (const work of works) work.catch((error) => failure.abort(error));
  const [first, second] = await Promise.allSettled(works);
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value];
  throw failure.signal.reason;
}
