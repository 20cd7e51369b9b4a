/**
 * The layer store on disk. Contract: `layer-store.ts`; what a layer's directory holds: `layer-record.ts`.
 *
 *     <root>/d-<hex>/  <root>/c-<hex>/   complete layers, never changed again
 *     <root>/l/<n>  ->  ../<name>/fs     short names, as the mount options of a stack must fit a page where the kernel has no better way
 *     <root>/l/i    ->  ../init-1/fs     the init layer
 *     <root>/tmp-*                       being unpacked or removed; what a crash left is removed at open
 *
 * The root is for its owner only (0700): an image's setuid programs and devices lie there as they are (CVE-2021-41091).
 */
import { chmodSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { open, rename, symlink, unlink } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { DiffId, Digest } from '../base/brand.ts';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { auditLayers, type LayerUsers } from './audit-layers.ts';
import { ensureInitLayer } from './init-layer.ts';
import { dependentName, independentName, isLayerName, type LayerRecord, type RootAttributes, readLayerRecord } from './layer-record.ts';
import { LayerStack } from './layer-stack.ts';
import type { LayerRef, LayerSource, LayerStore, UnpackProgress } from './layer-store.ts';
import { SharedJob } from './shared-job.ts';
import type { UnpackJob, UnpackOutcome } from './unpack-layer.ts';
import { defaultUnpackLimits, type UnpackLimits } from './unpack-limits.ts';
import { UnpackPool } from './unpack-pool.ts';

export interface LayerStoreOptions {
  /** `<data-root>/layers`; made when missing. One process at a time. */
  readonly root: string;
  readonly blobPath: (digest: Digest) => string;
  readonly limits?: Partial<UnpackLimits>;
  /** Layers at most that are read while they are being fetched: their threads wait for the network, so they take no place of those that only unpack. Default: 3. */
  readonly followers?: number;
  /** The bundle's path of `unpack-worker.ts`, where it is not beside this file. */
  readonly workerEntry?: URL | string;
  readonly logger?: Logger;
}

export interface OpenLayerStore extends LayerStore {
  /** All layers lie below it. */
  readonly root: string;
  /** The init layer, relative to `mountOrder`'s base: goes in front of its `lowers`. */
  readonly initLayer: string;
  /**
   * Takes a directory that holds `fs` and `layer.json` (`commit-layer.ts`), just as unpacking the layer's tar would have made them, by renaming it: it must lie on the same file system. The
   * layer may be here already: then nothing happens, and the directory stays its caller's. Hold its name (`independentName`) in a lease first: a sweep leaves it alone from then on.
   */
  adopt(directory: string, record: LayerRecord): Promise<LayerRef>;
  /** What a new container's upper directory must look like: from the topmost layer that lists `/`; null: 0755, root. */
  rootAttributes(layers: readonly LayerRef[]): RootAttributes | null;
  /** `sweep` removes what nobody stands on. */
  audit(users: LayerUsers, sweep: () => Promise<void>): Promise<readonly Finding[]>;
  close(): Promise<void>;
}

export function createLayerStore(options: LayerStoreOptions): OpenLayerStore {
  return new Layers(options);
}

interface KnownLayer {
  readonly record: LayerRecord;
  /** Name of its link in `l`. */
  readonly short: string;
}

type ProgressListener = (progress: UnpackProgress) => void;

/** `lowers`: directories of the layers below, topmost first; null: by itself. */
type LayerTask = { readonly kind: 'unpack'; readonly lowers: readonly string[] | null } | { readonly kind: 'verify' };

/** Whether a layer could be unpacked by itself. */
type FirstPass = 'independent' | 'needs-parents';

class Layers implements OpenLayerStore {
  readonly initLayer = 'i';
  readonly root: string;
  readonly #links: string;
  readonly #options: LayerStoreOptions;
  readonly #limits: UnpackLimits;
  readonly #logger: Logger;
  readonly #pool: UnpackPool;
  /** For blobs that are on their way. */
  readonly #followers: UnpackPool;
  readonly #layers = new Map<string, KnownLayer>();
  readonly #jobs = new Map<string, SharedJob<FirstPass, ProgressListener>>();
  /** Layers that an `unpack` in progress counts on: a sweep leaves them alone. */
  readonly #pinned = new Map<string, number>();
  /** Layers that come or go just now: one change after the other. */
  readonly #turns = new Map<string, Promise<void>>();
  /** The sweep that takes layers out of sight just now. */
  #sweeping: Promise<unknown> | null = null;
  #shortCounter = 0;
  #temporaryCounter = 0;

  constructor(options: LayerStoreOptions) {
    this.#options = options;
    this.root = options.root;
    this.#links = join(options.root, 'l');
    this.#limits = { ...defaultUnpackLimits, ...options.limits };
    this.#logger = options.logger ?? silentLogger;
    const entry = options.workerEntry ?? new URL('./unpack-worker.ts', import.meta.url);
    this.#pool = new UnpackPool(entry, availableParallelism());
    this.#followers = new UnpackPool(entry, options.followers ?? 3);
    this.#open();
  }

  async unpack(
    layers: readonly LayerSource[],
    signal?: AbortSignal,
    onProgress?: ProgressListener,
    onUnpacked: (layer: LayerSource) => void = () => {},
  ): Promise<readonly LayerRef[]> {
    signal?.throwIfAborted();
    const pins = new Set<string>();
    const names = layers.map((layer) => this.#names(layer));
    const failure = new AbortController();
    const stop = signal === undefined ? failure.signal : AbortSignal.any([signal, failure.signal]);
    // All at once by themselves; a failure of one waits for the others to be cancelled, so that nothing is left behind.
    const firstPasses = layers.map((layer, index) =>
      names[index]?.some((name) => this.#pin(name, pins)) === true ? null : this.#firstPass(layer, stop, onProgress),
    );
    for (const pass of firstPasses) pass?.catch(() => failure.abort());
    try {
      const stack: LayerRef[] = [];
      for (const [index, layer] of layers.entries()) {
        stack.push(await this.#settle(layer, firstPasses[index] ?? null, stack, pins, stop, onProgress));
        await this.#prove(layer, stop, onProgress);
        onUnpacked(layer);
      }
      return stack;
    } catch (error) {
      failure.abort();
      const outcomes = await Promise.allSettled(firstPasses);
      signal?.throwIfAborted();
      throw firstCause(outcomes) ?? error;
    } finally {
      for (const name of pins) this.#unpin(name);
    }
  }

  async verify(layer: LayerSource, signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.#run(`verify-${layer.blob}-${layer.diffId}`, layer, { kind: 'verify' }, signal, undefined);
  }

  async adopt(directory: string, record: LayerRecord): Promise<LayerRef> {
    const name = independentName(record.diffId);
    // It knows only what was held when it began.
    while (this.#sweeping !== null) await this.#sweeping;
    await this.#inTurn(name, async () => {
      if (!this.#layers.has(name)) await this.#enter(directory, name, record);
    });
    return this.#reference(name);
  }

  has(layer: LayerSource): boolean {
    return this.#names(layer).some((name) => this.#layers.has(name));
  }

  mountOrder(layers: readonly LayerRef[]): { readonly base: string; readonly lowers: readonly string[] } {
    return { base: this.#links, lowers: this.#stack(layers).map((known) => known.short) };
  }

  rootAttributes(layers: readonly LayerRef[]): RootAttributes | null {
    for (const layer of layers.toReversed()) {
      const { root } = this.#known(layer.directory).record;
      if (root !== null) return root;
    }
    return null;
  }

  async sweep(keep: ReadonlySet<string>): Promise<void> {
    const renamed: string[] = [];
    const names = [...this.#layers.keys()].filter((name) => !keep.has(name));
    const sweeping = this.#unlistAll(names, renamed).finally(() => {
      if (this.#sweeping === settled) this.#sweeping = null;
    });
    const settled = sweeping.catch(() => {});
    this.#sweeping = settled;
    try {
      await sweeping;
    } finally {
      await this.#remove(renamed);
    }
  }

  audit(users: LayerUsers, sweep: () => Promise<void>): Promise<readonly Finding[]> {
    const known = new Map([...this.#layers].map(([name, { short }]) => [name, short]));
    const audit = {
      root: this.root,
      links: this.#links,
      initLayer: this.initLayer,
      known,
      isBusy: () => this.#jobs.size > 0 || this.#turns.size > 0 || !this.#pool.idle || !this.#followers.idle,
      isPinned: (name: string) => this.#pinned.has(name),
      remove: (name: string) => this.#remove([name]),
    };
    return auditLayers(audit, users, sweep);
  }

  async close(): Promise<void> {
    const jobs = [...this.#jobs.values()];
    for (const job of jobs) job.cancel();
    await Promise.all(jobs.map((job) => job.settled));
    await Promise.all([this.#pool.close(), this.#followers.close()]);
  }

  /** Reads what is there, makes links fit it, and hands what a crash left to a worker. */
  #open(): void {
    mkdirSync(this.#links, { recursive: true, mode: 0o700 });
    chmodSync(this.root, 0o700);
    const leftovers: string[] = [];
    const records = new Map<string, LayerRecord>();
    for (const name of readdirSync(this.root)) {
      const record = isLayerName(name) ? readLayerRecord(join(this.root, name)) : null;
      if (record !== null) records.set(name, record);
      else if (isLayerName(name) || name.startsWith('tmp-')) leftovers.push(name);
    }
    this.#readLinks(records);
    for (const [name, record] of records) if (!this.#layers.has(name)) this.#list(name, record, symlinkSync);
    rmSync(join(this.#links, this.initLayer), { force: true });
    symlinkSync(join('..', ensureInitLayer(this.root).slice(this.root.length + 1)), join(this.#links, this.initLayer));
    if (leftovers.length > 0) void this.#remove(leftovers);
  }

  #readLinks(records: ReadonlyMap<string, LayerRecord>): void {
    for (const short of readdirSync(this.#links)) {
      if (short === this.initLayer) continue;
      const name = readlinkSync(join(this.#links, short)).split('/')[1] ?? '';
      const record = records.get(name);
      if (record === undefined || this.#layers.has(name)) rmSync(join(this.#links, short));
      else this.#layers.set(name, { record, short });
      this.#shortCounter = Math.max(this.#shortCounter, Number.parseInt(short, 10) || 0);
    }
  }

  #list<T>(name: string, record: LayerRecord, link: (target: string, path: string) => T): T {
    const short = String(++this.#shortCounter);
    const result = link(join('..', name, 'fs'), join(this.#links, short));
    this.#layers.set(name, { record, short });
    return result;
  }

  /** `renamed`: what is to be removed, as far as it came. */
  async #unlistAll(names: readonly string[], renamed: string[]): Promise<void> {
    for (const name of names) {
      await this.#inTurn(name, async () => {
        if (this.#layers.has(name) && !this.#pinned.has(name)) renamed.push(await this.#unlist(name));
      });
    }
    await this.#syncRoot();
  }

  /** Once renamed, the layer is gone for everybody; the files follow. */
  async #unlist(name: string): Promise<string> {
    const { short } = this.#known(name);
    const temporary = this.#temporaryName();
    this.#layers.delete(name);
    await rename(join(this.root, name), join(this.root, temporary));
    await unlink(join(this.#links, short));
    return temporary;
  }

  async #inTurn(name: string, change: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(change);
    const settled = turn.catch(() => {});
    this.#turns.set(name, settled);
    try {
      await turn;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }

  #names(layer: LayerSource): readonly string[] {
    return [dependentName(layer.chainId), independentName(layer.diffId)];
  }

  /** The layer on top of `below`: as found, as the first pass left it, or unpacked again with its parents at hand. */
  async #settle(
    layer: LayerSource,
    firstPass: Promise<FirstPass> | null,
    below: readonly LayerRef[],
    pins: Set<string>,
    signal: AbortSignal,
    onProgress: ProgressListener | undefined,
  ): Promise<LayerRef> {
    const pass = await firstPass;
    const [dependent = '', independent = ''] = this.#names(layer);
    if (this.#pin(dependent, pins)) return this.#reference(dependent);
    if (pass !== 'needs-parents') {
      // A sweep may have come between the end of the job and the pin.
      if (!this.#pin(independent, pins)) await this.#firstPass(layer, signal, onProgress);
      if (this.#pin(independent, pins) && this.#fits(this.#known(independent).record, below)) return this.#reference(independent);
    }
    await this.#run(dependent, layer, { kind: 'unpack', lowers: this.#hostPaths(below) }, signal, onProgress);
    this.#pin(dependent, pins);
    return this.#reference(dependent);
  }

  #firstPass(layer: LayerSource, signal: AbortSignal, onProgress: ProgressListener | undefined): Promise<FirstPass> {
    return this.#run(independentName(layer.diffId), layer, { kind: 'unpack', lowers: null }, signal, onProgress);
  }

  /** Of a blob that is on its way: its layer was there already, or came from another blob. */
  async #prove(layer: LayerSource, signal: AbortSignal, onProgress: ProgressListener | undefined): Promise<void> {
    if (layer.incoming === undefined || layer.incoming.hasProved(layer.diffId)) return;
    await this.#run(`verify-${layer.blob}-${layer.diffId}`, layer, { kind: 'verify' }, signal, onProgress);
  }

  /** Whiteouts are right only where what they hide can exist. */
  #fits(record: LayerRecord, below: readonly LayerRef[]): boolean {
    if (record.whiteoutDirectories.length === 0) return true;
    const stack = new LayerStack(this.#hostPaths(below));
    return record.whiteoutDirectories.every((path) => stack.lookup(path.split('/'))?.stats.isDirectory() === true);
  }

  async #run(
    name: string,
    layer: LayerSource,
    task: LayerTask,
    signal: AbortSignal,
    onProgress: ProgressListener | undefined,
  ): Promise<FirstPass> {
    // A job that nobody waits for from the start would run on unseen.
    signal.throwIfAborted();
    let job = this.#jobs.get(name);
    if (job === undefined || job.cancelled) {
      const started = new SharedJob<FirstPass, ProgressListener>((cancel, listeners) => this.#work(name, layer, task, cancel, listeners));
      job = started;
      this.#jobs.set(name, started);
      void started.settled.then(() => this.#jobs.get(name) === started && this.#jobs.delete(name));
    }
    return await job.wait(signal, onProgress);
  }

  async #work(
    name: string,
    layer: LayerSource,
    task: LayerTask,
    cancel: SharedArrayBuffer,
    listeners: ReadonlySet<ProgressListener>,
  ): Promise<FirstPass> {
    const { incoming } = layer;
    for (;;) {
      const temporary = task.kind === 'verify' ? null : this.#temporaryName();
      const outcome = await this.#inThread(layer, task, temporary, cancel, listeners);
      if (temporary !== null && outcome.kind === 'unpacked') await this.#commit(temporary, name, outcome.record);
      else if (temporary !== null) await this.#remove([temporary]);
      if (outcome.kind === 'unpacked' || outcome.kind === 'verified') incoming?.proved(layer.diffId);
      if (outcome.kind === 'needs-parents') return 'needs-parents';
      if (incoming === undefined || outcome.kind === 'unpacked' || outcome.kind === 'verified') return 'independent';
      // It came to nothing, and the bytes are to blame: from their beginning again, unless whoever fetches them has had enough.
      if (outcome.kind === 'wrong-blob') await incoming.again(outcome.epoch, outcome.found);
      if (outcome.kind === 'ended') await incoming.whole();
    }
  }

  async #inThread(
    layer: LayerSource,
    task: LayerTask,
    temporary: string | null,
    cancel: SharedArrayBuffer,
    listeners: ReadonlySet<ProgressListener>,
  ): Promise<UnpackOutcome> {
    const { incoming } = layer;
    const job: UnpackJob = {
      blobPath: incoming?.path ?? this.#options.blobPath(layer.blob),
      blob: layer.blob,
      diffId: layer.diffId,
      directory: temporary === null ? null : join(this.root, temporary),
      growing: incoming === undefined ? null : { shared: incoming.growth, sizeBytes: incoming.sizeBytes },
      lowers: task.kind === 'unpack' ? task.lowers : null,
      limits: this.#limits,
    };
    const pool = incoming === undefined ? this.#pool : this.#followers;
    try {
      const outcome = await pool.run({ kind: 'unpack', job, cancel }, (doneBytes, totalBytes) => {
        for (const listener of listeners) listener({ blob: layer.blob, doneBytes, totalBytes });
      });
      if (outcome === null) throw new EngineError('system', 'an unpack worker gave no answer');
      return outcome;
    } catch (error) {
      if (temporary !== null) await this.#remove([temporary]);
      throw describe(error, layer.diffId);
    }
  }

  async #commit(temporary: string, name: string, record: LayerRecord): Promise<void> {
    await this.#inTurn(name, async () => {
      // A job that was cancelled a moment too late was first, or a build made the same layer.
      if (this.#layers.has(name)) await this.#remove([temporary]);
      else await this.#enter(join(this.root, temporary), name, record);
    });
  }

  async #enter(directory: string, name: string, record: LayerRecord): Promise<void> {
    const place = join(this.root, name);
    try {
      await rename(directory, place);
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      // A directory that was no layer when the store was opened.
      await this.#remove([name]);
      await rename(directory, place);
    }
    await this.#syncRoot();
    await this.#list(name, record, symlink);
  }

  async #syncRoot(): Promise<void> {
    const directory = await open(this.root, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** A failure is logged only: what stays is removed at the next open. */
  async #remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    try {
      await this.#pool.run({ kind: 'remove', root: this.root, names });
    } catch (error) {
      this.#logger.warn({ root: this.root, names, error: errorText(error) }, 'cannot remove directories of the layer store');
    }
  }

  #temporaryName(): string {
    return `tmp-${process.pid}-${Date.now()}-${this.#temporaryCounter++}`;
  }

  /**
   * Topmost first, as overlay sees the layers. Left out: everything below a layer whose root is opaque; empty layers; and the lower ones of equal layers, which
   * overlay refuses to take twice and which can't show, as whatever they have or hide the topmost has or hides too.
   */
  #stack(layers: readonly LayerRef[]): readonly KnownLayer[] {
    const names = new Set<string>();
    for (const layer of layers.toReversed()) {
      const { record } = this.#known(layer.directory);
      if (record.entries > 0) names.add(layer.directory);
      if (record.rootOpaque) break;
    }
    return [...names].map((name) => this.#known(name));
  }

  #hostPaths(layers: readonly LayerRef[]): readonly string[] {
    return this.#stack(layers).map((known) => join(this.#links, known.short));
  }

  #known(name: string): KnownLayer {
    const known = this.#layers.get(name);
    if (known === undefined)
      throw new EngineError('system', `the layer directory ${name} is missing in ${this.root}: load or pull the image again`);
    return known;
  }

  #reference(name: string): LayerRef {
    const { record } = this.#known(name);
    return { diffId: record.diffId, directory: name, sizeBytes: record.sizeBytes };
  }

  /** False when there is no such layer. */
  #pin(name: string, pins: Set<string>): boolean {
    if (!this.#layers.has(name)) return false;
    if (!pins.has(name)) this.#pinned.set(name, (this.#pinned.get(name) ?? 0) + 1);
    pins.add(name);
    return true;
  }

  #unpin(name: string): void {
    const count = (this.#pinned.get(name) ?? 0) - 1;
    if (count > 0) this.#pinned.set(name, count);
    else this.#pinned.delete(name);
  }
}

/** The failure that made the others stop, if it is among them. */
function firstCause(outcomes: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
  return reasons.find((reason) => reason instanceof EngineError && reason.code !== 'unavailable') ?? null;
}

function describe(error: unknown, diffId: DiffId): unknown {
  if (!(error instanceof EngineError)) return error;
  return new EngineError(error.code, `cannot unpack layer ${diffId}: ${error.message}`, { cause: error, details: error.details });
}
