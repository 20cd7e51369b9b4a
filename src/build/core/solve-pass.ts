/**
 * The plans of a build solved once: every platform's graph side by side, with the cache or apart from it. A build is one pass; `--verify` makes two and compares them.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { EngineError } from '../../base/errors.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { BuildRequest } from '../build-request.ts';
import type { CacheRecord } from '../cache/build-cache.ts';
import type { BuildPlan } from '../plan/build-plan.ts';
import { inOrder, type Operation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import { Identities } from '../solve/operation-identity.ts';
import type { Solver } from '../solve/solver.ts';
import type { BuildContexts } from './build-contexts.ts';
import type { CacheTransfers } from './cache-transfers.ts';
import { firstDifference } from './first-difference.ts';
import { type BuildWorker, isLayerOperation, type LayerOperation, type OperationOwner } from './operation-work.ts';
import type { StepLog } from './step-log.ts';
import type { DifferingStep } from './verify-answer.ts';

export interface SharedWork {
  readonly worker: BuildWorker;
  readonly solver: Solver<OperationResult>;
}

export interface PassOptions {
  readonly shared: SharedWork;
  readonly request: BuildRequest;
  readonly client: BuildClient;
  readonly contexts: BuildContexts;
  readonly lease: Lease;
  /** Which Dockerfile of which project, for explanations. */
  readonly project: string;
  readonly log: StepLog;
  /** Nothing is taken from the cache, and nothing put there. */
  readonly apart: boolean;
  readonly caches: Pick<CacheTransfers, 'find' | 'mount'>;
  readonly signal: AbortSignal;
}

export class SolvePass {
  readonly log: StepLog;
  readonly #options: PassOptions;
  readonly #owner: OperationOwner;
  readonly #records = new Map<Operation, CacheRecord>();
  /** Tells its contexts, and what it makes without the cache, from those of others. */
  readonly #nonce = randomUUID();

  constructor(options: PassOptions) {
    this.#options = options;
    this.log = options.log;
    this.#owner = ownerOf(options, this.#records);
  }

  /** Records of these operations, as far as this build used or made them. */
  recordsOf(operations: readonly Operation[]): readonly CacheRecord[] {
    return operations.flatMap((operation) => this.#records.get(operation) ?? []);
  }

  /** One tree for each plan, in their order. The first that fails ends the others. */
  async solve(plans: readonly BuildPlan[]): Promise<readonly Tree[]> {
    for (const { result } of plans) this.log.announce(result.root);
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, failure.signal]);
    const solving = plans.map(async ({ result }) => {
      try {
        return await this.#solveOne(result.root, signal);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    });
    const outcomes = await Promise.allSettled(solving);
    if (failure.signal.aborted) throw failure.signal.reason;
    return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }

  async #solveOne(root: Operation, signal: AbortSignal): Promise<Tree> {
    const { worker, solver } = this.#options.shared;
    worker.adopt(root, this.#owner);
    const result = await solver.solve(root, this.#identities(), (event) => this.#hear(event), signal);
    if (result.kind !== 'tree') throw new EngineError('system', 'the target stage came to files that are no root file system');
    return result;
  }

  #identities(): Identities {
    const { cacheUse, runEnvironment, request } = this.#owner;
    const entitlements = [...request.entitlements].sort().join(' ');
    return new Identities(
      (name) => `${this.#nonce} ${name}`,
      (operation) => {
        if (!isLayerOperation(operation)) return '';
        const apart = cacheUse(operation) === 'use' && !asksItsClient(operation) ? '' : this.#nonce;
        return operation.kind === 'run' ? `${apart} ${runEnvironment} ${entitlements}` : apart;
      },
    );
  }

  /** What another build made is held before that one lets go of it. */
  #hear(event: Parameters<StepLog['hear']>[0]): void {
    const { lease } = this.#options;
    if (event.kind === 'done' && event.result.kind === 'tree') {
      for (const { directory } of event.result.layers) lease.holdLayer(directory);
      const top = event.result.layers.at(-1);
      // Of a layer that a build made the blob is its plain tar; those of base images are held as they are.
      if (top !== undefined && isLayerOperation(event.operation)) lease.hold(top.diffId as string as Digest);
    }
    this.log.hear(event);
  }
}

function ownerOf(options: PassOptions, records: Map<Operation, CacheRecord>): OperationOwner {
  const { request, client, contexts, lease, project, log, apart, caches } = options;
  const { noCache, explain } = request;
  const isRefused = ({ step }: LayerOperation) => noCache === 'all' || noCache.includes(step.stage ?? '');
  return {
    client,
    contexts,
    request,
    lease,
    project,
    runEnvironment: runEnvironment(request),
    cacheUse: (operation) => (apart ? 'apart' : isRefused(operation) ? 'replace' : 'use'),
    explained(operation, explanation) {
      if (explain) log.explain(operation, explanation);
    },
    imported: (key, below, signal) => caches.find(key.digest, below, signal),
    importedMount: (mount, signal) => caches.mount(mount, signal),
    recorded: (operation, record) => void records.set(operation, record),
  };
}

/** It needs its build's client or what that fetched: nobody else may depend on it. */
function asksItsClient(operation: LayerOperation): boolean {
  if (operation.kind === 'run') return operation.mounts.some(({ type }) => type === 'secret' || type === 'ssh');
  return operation.kind === 'copy' && operation.sources.some(({ kind }) => kind === 'url' || kind === 'git');
}

/** What a RUN can see of the settings. Limits change how long it takes, addresses of hosts whom it talks to. */
function runEnvironment({ run }: BuildRequest): string {
  const { network, networkName, hostname, ulimits, extraHosts, gpus } = run;
  const hosts = extraHosts.map((entry) => entry.replace(/[:=].*$/, ''));
  // As asked for: which hardware that comes to does not count.
  const asked = gpus.map(({ options, ...request }) => ({ ...request, options: [...options].sort() }));
  return JSON.stringify({ network, networkName, hostname, ulimits, hosts, ...(asked.length === 0 ? {} : { gpus: asked }) });
}

/** The step that came to something else although what it stands on is equal; null: both passes came to the same. */
export async function differingStep(
  { layers }: Pick<ImageStore, 'layers'>,
  [one, other]: readonly [SolvePass, SolvePass],
  [plans, again]: readonly [readonly BuildPlan[], readonly BuildPlan[]],
  signal: AbortSignal,
): Promise<DifferingStep | null> {
  const first = inOrder(plans.map(({ result }) => result.root));
  const second = inOrder(again.map(({ result }) => result.root));
  for (const [index, operation] of first.entries()) {
    const twin = second[index];
    if (twin === undefined || !isLayerOperation(operation)) continue;
    const [made, madeAgain] = [one.log.resultOf(operation), other.log.resultOf(twin)];
    if (made?.kind !== 'tree' || madeAgain?.kind !== 'tree' || made.identity === madeAgain.identity) continue;
    const directories = [made, madeAgain].map((tree) => topDirectory(layers, tree));
    const difference = await firstDifference(directories[0] ?? null, directories[1] ?? null, signal);
    return { ...operation.step, difference };
  }
  return null;
}

/** Null: the layer has nothing in it. */
function topDirectory(layers: ImageStore['layers'], tree: Tree): string | null {
  const top = tree.layers.at(-1);
  if (top === undefined) return null;
  const { base, lowers } = layers.mountOrder([top]);
  const [lower] = lowers;
  return lower === undefined ? null : join(base, lower);
}
