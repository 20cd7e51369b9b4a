/**
 * `moby.buildkit.v1.frontend.LLBBridge`: clients that steer their build themselves (buildx). Each call names its job in the metadata `buildkit-controlapi-buildid`; the client may be faster than
 * its own `Control.Solve`, which begins the job.
 */
import { randomBytes } from 'node:crypto';
import { invalid, notImplemented } from '../../../base/errors.ts';
import { type GrpcMethods, type ServerCall, unary } from '../grpc/server.ts';
import { GrpcError } from '../grpc/status.ts';
import { Empty } from '../messages/control.ts';
import {
  type BridgeSolve,
  BridgeSolveRequest,
  BridgeSolveResponse,
  EvaluateRequest,
  PongResponse,
  type ResultValue,
  ReturnRequest,
} from '../messages/gateway.ts';
import { answerMetadata } from './call-answer.ts';
import type { Job, Jobs } from './jobs.ts';
import { definitionOf, hasDefinition, resultOf } from './result-definition.ts';
import { runPlan, runSolve, type SolveServices } from './run-solve.ts';
import { buildCapabilities, frontendCapabilities, type WorkerFacts, workerRecord } from './worker.ts';

export interface BridgeServices extends SolveServices {
  readonly jobs: Jobs;
  readonly worker: () => WorkerFacts;
}

export function bridgeMethods(services: BridgeServices): GrpcMethods {
  const { jobs, worker } = services;
  const jobOf = async ({ metadata, signal }: ServerCall): Promise<Job> => {
    const [ref] = metadata.get('buildkit-controlapi-buildid') ?? [];
    if (ref === undefined) throw invalid('the call names no build: buildkit-controlapi-buildid is missing in its metadata');
    return await jobs.find(ref, signal);
  };
  const methods = {
    Ping: unary(Empty, PongResponse, async (_request, call) => {
      await jobOf(call);
      return {
        frontendCapabilities: frontendCapabilities.map((id) => ({ id, enabled: true })),
        buildCapabilities: buildCapabilities.map((id) => ({ id, enabled: true })),
        workers: [workerRecord(worker())],
      };
    }),
    Solve: unary(BridgeSolveRequest, BridgeSolveResponse, async (request, call) => {
      const job = await jobOf(call);
      if (job.ended) throw invalid(`job ${job.settings.ref} has ended`);
      const result = await solve(job, request, call.signal, services);
      if (request.final) job.returned.resolve(result.reference?.id ?? '');
      return { oldReference: result.reference?.id ?? '', result };
    }),
    Return: unary(ReturnRequest, Empty, async ({ result, error }, call) => {
      const job = await jobOf(call);
      job.returned.resolve(error === null ? returnedId(result) : new GrpcError(error.code, error.message, error.details));
      return {};
    }),
    Evaluate: unary(EvaluateRequest, Empty, async ({ reference }, call) => {
      // It was built when it was solved.
      requireResult(await jobOf(call), reference);
      return {};
    }),
  };
  return new Map(Object.entries(methods).map(([name, method]) => [`/moby.buildkit.v1.frontend.LLBBridge/${name}`, method]));
}

function requireResult(job: Job, id: string): void {
  if (!job.results.has(id)) throw invalid(`no such ref: ${id}`);
}

function returnedId(result: Partial<ResultValue> | null): string {
  const { reference, references } = result ?? {};
  if (reference) return reference.id;
  return [...(references?.references ?? new Map())][0]?.[1]?.id ?? '';
}

async function solve(job: Job, request: BridgeSolve, callSignal: AbortSignal, services: BridgeServices): Promise<Partial<ResultValue>> {
  if (hasDefinition(request.definition))
    throw notImplemented('builds from LLB are not supported: only Dockerfiles are (frontend dockerfile.v0)');
  if (request.frontend === '') return { reference: { id: '', definition: null } };
  const signal = AbortSignal.any([callSignal, job.signal]);
  const inputs = await imagesOf(request, services, signal);
  const built = await runSolve(job, { frontend: request.frontend, options: optionsOf(request), inputs }, services, signal);
  const { answer } = built.outcome;
  if (built.plan.request.call !== 'build') return { metadata: answerMetadata(built, job.log.file, answer) };
  const id = randomBytes(13).toString('hex').slice(0, 25);
  job.results.set(id, built);
  return { reference: { id, definition: definitionOf({ ref: job.settings.ref, id }) } };
}

/** What `CacheImports` names comes beside what the options name. */
function optionsOf({ frontendOptions, cacheImports, oldCacheImports }: BridgeSolve): ReadonlyMap<string, string> {
  const entries = [
    ...cacheImports.map(({ type, attributes }) => ({ Type: type, Attrs: Object.fromEntries(attributes) })),
    ...oldCacheImports.map((reference) => ({ Type: 'registry', Attrs: { ref: reference } })),
  ];
  return entries.length === 0 ? frontendOptions : new Map([...frontendOptions, ['cache-imports', JSON.stringify(entries)]]);
}

/** Results of other builds as images: they are built again, which costs nothing, as images this time. */
async function imagesOf(
  { frontendInputs }: BridgeSolve,
  services: BridgeServices,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const images = new Map<string, string>();
  for (const [name, definition] of frontendInputs) {
    const named = resultOf(definition);
    if (named === null)
      throw notImplemented(`the input ${JSON.stringify(name)} is no result of this daemon: builds from LLB are not supported`);
    const job = await services.jobs.find(named.ref, signal);
    requireResult(job, named.id);
    images.set(name, await imageOf(job, named.id, services, signal));
  }
  return images;
}

async function imageOf(job: Job, id: string, services: BridgeServices, signal: AbortSignal): Promise<string> {
  const built = job.results.get(id);
  if (built === undefined) throw invalid(`no such ref: ${id}`);
  const { plan, outcome } = built;
  if (outcome.imageId !== null) return outcome.imageId;
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
  const asImage = { ...plan, request: { ...plan.request, id: `${plan.request.id}-input`, outputs: [output], cacheTo: [] } };
  const { outcome: again } = await runPlan({ plan: asImage, session: job.settings.session, log: job.log }, services, signal);
  if (again.imageId === null) throw invalid(`the result ${id} of build ${job.settings.ref} is no image`);
  job.results.set(id, { ...built, outcome: { ...outcome, imageId: again.imageId } });
  return again.imageId;
}
