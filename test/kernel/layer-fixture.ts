/** A layer store in a temporary directory, fed with layers made by code. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paddingBytes } from '../../src/archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../../src/archive/tar-writer.ts';
import type { ChainId, DiffId, Digest } from '../../src/base/brand.ts';
import type { LayerRef, LayerSource, UnpackProgress } from '../../src/store/layer-store.ts';
import { createLayerStore, type OpenLayerStore } from '../../src/store/layers.ts';
import type { UnpackLimits } from '../../src/store/unpack-limits.ts';

export const needsRoot = process.getuid?.() === 0 ? false : 'needs root';

/** An entry in a few words: content makes it a file. Parents are not listed by themselves. */
export interface LayerEntry extends Partial<NewTarEntry> {
  readonly path: string;
  readonly content?: string;
}

export function layerTar(...entries: readonly LayerEntry[]): Buffer {
  const chunks = entries.flatMap(({ content, ...entry }) => {
    const bytes = Buffer.from(content ?? '');
    const type = entry.type ?? (entry.linkTarget === undefined ? (entry.path.endsWith('/') ? 'directory' : 'file') : 'symbolic-link');
    return [encodeTarHeader({ ...entry, type, sizeBytes: bytes.length }), bytes, Buffer.alloc(paddingBytes(bytes.length))];
  });
  return Buffer.concat([...chunks, endOfArchive]);
}

export class LayerFixture {
  readonly directory: string;
  store: OpenLayerStore;
  readonly #limits: Partial<UnpackLimits>;

  constructor(limits: Partial<UnpackLimits> = {}) {
    this.directory = mkdtempSync(join(tmpdir(), 'g-layers-'));
    mkdirSync(join(this.directory, 'blobs'));
    this.#limits = limits;
    this.store = this.open();
  }

  open(): OpenLayerStore {
    return createLayerStore({
      root: this.root,
      blobPath: (digest) => join(this.directory, 'blobs', digest.slice(7)),
      limits: this.#limits,
    });
  }

  get root(): string {
    return join(this.directory, 'layers');
  }

  /** `blob` is the tar itself, or what it was compressed to. */
  add(tar: Uint8Array, below: readonly LayerSource[] = [], blob: Uint8Array = tar): LayerSource {
    const diffId = sha256(tar) as DiffId;
    const digest = sha256(blob) as Digest;
    writeFileSync(join(this.directory, 'blobs', digest.slice(7)), blob);
    const parent = below.at(-1);
    return { blob: digest, diffId, chainId: (parent === undefined ? diffId : sha256(`${parent.chainId} ${diffId}`)) as ChainId };
  }

  chain(...tars: readonly Uint8Array[]): readonly LayerSource[] {
    const sources: LayerSource[] = [];
    for (const tar of tars) sources.push(this.add(tar, sources));
    return sources;
  }

  unpack(
    sources: readonly LayerSource[],
    signal?: AbortSignal,
    onProgress?: (progress: UnpackProgress) => void,
  ): Promise<readonly LayerRef[]> {
    return this.store.unpack(sources, signal, onProgress);
  }

  /** Host path of something in one layer. */
  inLayer(layer: LayerRef | undefined, path = ''): string {
    return join(this.root, layer?.directory ?? 'missing', 'fs', path);
  }

  /** Host paths, topmost first. */
  stack(layers: readonly LayerRef[]): readonly string[] {
    const { base, lowers } = this.store.mountOrder(layers);
    return lowers.map((lower) => join(base, lower));
  }

  async close(): Promise<void> {
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
