/** The builder over its parts: builds side by side that share what is equal, cancelling, usage and history. */
import { errorText, invalid } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { cancelledText } from '../build-error.ts';
import type { BuildRequest } from '../build-request.ts';
import type { Builder, BuildOutcome, BuildRecord } from '../builder.ts';
import type { OperationResult } from '../result.ts';
import { Solver } from '../solve/solver.ts';
import { Build, type BuilderParts } from './build.ts';
import { type BuildHistory, memoryHistory } from './build-history.ts';
import { BuildWorker } from './operation-work.ts';

export interface BuilderOptions extends BuilderParts {
  /** Steps at once, over all builds. */
  readonly limit: number;
  /** Default: until the process ends. */
  readonly history?: BuildHistory;
  readonly logger?: Logger;
}

export interface OpenBuilder extends Builder {
  /** A build runs, or is being taken back. */
  readonly isBusy: boolean;
  /** Builds that run are cancelled, and waited for. */
  close(): Promise<void>;
}

export function createBuilder(options: BuilderOptions): OpenBuilder {
  const { cache, contexts, history = memoryHistory(), logger = silentLogger } = options;
  const worker = new BuildWorker(options);
  const shared = { worker, solver: new Solver<OperationResult>(worker, options.limit) };
  const running = new Map<string, AbortController>();
  const ending = new Set<Promise<unknown>>();

  async function build(request: BuildRequest, client: Parameters<Builder['build']>[1], signal: AbortSignal): Promise<BuildOutcome> {
    if (running.has(request.id)) throw invalid(`a build with the id ${JSON.stringify(request.id)} is running already`);
    const cancel = new AbortController();
    running.set(request.id, cancel);
    const one = new Build(options, shared, request, client, AbortSignal.any([signal, cancel.signal]));
    // Questions about a file are no builds.
    const entry = request.call === 'build' ? history.begin(recordOf(request)) : null;
    const end = (status: BuildRecord['status'], error: string | null, imageId: BuildRecord['imageId']) => {
      const { steps, cached, warnings } = one.counts;
      entry?.end({ completedAt: new Date(), status, steps, cachedSteps: cached, warnings, error, imageId });
    };
    let isDone = false;
    try {
      const outcome = await one.run();
      isDone = true;
      end('completed', null, outcome.imageId);
      return outcome;
    } catch (error) {
      const text = errorText(error);
      end(text === cancelledText ? 'canceled' : 'error', text, null);
      logger.debug({ build: request.id, error: text }, 'a build failed');
      throw error;
    } finally {
      running.delete(request.id);
      // What was built a second time, or came to nothing.
      if (request.verify || !isDone) await options.store.sweeper.sweep();
    }
  }

  return {
    build(request, client, signal) {
      const building = build(request, client, signal);
      ending.add(building);
      const forget = () => void ending.delete(building);
      building.then(forget, forget);
      return building;
    },
    get isBusy() {
      return ending.size > 0;
    },
    async close() {
      for (const cancel of running.values()) cancel.abort(new Error(cancelledText));
      await Promise.allSettled(ending);
    },
    cancel(id) {
      const found = running.get(id);
      found?.abort(new Error(cancelledText));
      return found !== undefined;
    },
    async cacheUsage() {
      return (await Promise.all([cache.usage(), contexts.usage()])).flat();
    },
    async pruneCache(prune) {
      const [layers, files] = [await cache.prune(prune), await contexts.prune(prune)];
      return { deleted: [...layers.deleted, ...files.deleted], reclaimedBytes: layers.reclaimedBytes + files.reclaimedBytes };
    },
    history: () => history.records(),
  };
}

function recordOf({ id, outputs, context }: BuildRequest): BuildRecord {
  const place = context.kind === 'git' || context.kind === 'http' ? context.url : context.kind === 'client' ? context.name : context.kind;
  return {
    id,
    name: outputs.flatMap(({ names }) => names)[0] ?? place,
    startedAt: new Date(),
    completedAt: null,
    status: 'running',
    steps: 0,
    cachedSteps: 0,
    warnings: 0,
    error: null,
    imageId: null,
  };
}
