/**
 * `docker push`: what a tag means goes to its registry, blobs first, then the manifests that name them, the one with the tag last.
 *
 * Blobs that the registry has are not sent; those that another of its repositories is known to have (digest references of our images tell) are mounted.
 */
import type { Digest } from '../base/brand.ts';
import { EngineError, invalid, notFound } from '../base/errors.ts';
import type { RegistryClient, RegistryCredentials, Repository } from '../distribution/registry-client.ts';
import { imageConfigLimitBytes, parseImageConfig } from '../oci/image-config.ts';
import { type Descriptor, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import { choosePlatform, formatPlatform, type Platform, runsOn } from '../oci/platform.ts';
import {
  canonicalName,
  canonicalReference,
  familiarName,
  familiarReference,
  type ImageReference,
  parseReference,
} from '../oci/reference.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import type { ImageProgress } from './catalogue.ts';
import { pushableTarget } from './compress-layers.ts';
import type { ImageRecord, ImageRecords, ImageTarget, ReferenceEntry } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { LayerLines } from './layer-lines.ts';
import { isDigestKey } from './resolve.ts';
import type { TransferSlots } from './transfer-slots.ts';

export interface PushRequest {
  /** A name; with a tag only that one, else all tags of the repository. */
  readonly reference: string;
  /** One manifest of an index. */
  readonly platform: Platform | null;
  readonly credentials: RegistryCredentials | null;
}

export interface PushParts {
  readonly store: ImageStore;
  readonly client: Pick<RegistryClient, 'repository'>;
  readonly slots: TransferSlots;
  readonly ownRegistry: OwnRegistry | null;
}

/** A registry that keeps its blobs in our store: what is pushed to it is there already. */
export interface OwnRegistry {
  /** `localhost:5000` is it. */
  is(domain: string): boolean;
  /** What to name as the source of a mount of this blob: it holds for this blob only, so whoever learns of it gains nothing. */
  mountName(digest: Digest): string;
}

type Report = (progress: ImageProgress) => void;

const mountSources = 3;
const nestingLimit = 4;

export async function pushImage(parts: PushParts, request: PushRequest, report: Report, signal: AbortSignal): Promise<void> {
  const { store, client } = parts;
  const reference = parseReference(request.reference);
  if (reference.digest !== null) throw invalid('cannot push a digest reference');
  const repository = client.repository({ domain: reference.domain, path: reference.path }, request.credentials);
  report({ kind: 'status', text: `The push refers to repository [${canonicalName(reference)}]` });
  const entries = entriesOf(store.records, reference);
  for (const entry of entries) await new Push(parts, repository, entry, request.platform, report, signal).run();
  const labels = store.records.get(entries[0]?.id ?? ('' as ReferenceEntry['id']))?.config.config.Labels ?? {};
  store.emit({ action: 'push', id: familiarReference(reference), attributes: { ...labels, name: familiarName(reference) } });
}

function entriesOf(records: ImageRecords, reference: ImageReference): readonly ReferenceEntry[] {
  const prefix = `${canonicalName(reference)}:`;
  const all = [...records.references()].filter((entry) => entry.reference.startsWith(prefix) && !isDigestKey(entry.reference));
  if (all.length === 0) throw notFound(`An image does not exist locally with the tag: ${familiarName(reference)}`);
  if (reference.tag === null) return all.sort((one, other) => (one.reference < other.reference ? -1 : 1));
  const tagged = records.reference(canonicalReference(reference));
  if (tagged === undefined) throw notFound(`tag does not exist: ${familiarReference(reference)}`);
  return [tagged];
}

/** A manifest or index as it is stored, with the blobs it names itself. */
interface StoredDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  /** Config and layers; an index has none. */
  readonly blobs: readonly StoredBlob[];
}

interface StoredBlob {
  readonly descriptor: Descriptor;
  /** What its line is called by: the diffID; null: no line (a config). */
  readonly line: Digest | null;
}

/** One tag. */
class Push {
  readonly #store: ImageStore;
  readonly #slots: TransferSlots;
  readonly #repository: Repository;
  readonly #entry: ReferenceEntry;
  readonly #reference: ImageReference;
  readonly #platform: Platform | null;
  readonly #report: Report;
  readonly #lines: LayerLines;
  /** Layers whose line is there. */
  readonly #prepared = new Set<Digest>();
  readonly #signal: AbortSignal;
  /** Where this goes, if it is ours. */
  readonly #own: OwnRegistry | null;

  constructor(
    { store, slots, ownRegistry }: PushParts,
    repository: Repository,
    entry: ReferenceEntry,
    platform: Platform | null,
    report: Report,
    signal: AbortSignal,
  ) {
    this.#store = store;
    this.#slots = slots;
    this.#repository = repository;
    this.#entry = entry;
    this.#reference = parseReference(entry.reference);
    this.#platform = platform;
    this.#report = report;
    this.#lines = new LayerLines(report);
    this.#signal = signal;
    this.#own = ownRegistry?.is(this.#reference.domain) ? ownRegistry : null;
  }

  async run(): Promise<void> {
    const { records, leases, sweeper } = this.#store;
    const record = records.get(this.#entry.id);
    const tagged = record?.targets.get(this.#entry.target);
    if (record === undefined || tagged === undefined)
      throw notFound(`An image does not exist locally with the tag: ${familiarName(this.#reference)}`);
    const lease = leases.acquire();
    try {
      for (const blob of tagged.blobs) lease.hold(blob);
      const { documents, target } = await this.#choose(record, tagged, lease);
      for (const { descriptor, blobs } of documents)
        for (const each of [descriptor, ...blobs.map((blob) => blob.descriptor)]) lease.hold(each.digest);
      await this.#sendBlobs(documents);
      const pushed = await this.#sendManifests(documents);
      await this.#remember(record, target);
      const tag = this.#reference.tag ?? 'latest';
      const { digest, size } = pushed.descriptor;
      this.#report({ kind: 'status', text: `${tag}: digest: ${digest} size: ${size}` });
      this.#report({ kind: 'pushed', tag, digest, sizeBytes: size });
    } finally {
      lease.release();
      // Layers that were compressed for a push that failed before their record.
      await sweeper.sweep();
    }
  }

  /** What goes: the whole index when all of it is here, else one manifest. Children come before what names them. */
  async #choose(
    record: ImageRecord,
    tagged: ImageTarget,
    lease: Lease,
  ): Promise<{ readonly documents: readonly StoredDocument[]; readonly target: ImageTarget }> {
    const { blobs } = this.#store;
    const isIndex = tagged.descriptor.digest !== tagged.manifest.digest;
    if (this.#platform !== null) return await this.#onePlatform(record, tagged, this.#platform);
    if (!isIndex) {
      // Told before they are compressed, which takes its time.
      for (const diffId of record.config.rootfs.diff_ids.toReversed()) this.#prepare(diffId as string as Digest);
      // To ourselves it goes as it is: what is compressed would be kept a second time.
      const target = this.#own ? tagged : await pushableTarget(this.#store, record, tagged, lease);
      return { documents: await documentsOf(blobs, target.descriptor), target };
    }
    const missing = await firstMissing(blobs, tagged.descriptor);
    if (missing === null) return { documents: await documentsOf(blobs, tagged.descriptor), target: tagged };
    const text = `Not all multiplatform-content is present and only the available single-platform image was pushed: ${tagged.descriptor.digest} -> ${tagged.manifest.digest}`;
    this.#report({ kind: 'status', text });
    return await this.#single(tagged.manifest);
  }

  async #onePlatform(record: ImageRecord, tagged: ImageTarget, platform: Platform) {
    if (tagged.descriptor.digest === tagged.manifest.digest) {
      if (!runsOn(record.config, platform)) throw this.#noPlatform(platform, [formatPlatform(record.config)]);
      return { documents: await documentsOf(this.#store.blobs, tagged.descriptor), target: tagged };
    }
    const index = parseManifest(
      await this.#store.blobs.readSmall(tagged.descriptor.digest, manifestLimitBytes),
      tagged.descriptor.mediaType,
      `index ${tagged.descriptor.digest}`,
    );
    const entries = index.kind === 'index' ? index.manifests : [];
    const chosen = choosePlatform(entries, platform);
    const there = entries.flatMap((entry) =>
      this.#store.blobs.has(entry.digest) && entry.platform ? [formatPlatform(entry.platform)] : [],
    );
    if (chosen === null || (await firstMissing(this.#store.blobs, chosen)) !== null) throw this.#noPlatform(platform, there);
    return await this.#single(chosen);
  }

  #noPlatform(platform: Platform, there: readonly string[]): EngineError {
    return notFound(
      `image with reference ${familiarReference(this.#reference)} was found but does not provide the specified platform (${formatPlatform(platform)}): here is ${there.join(', ') || 'nothing of it'}`,
    );
  }

  /** A manifest of an index, as a target of its own. */
  async #single({ mediaType, digest, size }: Descriptor) {
    const descriptor = { mediaType, digest, size };
    const documents = await documentsOf(this.#store.blobs, descriptor);
    const blobs = documents.flatMap((document) => [document.descriptor, ...document.blobs.map((blob) => blob.descriptor)]);
    return { documents, target: { descriptor, manifest: descriptor, blobs: [...new Set(blobs.map((blob) => blob.digest))] } };
  }

  #prepare(line: Digest): void {
    if (this.#prepared.has(line)) return;
    this.#prepared.add(line);
    this.#lines.say(line, 'Preparing');
  }

  async #sendBlobs(documents: readonly StoredDocument[]): Promise<void> {
    const all = new Map<Digest, StoredBlob>();
    // Topmost first, as Docker tells them.
    for (const { blobs } of documents) for (const blob of blobs.toReversed()) all.set(blob.descriptor.digest, blob);
    for (const { line } of all.values()) if (line !== null) this.#prepare(line);
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#signal, failure.signal]);
    const outcomes = await Promise.allSettled(
      [...all.values()].map((blob) =>
        this.#send(blob, signal).catch((error) => {
          failure.abort(error);
          throw error;
        }),
      ),
    );
    this.#signal.throwIfAborted();
    if (outcomes.some(({ status }) => status === 'rejected')) throw failure.signal.reason;
  }

  async #send({ descriptor: { digest, size }, line }: StoredBlob, signal: AbortSignal): Promise<void> {
    const { blobs, records } = this.#store;
    const say = (text: string) => {
      if (line !== null) this.#lines.say(line, text);
    };
    if (this.#slots.full) say('Waiting');
    const release = await this.#slots.take(signal);
    try {
      const outcome = await this.#repository.uploadBlob(
        {
          digest,
          sizeBytes: size,
          open: (offsetBytes) => blobs.streamFrom(digest, offsetBytes),
          mountFrom: [...(this.#own ? [this.#own.mountName(digest)] : []), ...placesOf(records, digest, this.#reference)],
          onProgress: (sent) => {
            if (line !== null) this.#lines.bytes(line, 'Pushing', sent, size);
          },
        },
        signal,
      );
      if (outcome.kind === 'exists' || (outcome.kind === 'mounted' && outcome.from === this.#own?.mountName(digest)))
        say('Layer already exists');
      else say(outcome.kind === 'mounted' ? `Mounted from ${outcome.from}` : 'Pushed');
    } finally {
      release();
    }
  }

  /** The last one is what the tag means from now on. */
  async #sendManifests(documents: readonly StoredDocument[]): Promise<StoredDocument> {
    const last = documents.at(-1);
    if (last === undefined) throw new EngineError('system', 'there is nothing to push');
    for (const { descriptor, bytes } of documents.slice(0, -1))
      await this.#repository.putManifest(descriptor.digest, descriptor.mediaType, bytes, this.#signal);
    await this.#repository.putManifest(this.#reference.tag ?? 'latest', last.descriptor.mediaType, last.bytes, this.#signal);
    return last;
  }

  /** What the registry calls it is a reference of the image, unless the image went meanwhile. */
  async #remember({ id }: ImageRecord, target: ImageTarget): Promise<void> {
    const { records, exclusive } = this.#store;
    const { digest } = target.descriptor;
    await exclusive(async () => {
      const record = records.get(id);
      if (record === undefined) return;
      const entry = { reference: `${canonicalName(this.#reference)}@${digest}`, id, target: digest };
      await records.apply([
        ...(record.targets.has(digest) ? [] : [{ kind: 'add-target', id, target } as const]),
        { kind: 'refer', entry, at: null },
      ]);
    });
  }
}

/** Everything below the descriptor, children first; it is all here. */
async function documentsOf(store: BlobStore, descriptor: Descriptor, depth = 1): Promise<readonly StoredDocument[]> {
  if (depth > nestingLimit) throw invalid(`the index ${descriptor.digest} nests indexes too deeply`);
  const bytes = await store.readSmall(descriptor.digest, manifestLimitBytes);
  const document = parseManifest(bytes, descriptor.mediaType, `manifest ${descriptor.digest}`);
  if (document.kind === 'index') {
    const children: StoredDocument[] = [];
    for (const child of document.manifests) children.push(...(await documentsOf(store, child, depth + 1)));
    return [...children, { descriptor, bytes, blobs: [] }];
  }
  const diffIds = await diffIdsOf(store, document.config);
  const layers = document.layers.map((layer, index) => ({ descriptor: layer, line: diffIds[index] ?? layer.digest }));
  return [{ descriptor, bytes, blobs: [{ descriptor: document.config, line: null }, ...layers] }];
}

/** Attestations have configs that are no image's. */
async function diffIdsOf(store: BlobStore, config: Descriptor): Promise<readonly Digest[]> {
  try {
    const bytes = await store.readSmall(config.digest, imageConfigLimitBytes);
    return parseImageConfig(bytes, `config ${config.digest}`).rootfs.diff_ids.map((diffId) => diffId as string as Digest);
  } catch {
    return [];
  }
}

/** What of it is not here; null: nothing. */
async function firstMissing(store: BlobStore, descriptor: Descriptor, depth = 1): Promise<Digest | null> {
  if (!store.has(descriptor.digest) || depth > nestingLimit) return descriptor.digest;
  const bytes = await store.readSmall(descriptor.digest, manifestLimitBytes);
  const document = parseManifest(bytes, descriptor.mediaType, `manifest ${descriptor.digest}`);
  if (document.kind === 'manifest') return [document.config, ...document.layers].find(({ digest }) => !store.has(digest))?.digest ?? null;
  for (const child of document.manifests) {
    const missing = await firstMissing(store, child, depth + 1);
    if (missing !== null) return missing;
  }
  return null;
}

/** Other repositories of the same registry that had the blob when we last pulled from or pushed to them. */
function placesOf(records: ImageRecords, blob: Digest, { domain, path }: ImageReference): readonly string[] {
  const places = new Set<string>();
  for (const entry of records.references()) {
    if (places.size === mountSources) break;
    if (!isDigestKey(entry.reference)) continue;
    const place = parseReference(entry.reference);
    if (place.domain !== domain || place.path === path) continue;
    if (records.get(entry.id)?.targets.get(entry.target)?.blobs.includes(blob)) places.add(place.path);
  }
  return [...places];
}
