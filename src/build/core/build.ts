/**
 * One build, from its request to its outputs.
 *
 *     Dockerfile ─► instructions ─► checks ─► plan per platform ─► solved ─► config ─► outputs
 *        ▲                                    (base images)      (contexts, steps)
 *     client, or the context
 *
 * What it finds and makes is held by one lease until the outputs are recorded. When it fails or is cancelled nothing of it is visible; steps that were done stay in the cache.
 */
import { randomUUID } from 'node:crypto';
import type { Digest } from '../../base/brand.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoints.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildSettings } from '../../dockerfile/scope.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Transfers } from '../../images/transfers.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import { BuildError, cancelledText, codeOf, failureOf, plainFailure } from '../build-error.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildOutcome } from '../builder.ts';
import type { BuildCache } from '../cache/build-cache.ts';
import type { ContextStore } from '../context/context-store.ts';
import type { LayerWork } from '../files/layer-work.ts';
import type { BuiltImage, ExportStep, Outputs } from '../output/outputs.ts';
import type { BaseImage, BuildPlan } from '../plan/build-plan.ts';
import { planBuild } from '../plan/plan-build.ts';
import { placeOf } from '../plan/plan-problem.ts';
import type { OperationResult, Tree } from '../result.ts';
import type { RunWork } from '../run/run-work.ts';
import { Identities } from '../solve/operation-identity.ts';
import type { Solver } from '../solve/solver.ts';
import { treeOf, withLayer } from '../tree.ts';
import { BaseImages, type FoundImage, imageVertex } from './base-images.ts';
import { checkBaseImages, checkDockerfile, refuseViolations } from './build-checks.ts';
import { BuildContexts } from './build-contexts.ts';
import { buildEpoch } from './build-epoch.ts';
import { builtConfig } from './built-config.ts';
import { contextsInUse } from './contexts-in-use.ts';
import { type DockerfileSource, parsedDockerfile, readDockerfile } from './dockerfile-source.ts';
import { limits, requireWithinLimits } from './limits.ts';
import { type BuildWorker, isLayerOperation, type LayerOperation, type OperationOwner } from './operation-worker.ts';
import { StepLog } from './step-log.ts';
import { Vertices } from './vertices.ts';

export interface BuilderParts {
  readonly store: ImageStore;
  readonly transfers: Pick<Transfers, 'pull'>;
  readonly cache: BuildCache;
  readonly layers: LayerWork;
  readonly runs: RunWork;
  readonly contexts: ContextStore;
  readonly outputs: Outputs;
  readonly host: Platform;
}

export interface SharedWork {
  readonly worker: BuildWorker;
  readonly solver: Solver<OperationResult>;
}

export class Build {
  readonly #parts: BuilderParts;
  readonly #shared: SharedWork;
  readonly #request: BuildRequest;
  readonly #client: BuildClient;
  readonly #signal: AbortSignal;
  readonly #vertices: Vertices;
  readonly #lease: Lease;
  readonly #contexts: BuildContexts;
  readonly #images: BaseImages;
  readonly #log: StepLog;
  /** Tells its contexts, and what it makes without the cache, from those of other builds. */
  readonly #nonce = randomUUID();
  #source: DockerfileSource | null = null;

  constructor(parts: BuilderParts, shared: SharedWork, request: BuildRequest, client: BuildClient, signal: AbortSignal) {
    this.#parts = parts;
    this.#shared = shared;
    this.#request = request;
    this.#client = client;
    this.#signal = signal;
    this.#vertices = new Vertices(
      (event) => client.report(event),
      () => signal.aborted,
    );
    this.#lease = parts.store.leases.acquire();
    const common = { client, vertices: this.#vertices, signal };
    this.#contexts = new BuildContexts({ ...common, contexts: parts.contexts, request });
    this.#images = new BaseImages({ ...common, ...parts, pull: request.pull, lease: this.#lease });
    this.#log = new StepLog(
      this.#vertices,
      (name) => this.#contexts.vertexOf(name),
      () => signal.aborted,
    );
  }

  get counts(): { readonly steps: number; readonly cached: number; readonly warnings: number } {
    return { ...this.#log.counts, warnings: this.#vertices.warnings.length };
  }

  async run(): Promise<BuildOutcome> {
    try {
      return await this.#run();
    } catch (thrown) {
      throw await this.#failure(thrown);
    } finally {
      this.#vertices.closeAll();
      await this.#contexts.release();
      this.#lease.release();
    }
  }

  async #run(): Promise<BuildOutcome> {
    requireWithinLimits(this.#request);
    this.#source = await readDockerfile({
      request: this.#request,
      client: this.#client,
      contexts: this.#contexts,
      vertices: this.#vertices,
      signal: this.#signal,
    });
    const dockerfile = parsedDockerfile(this.#source);
    const platforms = this.#request.platforms.length === 0 ? [this.#parts.host] : this.#request.platforms;
    const checked = this.#check(dockerfile, this.#source, platforms);
    for (const name of contextsInUse(dockerfile, this.#request)) this.#contexts.prefetch(name);
    const plans = await this.#plan(dockerfile, platforms);
    await this.#checkImages(dockerfile, this.#source, plans);
    if (checked.areErrors && this.#vertices.warnings.some(({ rule }) => rule !== '')) refuseViolations(this.#vertices.warnings);
    this.#announce(plans);
    const images = await this.#solve(plans);
    return await this.#export(images);
  }

  #check(dockerfile: Dockerfile, source: DockerfileSource, platforms: readonly Platform[]): { readonly areErrors: boolean } {
    const [platform = this.#parts.host] = platforms;
    const checked = checkDockerfile(dockerfile, source, this.#settings(platform), this.#parts.store);
    for (const warning of checked.warnings) this.#vertices.warn(warning);
    return checked;
  }

  #settings(targetPlatform: Platform): BuildSettings {
    const { buildArguments, target } = this.#request;
    return { buildArguments, target, targetPlatform, buildPlatform: this.#parts.host };
  }

  async #plan(dockerfile: Dockerfile, platforms: readonly Platform[]): Promise<readonly BuildPlan[]> {
    const epoch = await buildEpoch(this.#request, dockerfile, this.#contexts);
    const { network } = this.#request.run;
    const plans = platforms.map((platform) => {
      const settings = { ...this.#settings(platform), network, epoch, showPlatforms: platforms.length > 1 };
      return planBuild(dockerfile, settings, {
        image: (reference, on, title) => this.#images.image(reference, on, title),
        namedContext: (name) => this.#contexts.named(name, platform),
      });
    });
    return await Promise.all(plans);
  }

  async #checkImages(dockerfile: Dockerfile, source: DockerfileSource, plans: readonly BuildPlan[]): Promise<void> {
    const places = new Map(
      plans.flatMap(({ steps }) =>
        steps.flatMap(({ operation, place }) =>
          operation?.kind === 'image' ? [[imageVertex(operation.reference, operation.platform), place] as const] : [],
        ),
      ),
    );
    const placeOfImage = ({ reference, platform }: FoundImage) => places.get(imageVertex(reference, platform)) ?? null;
    const found = checkBaseImages(dockerfile, source, await this.#images.found(), placeOfImage);
    for (const warning of found) this.#vertices.warn(warning);
  }

  #announce(plans: readonly BuildPlan[]): void {
    const unused = [...new Set(plans.flatMap(({ unusedArguments }) => unusedArguments))];
    if (unused.length > 0) {
      const short = `One or more build-args [${unused.join(' ')}] were not consumed`;
      this.#vertices.warn({
        rule: '',
        short,
        detail: 'Declare each with ARG where it is used, or leave it out.',
        url: '',
        place: null,
        vertex: '',
      });
    }
    const instructions = plans.flatMap(({ steps }) =>
      steps.map(({ text, place, operation }) => ({ text, place, vertex: operation === null ? null : this.#log.vertexOf(operation) })),
    );
    this.#vertices.report({ kind: 'plan', instructions });
    for (const { result } of plans) this.#log.announce(result.root);
  }

  /** All platforms side by side; the first that fails ends the others. */
  async #solve(plans: readonly BuildPlan[]): Promise<readonly BuiltImage[]> {
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#signal, failure.signal]);
    const solving = plans.map(async (plan) => {
      try {
        return await this.#solveOne(plan, signal);
      } catch (error) {
        failure.abort(error);
        throw error;
      }
    });
    const outcomes = await Promise.allSettled(solving);
    if (failure.signal.aborted) throw failure.signal.reason;
    return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }

  async #solveOne(plan: BuildPlan, signal: AbortSignal): Promise<BuiltImage> {
    const { worker, solver } = this.#shared;
    const { result: stage } = plan;
    worker.adopt(stage.root, this.#owner());
    const result = await solver.solve(stage.root, this.#identities(), (event) => this.#hear(event), signal);
    if (result.kind !== 'tree') throw new EngineError('system', 'the target stage came to files that are no root file system');
    const { tree, squashed } = await this.#squash(result, stage.base, stage.epoch, signal);
    if (tree.layers.length > limits.layers)
      throw invalid(`max depth exceeded: the image would have ${tree.layers.length} layers, ${limits.layers} can be stacked`);
    const config = builtConfig({ stage, tree, labels: this.#request.labels, squashed });
    const layers = this.#descriptors(tree, stage.base);
    return { platform: stage.platform, config, tree, layers, epoch: stage.epoch, attestations: [] };
  }

  async #squash(
    tree: Tree,
    base: BaseImage | null,
    epoch: number,
    signal: AbortSignal,
  ): Promise<{ readonly tree: Tree; readonly squashed: boolean }> {
    const below = treeOf(base?.layers ?? []);
    const own = tree.layers.slice(below.layers.length);
    if (!this.#request.squash || own.length < 2) return { tree, squashed: false };
    const { layer } = await this.#vertices.during('squashing layers', () =>
      this.#parts.layers.squash(own, below, epoch, this.#lease, signal),
    );
    return { tree: withLayer(below, layer), squashed: true };
  }

  /** Those of the base as its manifest has them. */
  #descriptors(tree: Tree, base: BaseImage | null): readonly Descriptor[] {
    return tree.layers.map(({ diffId }, index) => {
      const below = base?.descriptors[index];
      if (below !== undefined) return below;
      const digest = diffId as string as Digest;
      return { mediaType: mediaTypes.ociLayer, digest, size: this.#parts.store.blobs.sizeBytes(digest) };
    });
  }

  #identities(): Identities {
    const { entitlements } = this.#request;
    const owner = this.#owner();
    return new Identities(
      (name) => `${this.#nonce} ${name}`,
      (operation) => {
        if (!isLayerOperation(operation)) return '';
        const apart = owner.cacheUse(operation) === 'use' ? '' : this.#nonce;
        return operation.kind === 'run' ? `${apart} ${owner.runEnvironment} ${[...entitlements].sort().join(' ')}` : apart;
      },
    );
  }

  #owner(): OperationOwner {
    const { noCache, explain, outputs, dockerfilePath } = this.#request;
    const refused = (operation: LayerOperation) => noCache === 'all' || noCache.includes(operation.step.stage ?? '');
    return {
      client: this.#client,
      contexts: this.#contexts,
      request: this.#request,
      lease: this.#lease,
      runEnvironment: runEnvironment(this.#request),
      project: `${outputs[0]?.names[0] ?? ''} ${dockerfilePath ?? this.#source?.name ?? ''}`,
      cacheUse: (operation) => (refused(operation) ? 'replace' : 'use'),
      explained: (operation, explanation) => explain && this.#log.explain(operation, explanation),
    };
  }

  /** What another build made is held before that one lets go of it. */
  #hear(event: Parameters<StepLog['hear']>[0]): void {
    if (event.kind === 'done' && event.result.kind === 'tree') {
      for (const { directory, diffId } of event.result.layers) {
        this.#lease.holdLayer(directory);
        this.#lease.hold(diffId as string as Digest);
      }
    }
    this.#log.hear(event);
  }

  async #export(images: readonly BuiltImage[]): Promise<BuildOutcome> {
    const { outputs } = this.#request;
    const { warnings } = this.#vertices;
    const nothing = { imageId: null, configDigest: null, digest: null, mediaType: null, sizeBytes: 0, names: [] };
    const common = { warnings, answer: null, provenance: null };
    if (outputs.length === 0) return { ...nothing, ...common };
    const exported = await this.#vertices.during(exportName(outputs[0]?.type ?? 'image'), (vertex) => {
      const report = ({ id, current, total, done }: ExportStep) => vertex.status(id, current, total, done);
      const request = { outputs, images, client: this.#client, lease: this.#lease, report };
      return this.#parts.outputs.export(request, this.#signal);
    });
    failpoint('build.image-recorded');
    return { ...exported, ...common };
  }

  /** In the words of whoever failed, with the step and the lines that are to blame. */
  async #failure(thrown: unknown): Promise<unknown> {
    if (this.#signal.aborted) return new BuildError(plainFailure(cancelledText), 'invalid', thrown);
    if (thrown instanceof BuildError) return thrown;
    const { failure } = this.#log;
    const place = placeOf(thrown);
    const step =
      failure !== null && failure.error === thrown ? this.#log.blamed(failure.operation) : place && { title: null, place, lastLines: [] };
    return new BuildError(failureOf(thrown, this.#source, step), codeOf(thrown), thrown);
  }
}

/** What a RUN can see of the settings. Limits change how long it takes, addresses of hosts whom it talks to. */
function runEnvironment({ run }: BuildRequest): string {
  const { network, networkName, hostname, ulimits, extraHosts } = run;
  const hosts = extraHosts.map((entry) => entry.replace(/[:=].*$/, ''));
  return JSON.stringify({ network, networkName, hostname, ulimits, hosts });
}

function exportName(type: BuildRequest['outputs'][number]['type']): string {
  const names = {
    image: 'image',
    oci: 'oci image format',
    docker: 'docker image format',
    tar: 'client tarball',
    local: 'client directory',
  };
  return `exporting to ${names[type]}`;
}
