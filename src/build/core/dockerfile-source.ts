/** The Dockerfile of a build: what the client hands over, or a file of the context; read, decoded and parsed. */
import { posix } from 'node:path';
import { invalid, notFound } from '../../base/errors.ts';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { type Dockerfile, parseDockerfile } from '../../dockerfile/parse-dockerfile.ts';
import { readFileInLayers } from '../../store/layer-stack.ts';
import type { BuildClient } from '../build-client.ts';
import { BuildError, failureOf } from '../build-error.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildContexts } from './build-contexts.ts';
import { limits } from './limits.ts';
import type { Vertices } from './vertices.ts';

export interface DockerfileSource {
  /** For messages: as it was named. */
  readonly name: string;
  readonly text: string;
  /** What the context was filtered with; null: not known. */
  readonly ignoreFile: string | null;
  /** Vertex that warnings of the file belong to. */
  readonly vertex: string;
}

export interface DockerfileOptions {
  readonly request: Pick<BuildRequest, 'dockerfilePath' | 'context'>;
  readonly client: Pick<BuildClient, 'dockerfile'>;
  readonly contexts: BuildContexts;
  readonly vertices: Vertices;
  readonly signal: AbortSignal;
}

interface RawFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly ignoreFile: string | null;
}

export async function readDockerfile(options: DockerfileOptions): Promise<DockerfileSource> {
  const { request, client, contexts, vertices, signal } = options;
  const path = request.dockerfilePath;
  const given = await client.dockerfile(signal);
  // A context that has to come first has a vertex of its own.
  if (given === null) await contexts.get('');
  const shown = posix.basename(given?.name ?? path ?? 'Dockerfile');
  const source = await vertices.during(`[internal] load build definition from ${shown}`, async (vertex) => {
    const raw = given === null ? await fromContext(contexts, path) : { ...given, bytes: given.text };
    if (raw.bytes.length > limits.dockerfileBytes)
      throw invalid(`${raw.name} is larger than ${limits.dockerfileBytes} bytes: it is no Dockerfile`);
    vertex.status('transferring dockerfile:', raw.bytes.length, 0, true);
    return { name: raw.name, text: decoded(raw), ignoreFile: raw.ignoreFile, vertex: vertex.digest };
  });
  if (given !== null && request.context.kind === 'client') await tellIgnoreFile(source, vertices);
  return source;
}

/** The client has read it already: people look for the line. */
async function tellIgnoreFile({ ignoreFile }: DockerfileSource, vertices: Vertices): Promise<void> {
  await vertices.during('[internal] load .dockerignore', async (vertex) => {
    vertex.status('transferring context:', Buffer.byteLength(ignoreFile ?? ''), 0, true);
  });
}

/** All problems at once, each with its excerpt. */
export function parsedDockerfile({ text, name }: DockerfileSource): Dockerfile {
  try {
    const dockerfile = parseDockerfile(text);
    if (dockerfile.stages.length > limits.stages)
      throw invalid(`${name} has ${dockerfile.stages.length} stages, more than ${limits.stages}`);
    return dockerfile;
  } catch (thrown) {
    if (!(thrown instanceof DockerfileError)) throw thrown;
    throw new BuildError(failureOf(thrown, { name, text }, null), 'invalid', thrown);
  }
}

async function fromContext(contexts: BuildContexts, path: string | null): Promise<RawFile> {
  const file = await contexts.file();
  const { files, withheld } = file?.held ?? (await contexts.get(''));
  const names = file !== null ? [file.name] : path === null ? ['Dockerfile', 'dockerfile'] : [path];
  for (const name of names) {
    const bytes = withheld?.get(name) ?? readFileInLayers('/', [files.directory], name, limits.dockerfileBytes);
    if (bytes !== null) return { name, bytes, ignoreFile: null };
  }
  throw notFound(`failed to read dockerfile: open ${names[0]}: no such file or directory`);
}

/** Docker takes whatever bytes there are; what is no text is told here, before an instruction made of noise is. */
function decoded({ name, bytes }: RawFile): string {
  if (bytes.includes(0)) throw invalid(`${name} holds a NUL byte: it is no Dockerfile`);
  return new TextDecoder('utf-8').decode(bytes);
}
