/** One build for a client that has a session: from what it asks to what the builder says. */
import type { Builder } from '../../../build/builder.ts';
import type { Sessions } from '../session/session.ts';
import { SessionClient } from '../session/session-client.ts';
import { buildFailure } from './build-failure.ts';
import { planSolve, type SolvePlan } from './frontend-options.ts';
import type { BuiltResult, Job } from './jobs.ts';
import type { Attributes } from './solve-attributes.ts';
import type { StatusLog } from './status-log.ts';

export interface SolveServices {
  readonly builder: Builder;
  readonly sessions: Sessions;
  /** Output that waits for a client lies here. */
  readonly scratchDirectory: string;
}

export interface FrontendSolve {
  readonly frontend: string;
  readonly options: Attributes;
  /** Names of inputs → images that they are. */
  readonly inputs: ReadonlyMap<string, string>;
}

/** Throws a `GrpcError` that shows the place in the Dockerfile. */
export async function runSolve(job: Job, solve: FrontendSolve, services: SolveServices, signal: AbortSignal): Promise<BuiltResult> {
  const { settings, log } = job;
  try {
    job.solves += 1;
    const id = job.solves === 1 ? settings.ref : `${settings.ref}-${job.solves}`;
    const plan = planSolve({ ...settings, ...solve, ref: id });
    return { plan, ...(await runPlan({ plan, session: settings.session, log }, services, signal)) };
  } catch (error) {
    throw buildFailure(error, log, signal);
  }
}

export interface PlannedSolve {
  readonly plan: SolvePlan;
  readonly session: string;
  readonly log: StatusLog;
}

export async function runPlan(
  { plan, session, log }: PlannedSolve,
  services: SolveServices,
  signal: AbortSignal,
): Promise<Pick<BuiltResult, 'outcome' | 'cacheManifest'>> {
  let cacheManifest: unknown = null;
  const { dockerfile, contexts, outputs, request } = plan;
  const client = new SessionClient({
    sessions: services.sessions,
    session,
    dockerfile,
    contexts,
    outputs,
    scratchDirectory: services.scratchDirectory,
    report: (event) => log.add(event),
    gotCacheManifest: (descriptor) => {
      cacheManifest = descriptor;
    },
    gotDockerfile: ({ name, text }) => log.gotFile({ name, text }),
  });
  const outcome = await services.builder.build(request, client, signal);
  return { outcome, cacheManifest };
}
