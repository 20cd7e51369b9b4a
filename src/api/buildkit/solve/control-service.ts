/** `moby.buildkit.v1.Control`: workers, builds and their progress, the cache. */
import { invalid, notImplemented } from '../../../base/errors.ts';
import { streamGone } from '../grpc/call.ts';
import { type GrpcMethods, type ServerCall, serverStream, unary } from '../grpc/server.ts';
import { GrpcError, grpcErrorOf } from '../grpc/status.ts';
import {
  type ControlSolve,
  ControlSolveRequest,
  ControlSolveResponse,
  DiskUsageRequest,
  DiskUsageResponse,
  Empty,
  InfoResponse,
  ListWorkersRequest,
  ListWorkersResponse,
  PruneRequest,
  StatusRequest,
  StatusResponse,
  UsageRecord,
} from '../messages/control.ts';
import { pruneCache, usageRecords } from './cache-records.ts';
import { exporterResponse } from './exporter-response.ts';
import type { Entry } from './exporters.ts';
import type { Job, Jobs } from './jobs.ts';
import { hasDefinition } from './result-definition.ts';
import { runSolve, type SolveServices } from './run-solve.ts';
import { type WorkerDevice, type WorkerFacts, workerRecord, workerVersion } from './worker.ts';

export interface ControlServices extends SolveServices {
  readonly jobs: Jobs;
  readonly worker: () => WorkerFacts;
  readonly devices: () => Promise<readonly WorkerDevice[]>;
  readonly dataRoot: string;
  readonly pruned: (reclaimedBytes: number) => void;
}

export function controlMethods(services: ControlServices): GrpcMethods {
  const { builder, dataRoot, devices, jobs, pruned, worker } = services;
  const methods = {
    ListWorkers: unary(ListWorkersRequest, ListWorkersResponse, async () => ({ records: [workerRecord(worker(), await devices())] })),
    Info: unary(Empty, InfoResponse, async () => ({ version: workerVersion(worker()) })),
    Solve: unary(ControlSolveRequest, ControlSolveResponse, (request, call) => solve(request, call, services)),
    Status: serverStream(StatusRequest, StatusResponse, async ({ ref }, { signal }, send) => {
      const job = await jobs.find(ref, signal);
      for await (const message of job.log.messages(signal)) await send(message);
    }),
    DiskUsage: unary(DiskUsageRequest, DiskUsageResponse, async ({ filter }) => ({
      records: usageRecords(await builder.cacheUsage(), filter),
    })),
    Prune: serverStream(PruneRequest, UsageRecord, async (request, _call, send) => {
      const { records, reclaimedBytes } = await pruneCache(request, builder, dataRoot);
      pruned(reclaimedBytes);
      for (const record of records) await send(record);
    }),
  };
  return new Map(Object.entries(methods).map(([name, method]) => [`/moby.buildkit.v1.Control/${name}`, method]));
}

async function solve(request: ControlSolve, call: ServerCall, services: ControlServices) {
  const { jobs, sessions } = services;
  if (request.ref === '') throw invalid('the request to solve has no Ref');
  if (request.sourcePolicy.length > 0)
    throw notImplemented('source policies are not supported: leave --policy and EXPERIMENTAL_BUILDKIT_SOURCE_POLICY out');
  const gone = new AbortController();
  const signal = AbortSignal.any([call.signal, gone.signal]);
  const job = jobs.begin(jobSettings(request), signal);
  try {
    if (hasDefinition(request.definition))
      throw notImplemented('builds from LLB are not supported: only Dockerfiles are (frontend dockerfile.v0)');
    if (request.session !== '') endWithSession((await sessions.find(request.session, signal)).client.closed, gone);
    const response = request.frontend === '' ? await answerOfGateway(job) : await answerOfFrontend(job, request, services);
    return { exporterResponse: response };
  } catch (error) {
    throw signal.aborted ? grpcErrorOf(signal.reason) : error;
  } finally {
    // What still runs for it is nobody's.
    gone.abort(streamGone());
    jobs.end(job);
  }
}

function endWithSession(closed: AbortSignal, gone: AbortController): void {
  const end = () => gone.abort(streamGone());
  if (closed.aborted) end();
  else closed.addEventListener('abort', end, { once: true });
}

function jobSettings(request: ControlSolve) {
  const { ref, session, cache, entitlements, exporter, exporterAttributes } = request;
  const old: readonly Entry[] = exporter === '' ? [] : [{ type: exporter, attributes: exporterAttributes }];
  const oldImports = (cache?.oldImports ?? []).map((reference) => ({ type: 'registry', attributes: new Map([['ref', reference]]) }));
  return {
    ref,
    session,
    exporters: request.exporters.length > 0 ? request.exporters : old,
    cacheImports: [...(cache?.imports ?? []), ...oldImports],
    cacheExports: cache?.exports ?? [],
    entitlements,
  };
}

async function answerOfFrontend(
  job: Job,
  { frontend, frontendAttributes }: ControlSolve,
  services: SolveServices,
): Promise<ReadonlyMap<string, string>> {
  const built = await runSolve(job, { frontend, options: frontendAttributes, inputs: new Map() }, services, job.signal);
  return exporterResponse(built);
}

/** The client steers the build itself, by calls of the gateway, and says at last what came of it. */
async function answerOfGateway(job: Job): Promise<ReadonlyMap<string, string>> {
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = () => reject(job.signal.reason);
    job.signal.addEventListener('abort', abort, { once: true });
    if (job.signal.aborted) abort();
  });
  const returned = await Promise.race([job.returned.promise, aborted]);
  if (returned instanceof GrpcError) throw returned;
  const built = job.results.get(returned);
  return built === undefined ? new Map() : exporterResponse(built);
}
