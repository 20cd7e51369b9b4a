/**
 * The images that a build stands on or copies from: those that are here, else pulled. Each reference and platform is looked for once per build; what was found is held by the build's
 * lease until its end, so that an image removed meanwhile takes nothing away.
 */
import type { Digest, ImageId } from '../../base/brand.ts';
import { EngineError, errorText, invalid, notFound } from '../../base/errors.ts';
import type { ImageProgress } from '../../images/catalogue.ts';
import type { ImageRecord, ImageTarget } from '../../images/image-records.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Transfers } from '../../images/transfers.ts';
import { manifestLimitBytes, parseManifest } from '../../oci/manifest.ts';
import { formatPlatform, type Platform, runsOn } from '../../oci/platform.ts';
import { parseReference } from '../../oci/reference.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { BaseImage } from '../plan/build-plan.ts';
import type { BuildContexts } from './build-contexts.ts';
import { type OpenVertex, type Vertices, vertexDigest } from './vertices.ts';

export interface BaseImagesOptions {
  readonly store: ImageStore;
  readonly transfers: Pick<Transfers, 'pull'>;
  readonly host: Platform;
  /** Ask the registry for what is here too. */
  readonly pull: boolean;
  readonly client: Pick<BuildClient, 'credentials'>;
  /** Where images of OCI layouts come from. */
  readonly contexts: Pick<BuildContexts, 'layoutImage'>;
  readonly lease: Lease;
  readonly vertices: Vertices;
  readonly signal: AbortSignal;
}

export interface FoundImage extends BaseImage {
  readonly id: ImageId;
  readonly platform: Platform;
  /** Of what the reference names: an index or a manifest. */
  readonly digest: Digest;
}

export class BaseImages {
  readonly #options: BaseImagesOptions;
  readonly #found = new Map<string, Promise<FoundImage>>();
  /** Two platforms of one reference come one after the other: each pull moves the name. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: BaseImagesOptions) {
    this.#options = options;
  }

  /** `title`: of the step that wants it first. */
  image(reference: string, platform: Platform, title: string): Promise<FoundImage> {
    const key = imageVertexKey(reference, platform);
    const known = this.#found.get(key);
    if (known) return known;
    const before = this.#turns.get(reference) ?? Promise.resolve();
    const found = before.then(() => this.#bring(reference, platform, title));
    this.#turns.set(
      reference,
      found.catch(() => undefined),
    );
    this.#found.set(key, found);
    return found;
  }

  /** All that were found so far. */
  async found(): Promise<readonly FoundImage[]> {
    return await Promise.all(this.#found.values());
  }

  /** Nothing is on its way any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#found.values());
  }

  async #bring(reference: string, platform: Platform, title: string): Promise<FoundImage> {
    const { vertices, pull, host } = this.#options;
    const isHost = formatPlatform(platform) === formatPlatform(host);
    const metadata = `[internal] load metadata for ${reference}`;
    const keys = { metadata: isHost ? metadata : `${metadata} ${formatPlatform(platform)}`, image: imageVertexKey(reference, platform) };
    const fromLayout = await this.#options.contexts.layoutImage(reference, platform);
    const here =
      fromLayout !== null ? { record: fromLayout, target: fromLayout.firstTarget } : pull ? null : this.#local(reference, platform);
    if (here === null) {
      const id = await this.#pull(reference, isHost ? null : platform, { metadata, title, keys });
      return this.#hold(reference, platform, this.#pulled(reference, id));
    }
    const found = await vertices.during(metadata, () => this.#hold(reference, platform, here), keys.metadata);
    await vertices.during(withDigest(title, found), async (vertex) => vertex.markCached(), keys.image);
    return found;
  }

  /** The registry's first answer ends one vertex and begins the other. */
  async #pull(reference: string, platform: Platform | null, { metadata, title, keys }: PullVertices): Promise<ImageId | null> {
    const { vertices } = this.#options;
    const answered = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<OpenVertex>();
    const lines = new PullLines(opened.promise);
    const pulling = this.#transfer(reference, platform, (progress) => {
      answered.resolve();
      lines.tell(progress);
    });
    await vertices.during(metadata, () => Promise.race([answered.promise, pulling]), keys.metadata);
    const work = async (vertex: OpenVertex) => {
      opened.resolve(vertex);
      return await pulling;
    };
    return await vertices.during(title, work, keys.image);
  }

  /** Null: it is what the reference means now. */
  async #transfer(reference: string, platform: Platform | null, report: (progress: ImageProgress) => void): Promise<ImageId | null> {
    let brought: ImageId | null = null;
    const onImage = (id: ImageId) => {
      brought = id;
    };
    const { transfers, client, signal } = this.#options;
    try {
      const credentials = await client.credentials(parseReference(reference).domain, signal);
      const named = platform === null ? null : formatPlatform(platform);
      await transfers.pull({ reference, platform: named, credentials, keepsName: platform !== null, onImage }, report, signal);
      return brought;
    } catch (cause) {
      signal.throwIfAborted();
      const code = cause instanceof EngineError ? cause.code : 'system';
      throw new EngineError(code, `${reference}: ${errorText(cause)}`, { cause });
    }
  }

  #local(reference: string, platform: Platform): Named | null {
    const { records } = this.#options.store;
    const entry = records.reference(reference);
    const named = entry && records.get(entry.id);
    if (entry && named) {
      if (runsOn(named.config, platform)) return { record: named, target: entry.target };
      // Another platform of the same index, brought by an earlier build.
      const sibling = [...records.all()].find((record) => record.targets.has(entry.target) && runsOn(record.config, platform));
      return sibling === undefined ? null : { record: sibling, target: entry.target };
    }
    const byId = imageIdIn(reference);
    const record = byId === null ? undefined : [...records.all()].find(({ id }) => id.startsWith(`sha256:${byId}`));
    return record === undefined ? null : { record, target: record.firstTarget };
  }

  #pulled(reference: string, id: ImageId | null): Named {
    const { records } = this.#options.store;
    const entry = records.reference(reference);
    const record = id === null ? entry && records.get(entry.id) : records.get(id);
    if (record === undefined) throw notFound(`${reference} was pulled and removed again: build once more`);
    return { record, target: entry?.target ?? record.firstTarget };
  }

  /** Held before it is looked for. */
  async #hold(reference: string, platform: Platform, { record, target }: Named): Promise<FoundImage> {
    const { store, lease } = this.#options;
    const came = targetOf(record, target);
    for (const blob of came.blobs) lease.hold(blob);
    for (const { directory } of record.layers) lease.holdLayer(directory);
    if (store.records.get(record.id) === undefined) throw notFound(`${reference} was removed while it was looked at: build once more`);
    const { mediaType, digest } = came.manifest;
    const manifest = parseManifest(await store.blobs.readSmall(digest, manifestLimitBytes), mediaType, `manifest ${digest}`);
    if (manifest.kind !== 'manifest' || manifest.layers.length !== record.layers.length)
      throw invalid(`${reference}: its manifest ${digest} has other layers than the image: pull it again`);
    return {
      reference,
      platform,
      id: record.id,
      digest: came.descriptor.digest,
      config: record.config,
      layers: record.layers,
      descriptors: manifest.layers,
    };
  }
}

interface PullVertices {
  readonly metadata: string;
  readonly title: string;
  readonly keys: { readonly metadata: string; readonly image: string };
}

interface Named {
  readonly record: ImageRecord;
  readonly target: Digest;
}

export function imageVertexKey(reference: string, platform: Platform): string {
  return `image ${reference} ${formatPlatform(platform)}`;
}

export function imageVertex(reference: string, platform: Platform): string {
  return vertexDigest(imageVertexKey(reference, platform));
}

function targetOf(record: ImageRecord, digest: Digest): ImageTarget {
  const target = record.targets.get(digest) ?? record.targets.get(record.firstTarget);
  if (target === undefined) throw new EngineError('system', `the image ${record.id} is recorded without a manifest`);
  return target;
}

function withDigest(title: string, { reference, digest }: FoundImage): string {
  return reference.includes('@') ? title : `${title}@${digest}`;
}

/** `FROM 2b20c91922c6`, `FROM sha256:…`: what looks like a name and is an image that is here. */
function imageIdIn(reference: string): string | null {
  return /^docker\.io\/library\/(?:sha256:([0-9a-f]{64})|([0-9a-f]{12,64}):latest)$/.exec(reference)?.slice(1).find(Boolean) ?? null;
}

/** Docker's lines of a pull as statuses of a vertex: `<layer> 1.2MB / 3.4MB`, `extracting <layer>`. */
class PullLines {
  readonly #vertex: Promise<OpenVertex>;
  readonly #totals = new Map<string, number>();

  constructor(vertex: Promise<OpenVertex>) {
    this.#vertex = vertex;
  }

  tell(progress: ImageProgress): void {
    if (progress.kind === 'progress') {
      const name = progress.status === 'Extracting' ? `extracting ${progress.id}` : progress.id;
      this.#totals.set(name, progress.total);
      this.#status(name, progress.current, progress.total, false);
    } else if (progress.kind === 'step' && progress.text === 'Download complete') this.#end(progress.id);
    else if (progress.kind === 'step' && progress.text === 'Pull complete') this.#end(`extracting ${progress.id}`);
  }

  #end(name: string): void {
    const total = this.#totals.get(name) ?? 0;
    this.#status(name, total, total, true);
  }

  #status(name: string, current: number, total: number, isDone: boolean): void {
    void this.#vertex.then((vertex) => vertex.status(name, current, total, isDone));
  }
}
