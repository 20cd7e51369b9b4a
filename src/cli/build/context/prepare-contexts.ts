/** From what the command line names to what the session holds ready: the context, the Dockerfile and the named contexts. */
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { IgnorePatterns } from '../../../archive/ignore-patterns.ts';
import type { ContextPlace, DockerfileText, LocalContext } from '../../../client/build-types.ts';
import { CliError } from '../../cli-error.ts';
import type { CliIo } from '../../cli-io.ts';
import type { BuildOptions } from '../options/build-options.ts';
import { type ContextArgument, isHttpAddress, type NamedContext } from '../options/context-option.ts';
import { dockerfileOfAddress, dockerfileOfStdin, ignoreOf, readDockerfile, withIgnoreOf } from './dockerfile-source.ts';
import { type LocalFilesOptions, localFiles } from './local-files.ts';

export interface PreparedContexts {
  readonly context: ContextPlace;
  readonly namedContexts: Readonly<Record<string, ContextPlace>>;
  /** Null: the text is handed over, or it has its default name. */
  readonly dockerfilePath: string | null;
  readonly dockerfile: DockerfileText | null;
  /** By the names in `context` and `namedContexts`. */
  readonly local: ReadonlyMap<string, LocalContext>;
  /** The directory that is the context, null when it is none. */
  readonly folder: (Pick<LocalFilesOptions, 'directory' | 'ignore'> & { readonly files: readonly string[] }) | null;
}

const MAIN = 'context';

export async function prepareContexts(
  options: Pick<BuildOptions, 'context' | 'dockerfile' | 'namedContexts'>,
  io: CliIo,
): Promise<PreparedContexts> {
  const main = await prepareMain(options.context, options.dockerfile, io);
  const local = new Map(main.local);
  const namedContexts: Record<string, ContextPlace> = Object.create(null);
  for (const [name, context] of options.namedContexts) namedContexts[name] = placeOf(name, context, local, io.cwd);
  return { ...main, namedContexts, local };
}

type Main = Omit<PreparedContexts, 'namedContexts'>;

function prepareMain(context: ContextArgument, file: string | null, io: CliIo): Promise<Main> | Main {
  switch (context.kind) {
    case 'stdin':
      return fromStdin(file, io);
    case 'directory':
      return fromDirectory(resolve(io.cwd, context.path), file, io);
    case 'git':
    case 'http':
      return fromElsewhere(context, file, io);
  }
}

async function fromStdin(file: string | null, io: CliIo): Promise<Main> {
  const { readStdinContext } = await import('./stdin-context.ts');
  const found = await readStdinContext(io.stdin);
  if (found.kind === 'tar')
    return {
      context: { kind: 'client', name: MAIN },
      ...(await dockerfileElsewhere(file, io)),
      local: new Map([[MAIN, { kind: 'tar', stream: found.stream }]]),
      folder: null,
    };
  if (file !== null) throw new CliError('ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles');
  const dockerfile = { name: 'Dockerfile', text: found.text, ignoreFile: null };
  return { context: { kind: 'empty' }, dockerfilePath: null, dockerfile, local: new Map(), folder: null };
}

async function fromElsewhere(context: Extract<ContextArgument, { readonly url: string }>, file: string | null, io: CliIo): Promise<Main> {
  return { context, ...(await dockerfileElsewhere(file, io)), local: new Map(), folder: null };
}

/** Of a context that is not a folder here: a path is one in it. */
async function dockerfileElsewhere(file: string | null, io: CliIo): Promise<Pick<Main, 'dockerfilePath' | 'dockerfile'>> {
  const text = await textOf(file, io);
  if (text === null) return { dockerfilePath: file, dockerfile: null };
  return { dockerfilePath: null, dockerfile: { name: 'Dockerfile', text, ignoreFile: null } };
}

async function fromDirectory(directory: string, file: string | null, io: CliIo): Promise<Main> {
  const root = realpathSync(directory);
  const text = await textOf(file, io);
  const { given, ignore, files } = text === null ? readDockerfile(root, file, io.cwd) : withIgnoreOf(root, { name: 'Dockerfile', text });
  return {
    context: { kind: 'client', name: MAIN },
    dockerfilePath: null,
    dockerfile: given,
    local: new Map([[MAIN, folder(root, ignore)]]),
    folder: { directory: root, ignore, files },
  };
}

/** Null: `file` is a path. */
async function textOf(file: string | null, io: CliIo): Promise<Uint8Array | null> {
  if (file === '-') return await dockerfileOfStdin(io.stdin);
  return file !== null && isHttpAddress(file) ? await dockerfileOfAddress(file) : null;
}

function placeOf(name: string, context: NamedContext, local: Map<string, LocalContext>, cwd: string): ContextPlace {
  const key = `context:${name}`;
  switch (context.kind) {
    case 'directory': {
      const root = realpathSync(resolve(cwd, context.path));
      local.set(key, folder(root, ignoreOf(root)));
      return { kind: 'client', name: key };
    }
    case 'oci-layout':
      local.set(key, folder(realpathSync(resolve(cwd, context.path)), IgnorePatterns.parse('')));
      return { kind: 'oci-layout', name: key, reference: context.reference };
    default:
      return context;
  }
}

/** The same folder of the same machine is the same context: only what changed is sent again. */
export function folder(root: string, ignore: IgnorePatterns): LocalContext {
  return { kind: 'files', files: localFiles({ directory: root, ignore, sharedKey: `${hostname()}:${root}` }) };
}
