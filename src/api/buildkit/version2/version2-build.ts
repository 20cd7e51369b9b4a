/**
 * `POST /build?version=2`: what docker's command line sent with DOCKER_BUILDKIT=1 before buildx did all builds. Files come over the session that the query names, progress goes back as BuildKit's
 * messages in `aux`:
 *
 *     {"id":"moby.buildkit.trace","aux":"<base64 of a StatusResponse>"}
 *     {"id":"moby.image.id","aux":{"ID":"sha256:…"}}
 */
import { randomBytes } from 'node:crypto';
import { invalid } from '../../../base/errors.ts';
import { runSettings } from '../../build-classic/build-parameters.ts';
import { jsonList, jsonMap, jsonTextList, refuseParameter } from '../../build-classic/json-parameters.ts';
import type { Exchange } from '../../exchange.ts';
import { streamGone } from '../grpc/call.ts';
import { StatusResponse } from '../messages/control.ts';
import { mainContext } from '../session/session-client.ts';
import { buildFailure } from '../solve/build-failure.ts';
import type { Entry } from '../solve/exporters.ts';
import { planSolve, type SolvePlan } from '../solve/frontend-options.ts';
import { runPlan, type SolveServices } from '../solve/run-solve.ts';
import { StatusLog } from '../solve/status-log.ts';
import type { Uploads } from './uploads.ts';

export interface Version2Services extends SolveServices {
  readonly uploads: Uploads;
}

const uploadPrefix = 'upload-request:';

export async function buildVersion2(exchange: Exchange, services: Version2Services): Promise<void> {
  const id = exchange.text('buildid') || randomBytes(16).toString('hex');
  if (id.startsWith(uploadPrefix)) {
    await services.uploads.offer(id.slice(uploadPrefix.length), exchange.request, exchange.signal);
    exchange.sendEmpty(200);
    return;
  }
  const session = exchange.text('session') ?? '';
  if (session === '') throw invalid('the build has no session: version=2 needs one, over which the client serves its files');
  const plan = planOf(exchange, id, services.uploads);
  exchange.request.resume();
  await run(exchange, { plan, session }, services);
}

async function run(
  exchange: Exchange,
  { plan, session }: { readonly plan: SolvePlan; readonly session: string },
  services: Version2Services,
): Promise<void> {
  const log = new StatusLog();
  const gone = new AbortController();
  const { closed } = (await services.sessions.find(session, exchange.signal)).client;
  closed.addEventListener('abort', () => gone.abort(streamGone()), { once: true });
  const signal = AbortSignal.any([exchange.signal, gone.signal]);
  exchange.startStream(200, 'application/json');
  const told = tell(exchange, log);
  try {
    const { outcome } = await runPlan({ plan, session, log }, services, signal);
    log.end();
    await told;
    if (outcome.imageId !== null) exchange.writeLine({ id: 'moby.image.id', aux: { ID: outcome.imageId } });
  } catch (error) {
    log.end();
    await told;
    const { message } = buildFailure(error, log, signal);
    exchange.writeLine({ errorDetail: { message }, error: message });
  }
  exchange.response.end();
}

/** Never rejects: a client that left is seen by its signal. */
async function tell(exchange: Exchange, log: StatusLog): Promise<void> {
  const { response, signal } = exchange;
  try {
    for await (const message of log.messages(signal)) {
      const line = { id: 'moby.buildkit.trace', aux: StatusResponse.encode(message).toString('base64') };
      if (exchange.writeLine(line)) continue;
      await new Promise<void>((resolve) => {
        response.once('drain', resolve);
        response.once('close', resolve);
      });
    }
  } catch {
    // The client left.
  }
}

function planOf(exchange: Exchange, id: string, uploads: Uploads): SolvePlan {
  const buildArguments = jsonMap(exchange, 'buildargs', 'error reading build args');
  const plan = planSolve({
    ref: id,
    frontend: 'dockerfile.v0',
    options: optionsOf(exchange, buildArguments),
    exporters: exportersOf(exchange),
    cacheImports: jsonTextList(exchange, 'cachefrom').map((ref) => ({ type: 'registry', attributes: new Map([['ref', ref]]) })),
    cacheExports: /^(1|t|true)$/i.test(buildArguments.get('BUILDKIT_INLINE_CACHE') ?? '')
      ? [{ type: 'inline', attributes: new Map() }]
      : [],
    entitlements: [],
    inputs: new Map(),
  });
  const run = runSettings(exchange);
  if (run.networkName !== null) throw invalid(`network mode ${JSON.stringify(run.networkName)} not supported by buildkit`);
  const { contexts } = plan;
  const uploaded = exchange.text('remote') === 'upload-request';
  return {
    ...plan,
    contexts: uploaded ? new Map([...contexts, [mainContext, { kind: 'stream', open: (signal) => uploads.take(id, signal) }]]) : contexts,
    dockerfile: uploaded ? null : plan.dockerfile,
    request: {
      ...plan.request,
      run,
      squash: exchange.flag('squash'),
      // Whoever may ask the daemon for a build may ask it for a container with the host's network.
      entitlements: new Set(run.network === 'host' ? ['network.host'] : []),
    },
  };
}

function optionsOf(exchange: Exchange, buildArguments: ReadonlyMap<string, string | null>): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const [name, value] of buildArguments) if (value !== null) options.set(`build-arg:${name}`, value);
  for (const [name, value] of jsonMap(exchange, 'labels', 'error reading labels')) options.set(`label:${name}`, value ?? '');
  const given = { filename: exchange.text('dockerfile'), target: exchange.text('target'), platform: exchange.text('platform') };
  for (const [key, value] of Object.entries(given)) if (value) options.set(key, value);
  if (exchange.flag('nocache')) options.set('no-cache', '');
  if (exchange.flag('pull')) options.set('image-resolve-mode', 'pull');
  const remote = exchange.text('remote') ?? '';
  if (remote !== '' && remote !== 'client-session' && remote !== 'upload-request') options.set('context', remote);
  return options;
}

function exportersOf(exchange: Exchange): readonly Entry[] {
  const outputs = jsonList(exchange, 'outputs').map(entryOf);
  if (outputs.length > 1) throw invalid('multiple outputs not supported');
  const tags = exchange.query.getAll('t').filter((tag) => tag !== '');
  const [{ type, attributes } = { type: 'moby', attributes: new Map<string, string>() }] = outputs;
  if (type === 'cacheonly') return [];
  return [
    { type, attributes: tags.length === 0 || attributes.has('name') ? attributes : new Map([...attributes, ['name', tags.join(',')]]) },
  ];
}

function entryOf(value: unknown): Entry {
  const { Type: type, Attrs: attributes } = Object(value) as { readonly Type?: unknown; readonly Attrs?: unknown };
  if (typeof type !== 'string') throw refuseParameter('outputs', 'each is {"Type":"local","Attrs":{}}');
  return { type, attributes: new Map(Object.entries(Object(attributes ?? {})).map(([key, each]) => [key, String(each)])) };
}
