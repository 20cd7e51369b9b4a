/**
 * `LayerWork` on the stores. Every work has a directory of its own below `root`:
 *
 *     <root>/layer-<pid>-<time>-<n>/upper, work     what a step writes
 *                                  /layer/fs        the same when it is sealed, on its way to the layer store (a rename)
 *                                  /layer.tar       on its way to the blob store (a rename)
 *
 *     <root>/empty                                  always
 *
 * What a work leaves in its directory, however it ended, is removed beside what comes next: nobody waits for it. What a killed daemon left is removed at the start.
 */
import { chmodSync, chownSync, mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Digest } from '../../base/brand.ts';
import { EngineError, errorText } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { setAttributeOfPath } from '../../linux/extended-attributes.ts';
import { exportStream } from '../../linux/pipe-streams.ts';
import type { BlobStore } from '../../store/blobs.ts';
import { independentName, ordinaryRoot, type RootAttributes } from '../../store/layer-record.ts';
import type { LayerRef } from '../../store/layer-store.ts';
import type { OpenLayerStore } from '../../store/layers.ts';
import type { Lease } from '../../store/leases.ts';
import type { CopyInput, CopyOperation, DirectoryOperation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import { treeOf } from '../tree.ts';
import type { CopySource } from './copy-files.ts';
import { layerName, tarName } from './finish-layer.ts';
import type { LayerMakingJob } from './layer-job.ts';
import type { LayerContent } from './layer-tar.ts';
import { LayerThreads } from './layer-threads.ts';
import type { CopyRequest, LayerWork, MadeLayer, Selection, SelectRequest, Workspace } from './layer-work.ts';
import { workPrefix } from './remove-directories.ts';
import { identityOf } from './select-files.ts';
import type { SourceRoot } from './source-files.ts';

export interface LayerWorkOptions {
  readonly layers: OpenLayerStore;
  readonly blobs: BlobStore;
  /** `<data-root>/build/tmp`, on the file system of both stores; made when missing. */
  readonly root: string;
  readonly logger?: Logger;
}

const rememberedSelections = 500;

export function createLayerWork(options: LayerWorkOptions): OpenLayerWork {
  return new StoredLayerWork(options);
}

export interface OpenLayerWork extends LayerWork {
  /** The directories of works that have ended are gone. */
  settled(): Promise<void>;
  /** What runs is stopped. */
  close(): Promise<void>;
}

class StoredLayerWork implements OpenLayerWork {
  readonly #layers: OpenLayerStore;
  readonly #blobs: BlobStore;
  readonly #root: string;
  readonly #logger: Logger;
  readonly #threads = new LayerThreads();
  /** Of trees and of contexts with an index, which tell by their names what is in them. */
  readonly #selections = new Map<string, Selection>();
  /** A directory without anything in it: the root of scratch. */
  readonly #empty: string;
  readonly #removals = new Set<Promise<void>>();
  #counter = 0;

  constructor({ layers, blobs, root, logger = silentLogger }: LayerWorkOptions) {
    this.#layers = layers;
    this.#blobs = blobs;
    this.#root = root;
    this.#logger = logger;
    this.#empty = join(root, 'empty');
    mkdirSync(root, { recursive: true, mode: 0o700 });
    mkdirSync(this.#empty, { recursive: true, mode: 0o755 });
    const left = readdirSync(root).filter((name) => name.startsWith(workPrefix));
    if (left.length > 0) this.#removeLater(() => this.#remove(left));
  }

  async select({ from, ...request }: SelectRequest, signal: AbortSignal): Promise<Selection> {
    const index = from.kind === 'files' ? from.index : null;
    const identity = from.kind === 'tree' ? `tree ${from.identity}` : index === null ? null : identityOf(index);
    const key = identity === null ? null : JSON.stringify([identity, request]);
    const known = key === null ? undefined : this.#selections.get(key);
    if (known !== undefined) return known;
    const selection = await this.#threads.work<Selection>({ kind: 'select', root: this.#rootOf(from), request, index }, signal);
    if (key !== null) this.#remember(key, selection);
    return selection;
  }

  async copy({ operation, parent, sources, epoch, lease }: CopyRequest, signal: AbortSignal): Promise<MadeLayer> {
    const { destination, owner, mode } = operation;
    const { lowers } = this.#below(parent);
    const from = operation.sources.map((input, index) => this.#copySource(operation, input, sources[index] ?? null));
    const instruction = operation.sources.some(isAddOnly) || / ADD /.test(operation.step.title) ? 'ADD' : 'COPY';
    const job = { kind: 'copy', lowers, instruction, destination, owner, mode, epoch, sources: from } as const;
    return await this.#make((directory) => ({ ...job, directory }), lease, signal);
  }

  async makeDirectory(
    { path, owner }: DirectoryOperation,
    parent: Tree,
    epoch: number,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<MadeLayer> {
    const { lowers } = this.#below(parent);
    return await this.#make((directory) => ({ kind: 'directory', directory, lowers, path, owner, epoch }), lease, signal);
  }

  async squash(layers: readonly LayerRef[], below: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer> {
    const own = this.#below(treeOf(layers));
    const under = this.#below(below);
    const all = this.#below(treeOf([...below.layers, ...layers]));
    const job = {
      kind: 'squash',
      layers: own.lowers,
      below: under.lowers,
      root: isSameRoot(own.root, under.root) ? null : own.root,
      hidesBelow:
        under.lowers.length > 0 && all.lowers.length === own.lowers.length && !under.lowers.every((path) => own.lowers.includes(path)),
      epoch,
    } as const;
    return await this.#make((directory) => ({ ...job, directory }), lease, signal);
  }

  async exportTree(tree: Tree, epoch: number, prefix: string, signal: AbortSignal): Promise<Readable> {
    signal.throwIfAborted();
    const { lowers } = this.#below(tree);
    const directory = this.#makeDirectory();
    const [other, mountPoint] = [join(directory, 'other'), join(directory, 'mount')];
    for (const path of [other, mountPoint]) mkdirSync(path, { mode: 0o755 });
    // An overlay wants two directories at least.
    const stack = [...lowers, other, this.#empty];
    return exportStream(
      (writeEnd) => this.#threads.stream({ kind: 'export', lowers: stack, mountPoint, epoch, prefix, writeEnd }, signal),
      () => this.#discard(directory),
    );
  }

  async workspace(parent: Tree): Promise<Workspace> {
    const directory = this.#makeDirectory();
    const [upper, work] = [join(directory, 'upper'), join(directory, 'work')];
    mkdirSync(upper, { mode: 0o755 });
    mkdirSync(work, { mode: 0o700 });
    this.#makeLikeRoot(upper, parent);
    return { directory, upper, work, discard: async () => this.#discard(directory) };
  }

  async seal(workspace: Workspace, parent: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer> {
    const { directory, upper } = workspace;
    return await this.#finish(directory, lease, signal, () => ({ kind: 'seal', directory, upper, ...this.#below(parent), epoch }));
  }

  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  async #make(jobIn: (directory: string) => LayerMakingJob, lease: Lease, signal: AbortSignal): Promise<MadeLayer> {
    signal.throwIfAborted();
    const directory = this.#makeDirectory();
    return await this.#finish(directory, lease, signal, () => jobIn(directory));
  }

  /** What the job leaves in `directory` goes to the stores, and the directory goes. */
  async #finish(directory: string, lease: Lease, signal: AbortSignal, job: () => LayerMakingJob): Promise<MadeLayer> {
    try {
      const { diffId, tarBytes, record } = await this.#threads.work<LayerContent>(job(), signal);
      // Of a plain tar the two are one.
      const blob = { digest: diffId as string as Digest, sizeBytes: tarBytes };
      await this.#blobs.adopt(join(directory, tarName), blob).commit(lease);
      lease.holdLayer(independentName(diffId));
      const layer = await this.#layers.adopt(join(directory, layerName), record);
      return { layer, blob };
    } finally {
      this.#discard(directory);
    }
  }

  #copySource(operation: CopyOperation, input: CopyInput, from: OperationResult | null): CopySource {
    const { excludes, parents } = operation;
    if (input.kind === 'file') return { kind: 'body', name: input.name, body: input.body };
    if (from === null) throw new EngineError('system', `${operation.step.title}: the files of a source are missing`);
    const root = this.#rootOf(from);
    if (input.kind === 'url') return { kind: 'fetched', root, name: pathOfUrl(input.url), unpacks: input.unpack, excludes };
    const pattern = input.kind === 'git' ? '' : input.pattern;
    const request = { pattern, excludes, parents: parents && input.kind === 'path', literal: false };
    return { kind: 'path', root, request, unpacks: input.kind === 'path' && input.unpack };
  }

  #rootOf(from: OperationResult): SourceRoot {
    if (from.kind === 'files') return { directories: [from.directory], isContext: true };
    const { lowers } = this.#below(from);
    return { directories: lowers.length === 0 ? [this.#empty] : lowers, isContext: false };
  }

  #remember(key: string, selection: Selection): void {
    this.#selections.set(key, selection);
    const [oldest] = this.#selections.keys();
    if (this.#selections.size > rememberedSelections && oldest !== undefined) this.#selections.delete(oldest);
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

  /** Of most works nothing is left but the directory. */
  #discard(directory: string): void {
    this.#removeLater(async () => {
      const isGone = await rmdir(directory).then(
        () => true,
        () => false,
      );
      if (!isGone) await this.#remove([basename(directory)]);
    });
  }

  #removeLater(remove: () => Promise<void>): void {
    const removal = remove().finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
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

function isAddOnly({ kind }: CopyInput): boolean {
  return kind === 'url' || kind === 'git';
}

function pathOfUrl(url: string): string {
  return URL.parse(url)?.pathname ?? url;
}

function isSameRoot(one: RootAttributes | null, other: RootAttributes | null): boolean {
  return one === null || lookOf(one) === lookOf(other ?? ordinaryRoot);
}

function lookOf({ mode, uid, gid, extendedAttributes }: RootAttributes): string {
  return JSON.stringify([mode, uid, gid, Object.entries(extendedAttributes).sort()]);
}
