/**
 * `LayerWork` on the stores. Every work has a directory of its own below `root`:
 *
 *     <root>/layer-<pid>-<time>-<n>/upper, work     what a step writes
 *                                  /layer/fs        the same when it is sealed, on its way to the layer store (a rename)
 *                                  /layer.tar       on its way to the blob store (a rename)
 *
 * It is gone when the work ended, however it ended; what a killed daemon left is removed at the start.
 */
import { chmodSync, chownSync, mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { errorText } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { setAttributeOfPath } from '../../linux/extended-attributes.ts';
import type { BlobStore } from '../../store/blobs.ts';
import { independentName, ordinaryRoot } from '../../store/layer-record.ts';
import type { OpenLayerStore } from '../../store/layers.ts';
import type { Lease } from '../../store/leases.ts';
import type { Tree } from '../result.ts';
import { layerName, tarName } from './finish-layer.ts';
import type { LayerContent } from './layer-tar.ts';
import { LayerThreads } from './layer-threads.ts';
import type { LayerWork, MadeLayer, Workspace } from './layer-work.ts';
import { workPrefix } from './remove-directories.ts';

export interface LayerWorkOptions {
  readonly layers: OpenLayerStore;
  readonly blobs: BlobStore;
  /** `<data-root>/build/tmp`, on the file system of both stores; made when missing. */
  readonly root: string;
  readonly logger?: Logger;
}

export function createLayerWork(options: LayerWorkOptions): OpenLayerWork {
  return new StoredLayerWork(options);
}

export interface OpenLayerWork extends Pick<LayerWork, 'workspace' | 'seal'> {
  /** What runs is stopped. */
  close(): Promise<void>;
}

class StoredLayerWork implements OpenLayerWork {
  readonly #layers: OpenLayerStore;
  readonly #blobs: BlobStore;
  readonly #root: string;
  readonly #logger: Logger;
  readonly #threads = new LayerThreads();
  #counter = 0;

  constructor({ layers, blobs, root, logger = silentLogger }: LayerWorkOptions) {
    this.#layers = layers;
    this.#blobs = blobs;
    this.#root = root;
    this.#logger = logger;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const left = readdirSync(root).filter((name) => name.startsWith(workPrefix));
    if (left.length > 0) void this.#remove(left);
  }

  async workspace(parent: Tree): Promise<Workspace> {
    const directory = this.#makeDirectory();
    const [upper, work] = [join(directory, 'upper'), join(directory, 'work')];
    mkdirSync(upper, { mode: 0o755 });
    mkdirSync(work, { mode: 0o700 });
    this.#makeLikeRoot(upper, parent);
    return { directory, upper, work, discard: () => this.#discard(directory) };
  }

  async seal(workspace: Workspace, parent: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer> {
    const { directory, upper } = workspace;
    const { lowers, root } = this.#below(parent);
    return await this.#finish(directory, lease, () =>
      this.#threads.work<LayerContent>({ kind: 'seal', directory, upper, lowers, root, epoch }, signal),
    );
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  /** What `make` left in `directory` goes to the stores, and the directory goes. */
  async #finish(directory: string, lease: Lease, make: () => Promise<LayerContent>): Promise<MadeLayer> {
    try {
      const { diffId, tarBytes, record } = await make();
      // Of a plain tar the two are one.
      const blob = { digest: diffId as string as Digest, sizeBytes: tarBytes };
      await this.#blobs.adopt(join(directory, tarName), blob).commit(lease);
      lease.holdLayer(independentName(diffId));
      const layer = await this.#layers.adopt(join(directory, layerName), record);
      return { layer, blob };
    } finally {
      await this.#discard(directory);
    }
  }

  #makeDirectory(): string {
    const directory = join(this.#root, `${workPrefix}${process.pid}-${Date.now()}-${this.#counter++}`);
    mkdirSync(directory, { mode: 0o700 });
    return directory;
  }

  #makeLikeRoot(upper: string, { layers }: Tree): void {
    const root = this.#layers.rootAttributes(layers);
    const { mode, uid, gid, modifiedAt, extendedAttributes } = root ?? ordinaryRoot;
    chownSync(upper, uid, gid);
    // Whatever the umask is.
    chmodSync(upper, mode);
    for (const [name, value] of Object.entries(extendedAttributes)) setAttributeOfPath(upper, name, Buffer.from(value, 'base64'));
    utimesSync(upper, modifiedAt.seconds, modifiedAt.seconds);
  }

  #below({ layers }: Tree) {
    const { base, lowers } = this.#layers.mountOrder(layers);
    return { lowers: lowers.map((lower) => join(base, lower)), root: this.#layers.rootAttributes(layers) };
  }

  async #discard(directory: string): Promise<void> {
    await this.#remove([directory.slice(this.#root.length + 1)]);
  }

  /** A failure is logged only: what stays is removed at the next start. */
  async #remove(names: readonly string[]): Promise<void> {
    try {
      await this.#threads.remove(this.#root, names);
    } catch (error) {
      this.#logger.warn({ root: this.#root, names, error: errorText(error) }, 'cannot remove directories of the builder');
    }
  }
}
