/** Where the Dockerfile and the ignore file of a local build are, and what they say. Missing or unreadable: told before anything is sent. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { IgnorePatterns } from '../../../archive/ignore-patterns.ts';
import { errorText, hasErrnoCode } from '../../../base/errors.ts';
import type { DockerfileText } from '../../../client/build-types.ts';
import { CliError } from '../../cli-error.ts';
import type { CliInput } from '../../cli-io.ts';
import { fileErrorText } from '../../file-error.ts';

export interface LocalDockerfile {
  readonly given: DockerfileText;
  /** What decides over the build, for a watch; those that are not there too, if they would be looked at. */
  readonly files: readonly string[];
  readonly ignore: IgnorePatterns;
}

const MAX_BYTES = 16 * 1024 * 1024;
const DEFAULT_NAMES = ['Dockerfile', 'dockerfile'];

/** `file` null: the one in the directory. */
export function readDockerfile(directory: string, file: string | null, cwd: string): LocalDockerfile {
  const paths = file === null ? DEFAULT_NAMES.map((name) => join(directory, name)) : [resolve(cwd, file)];
  const path = paths.find((candidate, at) => at === paths.length - 1 || isThere(candidate)) ?? '';
  const text = readText(path, file === null ? `in ${directory}` : null, paths[0] ?? path);
  const own = `${path}.dockerignore`;
  return withIgnore({ name: file ?? path.slice(directory.length + 1), text }, [own, join(directory, '.dockerignore')], [...paths, own]);
}

/** Of a Dockerfile that came from elsewhere: the directory's own ignore file holds. */
export function withIgnoreOf(directory: string, dockerfile: Omit<DockerfileText, 'ignoreFile'>): LocalDockerfile {
  return withIgnore(dockerfile, [join(directory, '.dockerignore')], []);
}

/** Of a named context: only the file at its root. */
export function ignoreOf(directory: string): IgnorePatterns {
  const path = join(directory, '.dockerignore');
  const text = readIfThere(path);
  return text === null ? IgnorePatterns.parse('') : parseIgnore(path, text);
}

function withIgnore(
  dockerfile: Omit<DockerfileText, 'ignoreFile'>,
  candidates: readonly string[],
  files: readonly string[],
): LocalDockerfile {
  const all = [...new Set([...files, ...candidates])];
  for (const path of candidates) {
    const text = readIfThere(path);
    if (text !== null) return { given: { ...dockerfile, ignoreFile: text }, files: all, ignore: parseIgnore(path, text) };
  }
  return { given: { ...dockerfile, ignoreFile: null }, files: all, ignore: IgnorePatterns.parse('') };
}

function parseIgnore(path: string, text: string): IgnorePatterns {
  try {
    return IgnorePatterns.parse(text);
  } catch (error) {
    throw new CliError(`failed to read ${path}: ${errorText(error)}`, 1, { cause: error });
  }
}

function isThere(path: string): boolean {
  return readIfThere(path) !== null;
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw new CliError(`failed to read ${path}: ${fileErrorText(error)}`, 1, { cause: error });
  }
}

function readText(path: string, where: string | null, first: string): Uint8Array {
  try {
    return limited(readFileSync(path), path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (where !== null && hasErrnoCode(error, 'ENOENT'))
      throw new CliError(
        `failed to read dockerfile: open ${first}: no such file or directory. Name it with -f, or give the directory that holds it`,
        1,
        {
          cause: error,
        },
      );
    throw new CliError(`failed to read dockerfile: ${fileErrorText(error)}`, 1, { cause: error });
  }
}

export async function dockerfileOfStdin(stdin: CliInput): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) chunks.push(Buffer.from(chunk));
  return limited(Buffer.concat(chunks), 'standard input');
}

const FETCH_PATIENCE_MS = 60_000;

/** `-f https://…` */
export async function dockerfileOfAddress(url: string): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_PATIENCE_MS) });
    if (!response.ok) throw new CliError(`failed to read dockerfile: ${url} answers ${response.status} ${response.statusText}`);
    return limited(Buffer.from(await response.arrayBuffer()), url);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new CliError(`failed to read dockerfile: ${url} cannot be fetched: ${errorText(cause)}`, 1, { cause: error });
  }
}

function limited(bytes: Uint8Array, from: string): Uint8Array {
  if (bytes.length > MAX_BYTES) throw new CliError(`failed to read dockerfile: ${from} is larger than ${MAX_BYTES} bytes`);
  return bytes;
}
