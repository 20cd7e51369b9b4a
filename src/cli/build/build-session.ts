/** One build by the daemon's own protocol: what the command line says becomes a request and what is held ready for it, and what comes back is shown. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { IgnorePatterns } from '../../archive/ignore-patterns.ts';
import type { ApiClient } from '../../client/api-client.ts';
import type {
  BuildProgress,
  BuildRequestBody,
  BuildResult,
  BuildSide,
  CachePlace,
  ContextPlace,
  LocalContext,
} from '../../client/build-types.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { folder, type PreparedContexts } from './context/prepare-contexts.ts';
import type { BuildOptions } from './options/build-options.ts';
import type { CacheOption } from './options/cache-option.ts';
import type { Destination } from './options/output-option.ts';
import { readSecret } from './options/secret-option.ts';
import { randomName } from './random-name.ts';
import type { SshAgents } from './ssh-agents.ts';

export type StartBuild = (api: ApiClient, request: BuildRequestBody, side: BuildSide, signal: AbortSignal) => Promise<BuildResult>;

export interface SessionParts {
  readonly options: BuildOptions;
  readonly prepared: PreparedContexts;
  readonly start: StartBuild;
  onEvent(event: BuildProgress): void;
}

export interface FinishedBuild {
  readonly id: string;
  readonly result: BuildResult;
}

/** Rejects with a `BuildFailedError` when a step fails, with an `ApiError` of 404 when the daemon knows no such protocol. */
export async function runSession(context: CommandContext, parts: SessionParts, signal: AbortSignal): Promise<FinishedBuild> {
  const { options, prepared } = parts;
  const { io } = context;
  using agents = await sshAgents(options, context);
  const caches = cachePlaces(options, context);
  const request = await requestOf(options, prepared, caches, io.cwd);
  const destinations = new Map<number | string, Destination>([
    ...options.outputs.flatMap(({ destination }, at) => (destination === null ? [] : [[at, resolved(destination, io.cwd)] as const])),
    ...caches.targets,
  ]);
  const result = await parts.start(
    context.client.api,
    request,
    {
      onEvent: parts.onEvent,
      dockerfile: prepared.dockerfile,
      contexts: new Map([...prepared.local, ...caches.contexts]),
      secret: async (id) => {
        const source = options.secrets.get(id);
        return source === undefined ? null : readSecret(source, io.env, io.cwd);
      },
      hasSshAgent: (id) => agents?.has(id) ?? false,
      connectSshAgent: async (id) => {
        if (agents === null) throw new CliError(`no SSH agent ${id}: give --ssh ${id}`);
        return await agents.connect(id);
      },
      credentials: async (registry) => {
        const { credentialsFor } = await import('../config/credentials.ts');
        const credentials = await credentialsFor(context, registry);
        return Object.keys(credentials).length === 0 ? null : credentials;
      },
      output: (id) => openOutput(destinations.get(id), id, context),
    },
    signal,
  );
  return { id: request.id, result };
}

// What few builds need is loaded only for those: each of these costs a millisecond or two.

async function sshAgents({ ssh }: BuildOptions, { io }: CommandContext): Promise<SshAgents | null> {
  return ssh.size === 0 ? null : new (await import('./ssh-agents.ts')).SshAgents(ssh, io);
}

async function openOutput(destination: Destination | undefined, id: number | string, context: CommandContext): Promise<Writable> {
  if (destination === undefined) throw new CliError(`the daemon sends an output ${id} that was not asked for`);
  const { openSink } = await import('./output/output-sink.ts');
  return await openSink(destination, { stdout: () => context.io.stdout, warn: (text) => context.printError(`WARNING: ${text}\n`) });
}

function resolved(destination: Destination, cwd: string): Destination {
  return destination.kind === 'stdout' ? destination : { ...destination, path: resolve(cwd, destination.path) };
}

interface Caches {
  readonly from: readonly CachePlace[];
  readonly to: readonly CachePlace[];
  readonly contexts: ReadonlyMap<string, LocalContext>;
  readonly targets: ReadonlyMap<string, Destination>;
}

/** Directories of local caches are contexts and outputs of their own. One that is not there yet is told, and is no reason not to build. */
function cachePlaces({ cacheFrom, cacheTo }: BuildOptions, context: CommandContext): Caches {
  const { cwd } = context.io;
  const contexts = new Map<string, LocalContext>();
  const targets = new Map<string, Destination>();
  const from = cacheFrom.flatMap((option, at) => {
    if (option.path === null) return [placeOf(option, null)];
    const path = resolve(cwd, option.path);
    if (!existsSync(path)) {
      context.printError(`WARNING: there is no cache in ${option.path} yet\n`);
      return [];
    }
    const name = `cache-from:${at}`;
    contexts.set(name, folder(path, IgnorePatterns.parse('')));
    return [placeOf(option, name)];
  });
  const to = cacheTo.map((option, at) => {
    if (option.path === null) return placeOf(option, null);
    const name = `cache-to:${at}`;
    targets.set(name, { kind: 'directory', path: resolve(cwd, option.path), mirror: false });
    return placeOf(option, name);
  });
  return { from, to, contexts, targets };
}

function placeOf({ place }: CacheOption, client: string | null): CachePlace {
  return { ...place, client };
}

async function requestOf(options: BuildOptions, prepared: PreparedContexts, caches: Caches, cwd: string): Promise<BuildRequestBody> {
  return {
    id: randomName(32),
    ...options.request,
    dockerfilePath: prepared.dockerfilePath,
    context: prepared.context,
    namedContexts: prepared.namedContexts,
    outputs: options.outputs.map(({ body }, clientOutput) => ({ ...body, clientOutput })),
    cacheFrom: caches.from,
    cacheTo: caches.to,
    epoch: await epochOf(options, prepared.context, cwd),
    explain: options.explain,
    keepFailed: options.shellOnError,
    verify: options.verify,
    call: options.call.kind,
  };
}

async function epochOf({ timestamp, context }: BuildOptions, place: ContextPlace, cwd: string): Promise<BuildRequestBody['epoch']> {
  switch (timestamp.kind) {
    case 'base':
      return null;
    case 'seconds':
      return timestamp.seconds;
    case 'git':
      // Files of a repository that the daemon fetches have the time of the commit.
      if (place.kind === 'git') return 'context';
      if (context.kind !== 'directory')
        throw new CliError('--timestamp=git needs a directory of a repository, or the address of one, as build context');
      return await (await import('./context/commit-time.ts')).commitTime(resolve(cwd, context.path));
    default:
      return timestamp.kind;
  }
}
