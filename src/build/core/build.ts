/**
 * One build, from its request to its outputs.
 *
 *     Dockerfile ─► instructions ─► checks ─► plan per platform ─► solved ─► config ─► outputs
 *        ▲                                    (base images)      (contexts, steps)
 *     client, or the context
 *
 * What it finds and makes is held by one lease until the outputs are recorded. When it fails or is cancelled nothing of it is visible; steps that were done stay in the cache.
 */
import type { Digest } from '../../base/brand.ts';
import { invalid } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoints.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildSettings } from '../../dockerfile/scope.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Transfers } from '../../images/transfers.ts';
import { digestOf } from '../../oci/digest.ts';
import { encodeImageConfig } from '../../oci/image-config.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { ByteSource } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { PackageThreads } from '../attest/package-threads.ts';
import type { BuildClient } from '../build-client.ts';
import { BuildError, cancelledText, codeOf, failureOf, plainFailure } from '../build-error.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildOutcome } from '../builder.ts';
import type { BuildCache } from '../cache/build-cache.ts';
import { inlineField } from '../cache-transfer/cache-document.ts';
import { inlineDocument } from '../cache-transfer/export-cache.ts';
import type { ContextStore } from '../context/context-store.ts';
import type { LayerWork } from '../files/layer-work.ts';
import type { BuiltImage, ExportStep, Outputs } from '../output/outputs.ts';
import type { BaseImage, BuildPlan } from '../plan/build-plan.ts';
import { inOrder, type Operation } from '../plan/operation.ts';
import { planBuild } from '../plan/plan-build.ts';
import { placeOf } from '../plan/plan-problem.ts';
import type { Tree } from '../result.ts';
import { namedMounts } from '../run/run-cache-mounts.ts';
import type { RunWork } from '../run/run-work.ts';
import { treeOf, withLayer } from '../tree.ts';
import { attestationsOf, provenanceOf } from './attestations.ts';
import { BaseImages, type FoundImage, imageVertex } from './base-images.ts';
import { checkBaseImages, checkDockerfile, otherFrontEnd, refuseViolations } from './build-checks.ts';
import { BuildContexts } from './build-contexts.ts';
import { buildEpoch } from './build-epoch.ts';
import { builtConfig } from './built-config.ts';
import { CacheTransfers, type RegistryCache } from './cache-transfers.ts';
import { answerCall } from './call-answer.ts';
import { contextsInUse } from './contexts-in-use.ts';
import { type DockerfileSource, parsedDockerfile, readDockerfile } from './dockerfile-source.ts';
import { failedState } from './failed-state.ts';
import { limits, requireWithinLimits } from './limits.ts';
import { isLayerOperation } from './operation-work.ts';
import { differingStep, type SharedWork, SolvePass } from './solve-pass.ts';
import { StepLog } from './step-log.ts';
import { differingAnswer, sameAnswer } from './verify-answer.ts';
import { Vertices } from './vertices.ts';

export interface BuilderParts {
  readonly store: ImageStore;
  readonly transfers: Pick<Transfers, 'pull'>;
  readonly cache: BuildCache;
  readonly layers: LayerWork;
  readonly runs: RunWork;
  readonly contexts: ContextStore;
  readonly outputs: Outputs;
  readonly packages: Pick<PackageThreads, 'find'>;
  readonly registryCache: RegistryCache;
  /** The same bytes give the same bytes. */
  readonly compress: (plain: ByteSource) => ByteSource;
  readonly host: Platform;
  /** Of the engine, for attestations. */
  readonly version: string;
}

type Answer = BuildOutcome['answer'];

const nothingExported = { imageId: null, configDigest: null, digest: null, mediaType: null, sizeBytes: 0, names: [] } as const;

export class Build {
  readonly #parts: BuilderParts;
  readonly #shared: SharedWork;
  readonly #request: BuildRequest;
  readonly #client: BuildClient;
  readonly #signal: AbortSignal;
  /** Pulls and transfers that nobody waits for any more end with the build. */
  readonly #ending = new AbortController();
  readonly #vertices: Vertices;
  readonly #lease: Lease;
  readonly #contexts: BuildContexts;
  readonly #images: BaseImages;
  readonly #caches: CacheTransfers;
  #source: DockerfileSource | null = null;
  #pass: SolvePass | null = null;

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
    const common = { client, vertices: this.#vertices, signal: AbortSignal.any([signal, this.#ending.signal]) };
    this.#contexts = new BuildContexts({ ...common, contexts: parts.contexts, store: parts.store, request });
    this.#images = new BaseImages({ ...common, ...parts, contexts: this.#contexts, pull: request.pull, lease: this.#lease });
    this.#caches = new CacheTransfers({ ...common, ...parts, cacheMounts: parts.cache.mounts, request, lease: this.#lease });
  }

  get counts(): { readonly steps: number; readonly cached: number; readonly warnings: number } {
    return { ...(this.#pass?.log.counts ?? { steps: 0, cached: 0 }), warnings: this.#vertices.warnings.length };
  }

  async run(): Promise<BuildOutcome> {
    try {
      return await this.#run();
    } catch (thrown) {
      throw await this.#failure(thrown);
    } finally {
      this.#ending.abort(new Error(cancelledText));
      await Promise.all([this.#images.settle(), this.#contexts.release(), this.#caches.release()]);
      this.#vertices.closeAll();
      this.#lease.release();
    }
  }

  async #run(): Promise<BuildOutcome> {
    const { call, platforms: asked, verify } = this.#request;
    requireWithinLimits(this.#request);
    const source = await this.#read();
    const dockerfile = parsedDockerfile(source);
    const platforms = asked.length === 0 ? [this.#parts.host] : asked;
    const { areErrors } = this.#check(dockerfile, source, platforms);
    if (call !== 'build') {
      const answer = answerCall(call, dockerfile, source, this.#request, this.#vertices.warnings);
      return this.#outcome(nothingExported, answer);
    }
    for (const name of contextsInUse(dockerfile, this.#request)) this.#contexts.prefetch(name);
    const plans = await this.#plan(dockerfile, platforms);
    for (const plan of plans) requireStackable(plan);
    await this.#checkImages(dockerfile, source, plans);
    if (areErrors) refuseViolations(this.#vertices.warnings);
    this.#announce(plans);
    const pass = this.#begin(source, verify, '');
    const solved = await this.#solve(plans, pass);
    const answer = verify ? await this.#again(dockerfile, source, plans, solved) : null;
    const { images, provenance } = await this.#attest(solved, plans, pass, source);
    const exported = await this.#export(this.#withInlineCache(images, plans, pass));
    await this.#exportCache(plans, pass);
    return { ...this.#outcome(exported, answer), provenance };
  }

  async #read(): Promise<DockerfileSource> {
    const common = { request: this.#request, client: this.#client, contexts: this.#contexts, vertices: this.#vertices };
    const source = await readDockerfile({ ...common, signal: this.#signal });
    this.#source = source;
    return source;
  }

  #check(dockerfile: Dockerfile, source: DockerfileSource, platforms: readonly Platform[]): { readonly areErrors: boolean } {
    const [platform = this.#parts.host] = platforms;
    const checked = checkDockerfile(dockerfile, source, this.#settings(platform), this.#parts.store);
    const frontEnd = otherFrontEnd(dockerfile, source, this.#request.buildArguments.get('BUILDKIT_SYNTAX'));
    for (const warning of [...(frontEnd === null ? [] : [frontEnd]), ...checked.warnings]) this.#vertices.warn(warning);
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
    const steps = plans.flatMap((plan) => plan.steps);
    const places = new Map(
      steps.flatMap(({ operation, place }) =>
        operation?.kind === 'image' ? [[imageVertex(operation.reference, operation.platform), place] as const] : [],
      ),
    );
    const placeOfImage = ({ reference, platform }: FoundImage) => places.get(imageVertex(reference, platform)) ?? null;
    const found = checkBaseImages(dockerfile, source, await this.#images.found(), placeOfImage);
    for (const warning of found) this.#vertices.warn(warning);
  }

  #begin(source: DockerfileSource, apart: boolean, again: string): SolvePass {
    const { outputs, dockerfilePath } = this.#request;
    const log = new StepLog(
      this.#vertices,
      (name) => this.#contexts.vertexOf(name),
      () => this.#signal.aborted,
      again,
    );
    this.#pass = new SolvePass({
      shared: this.#shared,
      request: this.#request,
      client: this.#client,
      contexts: this.#contexts,
      lease: this.#lease,
      project: `${outputs[0]?.names[0] ?? ''} ${dockerfilePath ?? source.name}`,
      log,
      apart,
      caches: this.#caches,
      signal: this.#signal,
    });
    return this.#pass;
  }

  #announce(plans: readonly BuildPlan[]): void {
    const unused = [...new Set(plans.flatMap(({ unusedArguments }) => unusedArguments))];
    if (unused.length > 0) {
      const short = `One or more build-args [${unused.join(' ')}] were not consumed`;
      const detail = 'Declare each with ARG where it is used, or leave it out.';
      this.#vertices.warn({ rule: '', short, detail, url: '', place: null, vertex: '' });
    }
    const log = new StepLog(
      this.#vertices,
      (name) => this.#contexts.vertexOf(name),
      () => false,
    );
    const instructions = plans.flatMap(({ steps }) =>
      steps.map(({ text, place, operation }) => ({ text, place, vertex: operation === null ? null : log.vertexOf(operation) })),
    );
    this.#vertices.report({ kind: 'plan', instructions });
  }

  async #solve(plans: readonly BuildPlan[], pass: SolvePass): Promise<readonly BuiltImage[]> {
    const trees = await pass.solve(plans);
    return await Promise.all(
      plans.flatMap(({ result: stage }, index) => {
        const tree = trees[index];
        return tree === undefined ? [] : this.#image(stage, tree);
      }),
    );
  }

  async #image(stage: BuildPlan['result'], solved: Tree): Promise<BuiltImage> {
    const { tree, squashed } = await this.#squash(solved, stage.base, stage.epoch);
    if (tree.layers.length > limits.layers)
      throw invalid(`max depth exceeded: the image would have ${tree.layers.length} layers, ${limits.layers} can be stacked`);
    const config = builtConfig({ stage, tree, labels: this.#request.labels, squashed });
    const layers = this.#descriptors(tree, stage.base);
    return { platform: stage.platform, config, tree, layers, epoch: stage.epoch, attestations: [] };
  }

  async #squash(tree: Tree, base: BaseImage | null, epoch: number): Promise<{ readonly tree: Tree; readonly squashed: boolean }> {
    const below = treeOf(base?.layers ?? []);
    const own = tree.layers.slice(below.layers.length);
    if (!this.#request.squash || own.length < 2) return { tree, squashed: false };
    const work = () => this.#parts.layers.squash(own, below, epoch, this.#lease, this.#signal);
    const { layer } = await this.#vertices.during('squashing layers', work);
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

  /** `--verify`: everything but the base images and contexts once more, and both compared. */
  async #again(
    dockerfile: Dockerfile,
    source: DockerfileSource,
    plans: readonly BuildPlan[],
    images: readonly BuiltImage[],
  ): Promise<Answer> {
    const first = this.#pass;
    const platforms = this.#request.platforms.length === 0 ? [this.#parts.host] : this.#request.platforms;
    const plansAgain = await this.#plan(dockerfile, platforms);
    const second = this.#begin(source, true, ' (again)');
    await this.#solve(plansAgain, second);
    if (first === null) return null;
    const differing = await differingStep(this.#parts.store, [first, second], [plans, plansAgain], this.#signal);
    if (differing !== null) return differingAnswer(differing);
    return sameAnswer(
      images.map(({ config }) => digestOf(encodeImageConfig(config))),
      first.log.counts.steps,
    );
  }

  async #attest(
    images: readonly BuiltImage[],
    plans: readonly BuildPlan[],
    { log }: SolvePass,
    file: DockerfileSource,
  ): Promise<{ readonly images: readonly BuiltImage[]; readonly provenance: unknown }> {
    const { provenance, sbom } = this.#request;
    if (provenance === null && !sbom) return { images, provenance: null };
    const source = await this.#contexts.source();
    const { downloads } = this.#contexts;
    const facts = { request: this.#request, file, source, downloads, images: await this.#images.found(), host: this.#parts.host, log };
    const parts = { ...this.#parts, layers: this.#parts.store.layers };
    return await this.#vertices.during('attesting', async () => {
      const attested = images.map(async (image, index) => {
        const plan = plans[index];
        return plan === undefined ? image : { ...image, attestations: await attestationsOf(image, plan, facts, parts, this.#signal) };
      });
      const [plan] = plans;
      return { images: await Promise.all(attested), provenance: plan === undefined ? null : provenanceOf(plan, facts, parts) };
    });
  }

  /** `--cache-to type=inline`: the config says which steps its layers are. */
  #withInlineCache(images: readonly BuiltImage[], plans: readonly BuildPlan[], pass: SolvePass): readonly BuiltImage[] {
    const inline =
      this.#request.cacheTo.some(({ type }) => type === 'inline') || this.#request.buildArguments.get('BUILDKIT_INLINE_CACHE') === '1';
    if (!inline) return images;
    return images.map((image, index) => {
      const plan = plans[index];
      const records = plan === undefined ? [] : pass.recordsOf(ownSteps(plan.result.root));
      const document = inlineDocument(
        records,
        image.tree.layers.map(({ diffId }) => diffId),
      );
      return { ...image, config: { ...image.config, [inlineField]: document } };
    });
  }

  async #exportCache(plans: readonly BuildPlan[], pass: SolvePass): Promise<void> {
    const roots = plans.map(({ result }) => result.root);
    const operations = inOrder(roots);
    await this.#caches.export(pass.recordsOf(roots.flatMap(ownSteps)), pass.recordsOf(operations), namedMounts(operations));
  }

  async #export(images: readonly BuiltImage[]): Promise<Awaited<ReturnType<Outputs['export']>>> {
    const { outputs } = this.#request;
    if (outputs.length === 0) return nothingExported;
    const exported = await this.#vertices.during(exportName(outputs[0]?.type ?? 'image'), (vertex) => {
      const report = ({ id, current, total, done }: ExportStep) => vertex.status(id, current, total, done);
      const request = { outputs, images, client: this.#client, lease: this.#lease, report };
      return this.#parts.outputs.export(request, this.#signal);
    });
    failpoint('build.image-recorded');
    return exported;
  }

  #outcome(exported: Awaited<ReturnType<Outputs['export']>>, answer: Answer): BuildOutcome {
    return { ...exported, warnings: this.#vertices.warnings, answer, provenance: null };
  }

  /** In the words of whoever failed, with the step and the lines that are to blame. */
  async #failure(thrown: unknown): Promise<unknown> {
    if (this.#signal.aborted) return new BuildError(plainFailure(cancelledText), 'invalid', thrown);
    if (thrown instanceof BuildError) return thrown;
    const failed = this.#pass?.log.failure ?? null;
    const place = placeOf(thrown);
    if (failed === null || failed.error !== thrown || this.#pass === null)
      return new BuildError(failureOf(thrown, this.#source, place && { title: null, place, lastLines: [] }), codeOf(thrown), thrown);
    const { log } = this.#pass;
    const failure = failureOf(thrown, this.#source, log.blamed(failed.operation));
    const stateImage = this.#request.keepFailed ? await this.#keepState(failed.operation, log) : null;
    return new BuildError({ ...failure, stateImage }, codeOf(thrown), thrown);
  }

  /** Null: it can't be kept, which changes nothing about the failure. */
  async #keepState(operation: Parameters<typeof failedState>[0], log: StepLog): Promise<BuildOutcome['imageId']> {
    const below = log.resultOf(operation.parent);
    if (below?.kind !== 'tree') return null;
    try {
      const image = failedState(operation, below, this.#parts.host, await this.#images.found(), this.#parts.store.blobs);
      const output = {
        type: 'image',
        names: [],
        push: false,
        compression: { kind: null, level: null, force: false },
        annotations: new Map(),
        clientOutput: 0,
        unpacked: false,
        platformSplit: null,
      } as const;
      const request = { outputs: [output], images: [image], client: this.#client, lease: this.#lease, report: () => {} };
      return (await this.#parts.outputs.export(request, this.#signal)).imageId;
    } catch {
      return null;
    }
  }
}

/** The steps whose layers the image has. */
/** Told before the first of them is built. */
function requireStackable({ result: { root, base } }: BuildPlan): void {
  const layers = (base?.layers.length ?? 0) + ownSteps(root).length;
  if (layers > limits.layers) throw invalid(`max depth exceeded: the image would have ${layers} layers, ${limits.layers} can be stacked`);
}

function ownSteps(root: Operation): readonly Operation[] {
  const steps: Operation[] = [];
  for (let operation = root; isLayerOperation(operation); operation = operation.parent) steps.push(operation);
  return steps.reverse();
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
