/** What can be asked of images beyond Docker: what they are made of, whether they are whole, what two of them differ in, who needs a layer. docs/images.md has the answers' form. */
import type { ChainId, DiffId, Digest, ImageId } from '../base/brand.ts';
import { EngineError, errorText, invalid, notFound } from '../base/errors.ts';
import { digestHex } from '../oci/digest.ts';
import { type Descriptor, type ImageIndex, isIndexType, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import { formatPlatform } from '../oci/platform.ts';
import type { TreeDifference } from '../store/compare-trees.ts';
import type { LayerRef, LayerStore } from '../store/layer-store.ts';
import type { TreeThreads } from '../store/tree-threads.ts';
import { readImageManifest } from './compress-layers.ts';
import type { ImageRecord, ImageTarget } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { familiarTags } from './image-view.ts';
import { resolveImage } from './resolve.ts';

export interface ImageInsight {
  tree(): Promise<readonly ImageTree[]>;
  verify(reference: string, signal: AbortSignal): Promise<Verification>;
  diff(from: string, to: string, limit: number, signal: AbortSignal): Promise<ImageDifference>;
  /** `not-found` when nothing here has the digest. */
  why(digest: string): Promise<Needed>;
}

export interface ImageTree {
  readonly id: ImageId;
  readonly target: Descriptor;
  readonly platforms: readonly { readonly platform: string; readonly digest: Digest; readonly isAvailable: boolean }[];
  readonly layers: readonly TreeLayer[];
}

export interface TreeLayer {
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  readonly blob: Descriptor | null;
  readonly sharedWith: readonly ImageId[];
}

export interface Verification {
  readonly id: ImageId;
  readonly blobs: number;
  readonly bytes: number;
  readonly layers: number;
  readonly files: number;
  readonly findings: readonly VerifyFinding[];
}

export interface VerifyFinding {
  readonly kind: 'missing-blob' | 'damaged-blob' | 'wrong-layer' | 'missing-layer' | 'changed-file';
  readonly what: string;
  readonly text: string;
}

export interface ImageDifference extends TreeDifference {
  readonly from: ImageRecord;
  readonly to: ImageRecord;
  readonly shared: readonly LayerRef[];
  readonly onlyFrom: readonly LayerRef[];
  readonly onlyTo: readonly LayerRef[];
}

export interface Needed {
  readonly digest: Digest;
  readonly isBlob: boolean;
  readonly isLayer: boolean;
  readonly sizeBytes: number;
  readonly images: readonly { readonly id: ImageId; readonly tags: readonly string[]; readonly why: string }[];
  readonly others: readonly string[];
}

export interface InsightParts {
  readonly store: ImageStore;
  readonly layers: Pick<LayerStore, 'mountOrder' | 'verify'> & { readonly root: string };
  readonly threads: TreeThreads;
}

export function createImageInsight({ store, layers, threads }: InsightParts): ImageInsight {
  return {
    tree: () => Promise.all([...store.records.all()].map((record) => treeOf(store, record))),
    verify: (reference, signal) => new Verifier({ store, layers, threads }, resolveImage(store.records, reference).record, signal).run(),
    async diff(from, to, limit, signal) {
      const [one, other] = [resolveImage(store.records, from).record, resolveImage(store.records, to).record];
      const pathsOf = (record: ImageRecord) => {
        const { base, lowers } = layers.mountOrder(record.layers);
        return lowers.map((lower) => `${base}/${lower}`);
      };
      const difference = await threads.compare({ from: pathsOf(one), to: pathsOf(other), limit }, signal);
      return { from: one, to: other, ...splitLayers(one.layers, other.layers), ...difference };
    },
    why: (digest) => whyNeeded(store, digest),
  };
}

function splitLayers(from: readonly LayerRef[], to: readonly LayerRef[]) {
  const [inFrom, inTo] = [new Set(from.map(({ diffId }) => diffId)), new Set(to.map(({ diffId }) => diffId))];
  return {
    shared: from.filter(({ diffId }) => inTo.has(diffId)),
    onlyFrom: from.filter(({ diffId }) => !inTo.has(diffId)),
    onlyTo: to.filter(({ diffId }) => !inFrom.has(diffId)),
  };
}

/** The target that its tag means; of an image without one, its first. */
function targetOf({ records }: ImageStore, record: ImageRecord): ImageTarget {
  const reference = records.referencesOf(record.id)[0];
  const named = reference === undefined ? undefined : records.reference(reference)?.target;
  const target = record.targets.get(named ?? record.firstTarget) ?? record.targets.get(record.firstTarget);
  if (target === undefined) throw new EngineError('system', `the image ${record.id} is recorded without a manifest`);
  return target;
}

async function treeOf(store: ImageStore, record: ImageRecord): Promise<ImageTree> {
  const target = targetOf(store, record);
  const blobs = await layersOf(store, target);
  const others = [...store.records.all()].filter(({ id }) => id !== record.id);
  return {
    id: record.id,
    target: target.descriptor,
    platforms: await platformsOf(store, record, target),
    layers: record.layers.map(({ diffId, directory, sizeBytes }, index) => ({
      diffId,
      sizeBytes,
      blob: blobs[index] ?? null,
      sharedWith: others.filter((other) => other.layers.some((layer) => layer.directory === directory)).map(({ id }) => id),
    })),
  };
}

/** Empty when its manifest cannot be read: `fsck` and `verify` say so, a list need not. */
async function layersOf({ blobs }: ImageStore, { manifest }: ImageTarget): Promise<readonly Descriptor[]> {
  try {
    return (await readImageManifest(blobs, manifest)).layers;
  } catch {
    return [];
  }
}

async function platformsOf(
  { blobs }: ImageStore,
  record: ImageRecord,
  { descriptor, manifest }: ImageTarget,
): Promise<ImageTree['platforms']> {
  const own = { platform: formatPlatform(record.config), digest: manifest.digest, isAvailable: true };
  if (!isIndexType(descriptor.mediaType)) return [own];
  let index: ImageIndex | null = null;
  try {
    const document = parseManifest(await blobs.readSmall(descriptor.digest, manifestLimitBytes), descriptor.mediaType, 'index');
    if (document.kind === 'index') index = document;
  } catch {
    // As above.
  }
  const entries = (index?.manifests ?? []).flatMap(({ platform, digest }) =>
    platform === undefined || platform.os === 'unknown'
      ? []
      : [{ platform: formatPlatform(platform), digest, isAvailable: blobs.has(digest) }],
  );
  return entries.length === 0 ? [own] : entries;
}

async function whyNeeded({ records, blobs, leases, sweeper }: ImageStore, text: string): Promise<Needed> {
  const digest = await completeDigest(text, records, () => blobs.list());
  const images: { id: ImageId; tags: readonly string[]; why: string }[] = [];
  let layerBytes: number | null = null;
  for (const record of records.all()) {
    const whys: string[] = [];
    const diffIds = record.config.rootfs.diff_ids as readonly string[];
    for (const [index, diffId] of diffIds.entries()) {
      if (diffId !== digest) continue;
      whys.push(`layer ${index + 1} of ${diffIds.length}`);
      layerBytes = record.layers[index]?.sizeBytes ?? layerBytes;
    }
    for (const target of record.targets.values()) if (target.blobs.includes(digest)) whys.push(await roleOf(blobs, target, digest, record));
    if (whys.length > 0) images.push({ id: record.id, tags: familiarTags(records, record.id), why: [...new Set(whys)].join(', ') });
  }
  const owner = sweeper.ownerOf(digest);
  const isBlob = blobs.has(digest);
  if (!isBlob && images.length === 0) throw notFound(`nothing here has the digest ${digest}`);
  return {
    digest,
    isBlob,
    isLayer: layerBytes !== null,
    sizeBytes: isBlob ? blobs.sizeBytes(digest) : (layerBytes ?? 0),
    images,
    others: [...(owner === null ? [] : [owner]), ...(leases.holds(digest) ? ['a load, build, pull or push in progress'] : [])],
  };
}

async function roleOf(
  blobs: ImageStore['blobs'],
  { descriptor, manifest }: ImageTarget,
  digest: Digest,
  record: ImageRecord,
): Promise<string> {
  if (digest === (record.id as string)) return 'config';
  if (digest === manifest.digest) return 'manifest';
  if (digest === descriptor.digest) return 'index';
  try {
    const { layers } = await readImageManifest(blobs, manifest);
    const index = layers.findIndex((layer) => layer.digest === digest);
    return index === -1 ? 'index' : `layer ${index + 1} of ${layers.length}`;
  } catch {
    return 'layer';
  }
}

async function completeDigest(text: string, records: ImageStore['records'], list: () => Promise<readonly Digest[]>): Promise<Digest> {
  const hex = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  if (!/^[0-9a-f]{1,64}$/.test(hex))
    throw invalid(`${JSON.stringify(text.slice(0, 100))} is no digest: sha256:… or the beginning of its hex digits`);
  if (hex.length === 64) return `sha256:${hex}` as Digest;
  const diffIds = [...records.all()].flatMap((record) => record.config.rootfs.diff_ids.map((diffId) => diffId as string as Digest));
  const found = new Set([...(await list()), ...diffIds].filter((digest) => digestHex(digest).startsWith(hex)));
  const [only] = found;
  if (only === undefined) throw notFound(`nothing here has a digest that begins with ${hex}`);
  if (found.size > 1) throw invalid(`${hex} is the beginning of ${found.size} digests: write more of it`);
  return only;
}

class Verifier {
  readonly #parts: InsightParts;
  readonly #record: ImageRecord;
  readonly #signal: AbortSignal;
  readonly #findings: VerifyFinding[] = [];
  #files = 0;
  #bytes = 0;

  constructor(parts: InsightParts, record: ImageRecord, signal: AbortSignal) {
    this.#parts = parts;
    this.#record = record;
    this.#signal = signal;
  }

  async run(): Promise<Verification> {
    const blobs = new Set([...this.#record.targets.values()].flatMap((target) => target.blobs));
    const whole = new Set<Digest>();
    for (const blob of blobs) if (await this.#isWhole(blob)) whole.add(blob);
    for (const target of this.#record.targets.values()) await this.#layers(target, whole);
    const { id, layers } = this.#record;
    return { id, blobs: blobs.size, bytes: this.#bytes, layers: layers.length, files: this.#files, findings: this.#findings };
  }

  async #isWhole(blob: Digest): Promise<boolean> {
    const { blobs } = this.#parts.store;
    this.#signal.throwIfAborted();
    if (!blobs.has(blob)) {
      this.#find('missing-blob', blob, `${blob} is missing: pull or load the image again`);
      return false;
    }
    this.#bytes += blobs.sizeBytes(blob);
    if (await blobs.verify(blob)) return true;
    this.#find(
      'damaged-blob',
      blob,
      `the bytes of ${blob} are damaged (${blobs.path(blob)}): gantry system fsck --deep --repair removes them, then pull or load the image again`,
    );
    return false;
  }

  async #layers(target: ImageTarget, whole: ReadonlySet<Digest>): Promise<void> {
    const { store, layers, threads } = this.#parts;
    if (!whole.has(target.manifest.digest)) return;
    const manifest = await readImageManifest(store.blobs, target.manifest);
    const isFirst = target.descriptor.digest === this.#record.firstTarget;
    for (const [index, { digest }] of manifest.layers.entries()) {
      const ref = this.#record.layers[index];
      const where = `layer ${index + 1} of ${manifest.layers.length}`;
      if (ref === undefined || !whole.has(digest)) continue;
      const source = { blob: digest, diffId: ref.diffId, chainId: ref.diffId as string as ChainId };
      try {
        await layers.verify(source, this.#signal);
        if (!isFirst) continue;
        const directory = `${layers.root}/${ref.directory}/fs`;
        const { files, changed, moreChanged } = await threads.check({ blobPath: store.blobs.path(digest), directory }, this.#signal);
        this.#files += files;
        for (const text of changed) this.#find('changed-file', ref.diffId, `${where}: ${text}`);
        if (moreChanged > 0) this.#find('changed-file', ref.diffId, `${where}: and ${moreChanged} more`);
      } catch (error) {
        this.#signal.throwIfAborted();
        const isGone = error instanceof EngineError && error.details.errnoName === 'ENOENT';
        this.#find(isGone ? 'missing-layer' : 'wrong-layer', ref.diffId, `${where}: ${errorText(error)}`);
      }
    }
  }

  #find(kind: VerifyFinding['kind'], what: string, text: string): void {
    this.#findings.push({ kind, what, text });
  }
}
