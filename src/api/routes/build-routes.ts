/** Builds by Docker's classic protocol, and the build cache (docs/build.md). BuildKit's protocol and ours have routes of their own. */
import { invalid } from '../../base/errors.ts';
import type { Builder } from '../../build/builder.ts';
import { builderVersion, classicBuild } from '../build-classic/build-parameters.ts';
import { pruneCache } from '../build-classic/cache-prune.ts';
import { ClassicAnswer } from '../build-classic/classic-answer.ts';
import { classicClient } from '../build-classic/classic-client.ts';
import { registryConfig } from '../build-classic/registry-config.ts';
import { shortId } from '../build-classic/step-log.ts';
import type { Exchange } from '../exchange.ts';
import { hasBody } from '../request-body.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

export type BuildServices = ApiServices & { readonly builder: Builder };

/** `buildVersion2`: BuildKit's protocol over the same route. */
export function buildRoutes(services: BuildServices, buildVersion2: Route['handle']): readonly Route[] {
  return [
    {
      method: 'POST',
      pattern: '/build',
      body: 'any',
      handle: (exchange) => (builderVersion(exchange) === '2' ? buildVersion2(exchange) : build(exchange, services)),
    },
    { method: 'POST', pattern: '/build/cancel', body: 'any', handle: async (exchange) => cancel(exchange, services) },
    { method: 'POST', pattern: '/build/prune', body: 'any', handle: (exchange) => prune(exchange, services) },
  ];
}

async function build(exchange: Exchange, services: BuildServices): Promise<void> {
  const { request, quiet } = classicBuild(exchange);
  if (request.context.kind === 'client' && !hasBody(exchange.request)) {
    throw invalid(
      `Cannot locate specified Dockerfile: ${request.dockerfilePath ?? 'Dockerfile'}: the request has no body, which is the build context as a tar`,
    );
  }
  const credentials = registryConfig(exchange);
  const answer = new ClassicAnswer(exchange, quiet, (reference) => shortIdOf(services, reference));
  const client = classicClient({
    request: exchange.request,
    dockerfilePath: request.dockerfilePath,
    credentials,
    report: (event) => answer.report(event),
  });
  try {
    answer.finish(await services.builder.build(request, client, exchange.signal));
  } catch (error) {
    answer.fail(error);
  }
}

/** Of a base image, by its name: the digest in a title may be one of its index. Empty: `scratch`, or a stage. */
function shortIdOf({ images }: ApiServices, reference: string): string {
  const name = reference.replace(/@sha256:[0-9a-f]{64}$/, '');
  try {
    return shortId(images.resolve(name).id);
  } catch {
    return '';
  }
}

/** Docker answers the same whether such a build runs or not: it has just ended, mostly. */
function cancel(exchange: Exchange, { builder }: BuildServices): void {
  const id = exchange.text('id') ?? '';
  if (id === '') throw invalid('build ID not provided');
  builder.cancel(id);
  exchange.sendEmpty(200);
}

async function prune(exchange: Exchange, { builder, events, system }: BuildServices): Promise<void> {
  const { deleted, reclaimedBytes } = await pruneCache(exchange, builder, system.dataRoot);
  events.publish({ type: 'builder', action: 'prune', id: '', attributes: { reclaimed: String(reclaimedBytes) } });
  exchange.sendJson(200, { CachesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimedBytes });
}
