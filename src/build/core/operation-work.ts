/**
 * Does the operations of all builds: what they read is looked at by content, asked for in the cache, made where it isn't there, and put there.
 *
 *     selections of its sources ─► key ─► cache ──hit──► layer
 *                                           └──miss──► copied, run, made ─► layer ─► cache
 *
 * An operation belongs to the build that planned it (`adopt`): its client is asked for contexts and secrets, its lease holds what is found and made.
 */
import { EngineError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoints.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { StepExplanation } from '../build-event.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildCache, CacheKey, CacheRecord, NewCacheRecord } from '../cache/build-cache.ts';
import type { LayerWork, MadeLayer, Selection } from '../files/layer-work.ts';
import {
  type CopyInput,
  type CopyOperation,
  type DirectoryOperation,
  inputsOf,
  type Operation,
  type RunOperation,
} from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import type { RunRequest, RunWork } from '../run/run-work.ts';
import type { OperationWorker, OutputSink } from '../solve/solver.ts';
import { scratchTree, treeOf, withLayer } from '../tree.ts';
import type { BuildContexts } from './build-contexts.ts';

export type LayerOperation = RunOperation | CopyOperation | DirectoryOperation;

/** What an operation needs of its build. */
export interface OperationOwner {
  readonly client: BuildClient;
  readonly contexts: BuildContexts;
  readonly request: Pick<BuildRequest, 'run' | 'entitlements'>;
  readonly lease: Lease;
  /** What of the settings of RUNs counts for their results. */
  readonly runEnvironment: string;
  /** In front of the places of its steps: which project, which Dockerfile. */
  readonly project: string;
  /** The cache is not asked; `apart`: nor is it told. */
  cacheUse(operation: LayerOperation): 'use' | 'replace' | 'apart';
  explained(operation: LayerOperation, explanation: StepExplanation): void;
  /** From caches elsewhere, with its layer and blob here; null: nobody has it. */
  imported(key: CacheKey, below: Tree, signal: AbortSignal): Promise<NewCacheRecord | null>;
  readonly importedMount: RunRequest['importedMount'];
  /** What stands for the operation in the cache from now on. */
  recorded(operation: LayerOperation, record: CacheRecord): void;
}

export interface OperationWorkerParts {
  readonly store: Pick<ImageStore, 'leases'>;
  readonly cache: BuildCache;
  readonly layers: LayerWork;
  readonly runs: RunWork;
}

type Inputs = ReadonlyMap<Operation, OperationResult>;

interface Prepared {
  readonly key: CacheKey;
  /** Of COPY: what it reads from, in its order. */
  readonly sources: readonly (OperationResult | null)[];
}

export class BuildWorker implements OperationWorker<OperationResult> {
  readonly #parts: OperationWorkerParts;
  readonly #owners = new WeakMap<Operation, OperationOwner>();
  readonly #prepared = new WeakMap<Operation, Prepared>();

  constructor(parts: OperationWorkerParts) {
    this.#parts = parts;
  }

  /** From now on the operation, and everything that it stands on, belongs to this build. */
  adopt(operation: Operation, owner: OperationOwner): void {
    const known = this.#owners.get(operation);
    if (known === owner) return;
    if (known !== undefined) throw new EngineError('system', `an operation of kind ${operation.kind} belongs to two builds`);
    this.#owners.set(operation, owner);
    for (const input of inputsOf(operation)) this.adopt(input, owner);
  }

  async recall(operation: Operation, inputs: Inputs, signal: AbortSignal): Promise<OperationResult | null> {
    switch (operation.kind) {
      case 'scratch':
        return scratchTree;
      case 'image':
        return treeOf(operation.layers);
      case 'context':
        // Here, not where operations take their places: a client that is slow keeps no step waiting.
        return (await this.#ownerOf(operation).contexts.get(operation.name)).files;
      default:
        return await this.#find(operation, inputs, signal);
    }
  }

  async execute(operation: Operation, inputs: Inputs, output: OutputSink, signal: AbortSignal): Promise<OperationResult> {
    const prepared = this.#prepared.get(operation);
    if (!isLayerOperation(operation) || prepared === undefined)
      throw new EngineError('system', `an operation of kind ${operation.kind} was not looked for before it was done`);
    const owner = this.#ownerOf(operation);
    // The build that began it may give up while another one waits for it: what is made is held all the same.
    using own = this.#parts.store.leases.acquire();
    const made = await this.#make(operation, inputs, prepared, both(own, owner.lease), output, signal);
    failpoint('build.layer-sealed');
    const layer = await this.#keep(operation, owner, prepared.key, made);
    failpoint('build.layer-recorded');
    return withLayer(parentOf(operation, inputs), layer);
  }

  async #find(operation: LayerOperation, inputs: Inputs, signal: AbortSignal): Promise<Tree | null> {
    const { cache } = this.#parts;
    const owner = this.#ownerOf(operation);
    const { selections, sources } = await this.#select(operation, inputs, owner, signal);
    const key = cache.keyOf({
      operation,
      inputs,
      selections,
      environment: operation.kind === 'run' ? owner.runEnvironment : '',
      ...placesOf(operation.step.title, owner.project),
    });
    if (key === null) throw new EngineError('system', `the cache has no key for ${operation.step.title}`);
    this.#prepared.set(operation, { key, sources });
    const asks = owner.cacheUse(operation) === 'use';
    const below = parentOf(operation, inputs);
    const found = asks ? ((await cache.find(key, owner.lease)) ?? (await this.#import(key, below, owner, signal))) : null;
    owner.explained(operation, await cache.explain(key, found !== null ? 'hit' : asks ? 'miss' : 'no-cache'));
    if (found === null) return null;
    owner.recorded(operation, found);
    return withLayer(below, found.layer);
  }

  async #import(key: CacheKey, below: Tree, owner: OperationOwner, signal: AbortSignal): Promise<CacheRecord | null> {
    try {
      const imported = await owner.imported(key, below, signal);
      return imported === null ? null : await this.#parts.cache.add(key, imported);
    } catch (error) {
      // Of a build that is over, and took its caches with it: the one that waits does the step.
      if (signal.aborted) throw error;
      return null;
    }
  }

  async #select(
    operation: LayerOperation,
    inputs: Inputs,
    owner: OperationOwner,
    signal: AbortSignal,
  ): Promise<{ readonly selections: readonly (Selection | null)[]; readonly sources: readonly (OperationResult | null)[] }> {
    if (operation.kind === 'directory') return { selections: [], sources: [] };
    if (operation.kind === 'run') {
      const mounts = operation.mounts.filter((mount) => mount.type === 'bind');
      const selections = mounts.map(async ({ from, source }) => {
        const request = { from: resultOf(inputs, from), pattern: source, excludes: [], parents: false, literal: true };
        return await this.#parts.layers.select(request, signal);
      });
      return { selections: await Promise.all(selections), sources: [] };
    }
    const { excludes, parents } = operation;
    const all = operation.sources.map((source) => this.#source(source, inputs, owner, { excludes, parents }, signal));
    const found = await Promise.all(all);
    return { selections: found.map(({ selection }) => selection), sources: found.map(({ source }) => source) };
  }

  async #source(
    input: CopyInput,
    inputs: Inputs,
    { contexts }: OperationOwner,
    options: Pick<CopyOperation, 'excludes' | 'parents'>,
    signal: AbortSignal,
  ): Promise<{ readonly selection: Selection | null; readonly source: OperationResult | null }> {
    switch (input.kind) {
      case 'file':
        return { selection: null, source: null };
      case 'path': {
        const from = resultOf(inputs, input.from);
        const selection = await this.#parts.layers.select({ from, pattern: input.pattern, ...options, literal: false }, signal);
        return { selection, source: from };
      }
      case 'url':
      case 'git': {
        const held = input.kind === 'url' ? await contexts.url(input) : await contexts.git(input);
        const name = input.url;
        return { selection: { digest: held.digest, entries: [{ path: name, digest: held.digest }], isEmpty: false }, source: held.files };
      }
    }
  }

  async #make(
    operation: LayerOperation,
    inputs: Inputs,
    { sources }: Prepared,
    lease: Lease,
    output: OutputSink,
    signal: AbortSignal,
  ): Promise<MadeLayer> {
    const { layers, runs } = this.#parts;
    const { client, request, importedMount } = this.#ownerOf(operation);
    const parent = parentOf(operation, inputs);
    const { epoch } = operation;
    switch (operation.kind) {
      case 'directory':
        return await layers.makeDirectory(operation, parent, epoch, lease, signal);
      case 'copy':
        return await layers.copy({ operation, parent: operation.link ? scratchTree : parent, sources, epoch, lease }, signal);
      case 'run': {
        const { run: settings, entitlements } = request;
        return await runs.run({ operation, parent, inputs, client, settings, entitlements, lease, importedMount }, output, signal);
      }
    }
  }

  async #keep(operation: LayerOperation, owner: OperationOwner, key: CacheKey, { layer, blob }: MadeLayer): Promise<MadeLayer['layer']> {
    const use = owner.cacheUse(operation);
    if (use === 'apart') return layer;
    const description = operation.step.title.replace(/ ?\d+\/\d+\]/, ']').replace(/^\[\] /, '');
    const record: NewCacheRecord = { layer, blob, description, kind: operation.kind };
    const kept = await this.#parts.cache.add(key, record, { replace: use === 'replace' });
    owner.recorded(operation, kept);
    if (use === 'replace') return layer;
    owner.lease.hold(kept.blob.digest);
    owner.lease.holdLayer(kept.layer.directory);
    return kept.layer;
  }

  #ownerOf(operation: Operation): OperationOwner {
    const owner = this.#owners.get(operation);
    if (owner === undefined) throw new EngineError('system', `an operation of kind ${operation.kind} belongs to no build`);
    return owner;
  }
}

/** `[build 2/4] RUN make`: the total changes with every line, so it names nothing. */
function placesOf(title: string, project: string): { readonly place: string; readonly position: string } {
  const [, stage = '', number = '', text = title] = /^\[(.*?)(\d+)\/\d+\] (.*)$/s.exec(title) ?? [];
  return { place: `${project} ${stage}${text}`, position: `${project} ${stage}${number}` };
}

function both(one: Lease, other: Lease): Lease {
  const release = () => one.release();
  return {
    hold(blob) {
      one.hold(blob);
      other.hold(blob);
    },
    holdLayer(name) {
      one.holdLayer(name);
      other.holdLayer(name);
    },
    release,
    [Symbol.dispose]: release,
  };
}

export function isLayerOperation(operation: Operation): operation is LayerOperation {
  return 'step' in operation;
}

function resultOf(inputs: Inputs, operation: Operation): OperationResult {
  const result = inputs.get(operation);
  if (result === undefined) throw new EngineError('system', `an operation of kind ${operation.kind} was not done before what stands on it`);
  return result;
}

function parentOf({ parent }: LayerOperation, inputs: Inputs): Tree {
  const result = resultOf(inputs, parent);
  if (result.kind !== 'tree') throw new EngineError('system', 'a step stands on files that are no root file system');
  return result;
}
