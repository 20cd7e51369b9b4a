/** A build by Docker's classic protocol, for a daemon that is not ours: `POST /build` with a tar, and its stream as it comes. */
import { ApiClient, ApiError } from '../../../client/api-client.ts';
import { jsonValues } from '../../../client/json-lines.ts';
import { encodeCredentials } from '../../../client/registry-auth.ts';
import type { ProgressMessage } from '../../../client/types.ts';
import { formatPlatform } from '../../../oci/platform.ts';
import { familiarReference, parseReference } from '../../../oci/reference.ts';
import { CliError } from '../../cli-error.ts';
import type { CommandContext } from '../../command.ts';
import { credentialStore } from '../../config/credentials.ts';
import { showProgress } from '../../progress/show-progress.ts';
import type { PreparedContexts } from '../context/prepare-contexts.ts';
import type { BuildOptions } from '../options/build-options.ts';
import { writeResultFiles } from '../output/result-files.ts';
import { type ClassicContext, classicContext } from './classic-context.ts';

/** Flags that this protocol has no words for. */
const UNKNOWN = [
  'allow', 'annotation', 'attest', 'build-context', 'cache-to', 'call', 'check', 'explain', 'metadata-file', 'no-cache-filter', 'output', 'provenance', 'push', 'resource', 'sbom', 'secret',
  'shell-on-error', 'ssh', 'timestamp', 'verify', 'watch',
]; // biome-ignore format: a list of words

interface ClassicRun {
  readonly options: BuildOptions;
  readonly prepared: PreparedContexts;
  readonly progress: string;
}

export async function classicBuild(
  context: CommandContext,
  { options, prepared, progress }: ClassicRun,
  signal: AbortSignal,
): Promise<number> {
  refuseUnknown(context);
  const sent = classicContext(prepared);
  const isQuiet = progress === 'quiet';
  const api = await speaking(context.client.api);
  const response = await api.request('POST', '/build', {
    query: queryOf(options, sent, context, isQuiet),
    headers: { 'Content-Type': 'application/x-tar', 'X-Registry-Config': await registryConfig(context) },
    ...(sent.tar === null ? {} : { body: sent.tar }),
    signal,
  });
  let id: string | null = null;
  const onAux = (aux: unknown): void => {
    const named = (aux as { readonly ID?: unknown } | null)?.ID;
    if (typeof named === 'string') id = named;
  };
  signal.addEventListener('abort', () => response.body.destroy(new Error('context canceled')), { once: true });
  const messages = jsonValues(response.body as AsyncIterable<Buffer>) as AsyncIterable<ProgressMessage>;
  await showProgress(isQuiet ? lastLine(messages, onAux) : messages, isQuiet ? null : context.io.stdout, { onAux });
  if (id === null) return 0;
  if (isQuiet) context.print(`${id}\n`);
  writeResultFiles(options, { ...nothingKnown, configDigest: id, imageId: id }, '', context.io.cwd);
  return 0;
}

/** Asked to be quiet, dockerd sends the ID as text. */
async function* lastLine(
  messages: AsyncIterable<ProgressMessage>,
  tell: (aux: { readonly ID: string }) => void,
): AsyncGenerator<ProgressMessage> {
  for await (const message of messages) {
    const text = (message.stream ?? '').trim();
    if (text !== '') tell({ ID: text });
    yield message;
  }
}

const nothingKnown = { digest: null, mediaType: null, sizeBytes: 0, names: [], warnings: [], answer: null, provenance: null } as const;

function refuseUnknown({ flags, address }: CommandContext): void {
  const given = UNKNOWN.filter((name) => flags.has(name)).map((name) => `--${name}`);
  if (given.length === 0) return;
  throw new CliError(
    `the daemon at ${address} is not Gantry's, and Docker's classic build knows no ${given.join(', ')}: leave ${given.length === 1 ? 'it' : 'them'} away, or use docker buildx there`,
  );
}

/** In a version that the daemon knows. */
async function speaking(api: ApiClient): Promise<ApiClient> {
  try {
    await api.call('GET', '/version');
    return api;
  } catch (error) {
    const newest = error instanceof ApiError ? /Maximum supported API version is ([\d.]+)/.exec(error.message)?.[1] : undefined;
    if (newest === undefined) throw error;
    return new ApiClient({ address: api.address, apiVersion: newest });
  }
}

async function registryConfig(context: CommandContext): Promise<string> {
  const known = await credentialStore(context).all();
  return encodeCredentials(Object.fromEntries(known) as Parameters<typeof encodeCredentials>[0]);
}

function queryOf(
  { request, outputs, cacheFrom }: BuildOptions,
  { dockerfile, remote }: ClassicContext,
  { flags }: CommandContext,
  isQuiet: boolean,
) {
  const { run, platforms, noCache, pull, squash, target, buildArguments, labels } = request;
  if (platforms.length > 1) throw new CliError("Docker's classic build is for one platform: give --platform once");
  if (run.gpus !== undefined)
    throw new CliError("Docker's classic build gives its steps no GPUs: leave out --gpus, or build with gantry's daemon");
  const [platform] = platforms;
  const names = outputs.flatMap(({ body }) => body.names).map((name) => familiarReference(parseReference(name)));
  const caches = cacheFrom.map(({ place }) => {
    if (place.type !== 'registry' || place.reference === null)
      throw new CliError(`Docker's classic build knows no cache of type ${place.type}`);
    return familiarReference(parseReference(place.reference));
  });
  const json = (value: object): string | null => (Object.keys(value).length === 0 ? null : JSON.stringify(value));
  return {
    version: '1',
    dockerfile,
    remote,
    t: [...new Set(names)],
    q: isQuiet,
    nocache: noCache === 'all',
    pull,
    rm: flags.bool('rm') ? '1' : '0',
    forcerm: flags.bool('force-rm'),
    squash,
    target,
    platform: platform === undefined ? null : formatPlatform(platform),
    buildargs: json(buildArguments),
    labels: json(labels),
    cachefrom: json(caches),
    networkmode: run.networkName ?? (run.network === 'default' ? null : run.network),
    extrahosts: run.extraHosts,
    shmsize: run.shmSizeBytes,
    ulimits: json(run.ulimits.map(({ name, soft, hard }) => ({ Name: name, Hard: hard, Soft: soft }))),
    cgroupparent: run.cgroupParent,
    memory: run.memoryBytes,
    memswap: run.memorySwapBytes,
    cpushares: run.cpuShares,
    cpuperiod: run.cpuPeriod,
    cpuquota: run.cpuQuota,
    cpusetcpus: run.cpus,
    cpusetmems: run.memoryNodes,
  };
}
