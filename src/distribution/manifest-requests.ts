/** Manifests of a repository: what comes is read under a limit, checked against the digest it was asked by, and means one thing only (SECURITY.md rows 23, 24, 29). */
import type { Digest } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { digestOf, isDigest } from '../oci/digest.ts';
import { type Descriptor, manifestLimitBytes, mediaTypes, parseManifest } from '../oci/manifest.ts';
import { familiarName, familiarReference } from '../oci/reference.ts';
import { answerFailure, failureOf } from './answer-failure.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { discard, type HttpAnswer, readWhole } from './http-transport.ts';
import type { FetchedManifest, RepositoryName } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { repositoryScope } from './scopes.ts';

const schema1Types: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json',
];

/** Schema 1 is named so that a registry that has nothing else sends that, and it can be refused by name. */
const accept = [
  mediaTypes.ociIndex,
  mediaTypes.dockerIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  ...schema1Types.map((type) => `${type};q=0.5`),
].join(', ');

/** Servers that don't know what they store say so with these. */
const unsaid: readonly string[] = ['', 'application/json', 'application/octet-stream', 'text/plain'];

const tagName = /^\w[\w.-]{0,127}$/;

export async function fetchManifest(
  session: EndpointSession,
  name: RepositoryName,
  reference: string,
  signal?: AbortSignal,
): Promise<FetchedManifest> {
  const answer = await session.send({
    method: 'GET',
    ...manifestAt(name, reference, 'pull'),
    headers: { accept },
    signal,
    isRefusalAnswer: true,
  });
  if (answer.status !== 200) throw await manifestFailure(session, answer, name, reference);
  const what = `manifest of ${familiarName(parsed(name, reference))}`;
  const announced = announcedType(answer, what);
  const bytes = await readWhole(answer, manifestLimitBytes, session.settings.stallMs, what);
  const digest = checkedDigest(answer, reference, bytes, what);
  try {
    const { mediaType } = parseManifest(bytes, announced, what);
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes, from: answer.url.host };
  } catch (cause) {
    throw cause instanceof EngineError ? new RegistryError('invalid', cause.message, failureOf(answer, null), { cause }) : cause;
  }
}

/** By its headers; null where they don't say it all, and where HEAD is not answered. */
export async function headManifest(
  session: EndpointSession,
  name: RepositoryName,
  reference: string,
  signal?: AbortSignal,
): Promise<Descriptor | 'not-said'> {
  const answer = await session.send({ method: 'HEAD', ...manifestAt(name, reference, 'pull'), headers: { accept }, signal });
  discard(answer);
  const { headers } = answer;
  const digest = isDigest(reference) ? reference : headers['docker-content-digest'];
  const size = Number(headers['content-length'] ?? Number.NaN);
  if (answer.status === 404) throw await manifestFailure(session, answer, name, reference);
  if (answer.status !== 200 || typeof digest !== 'string' || !isDigest(digest) || !Number.isSafeInteger(size)) return 'not-said';
  const what = `manifest of ${familiarName(parsed(name, reference))}`;
  const mediaType = announcedType(answer, what);
  return mediaType === null ? 'not-said' : { mediaType, digest, size };
}

export function manifestAt(name: RepositoryName, reference: string, ...actions: readonly ('pull' | 'push' | 'delete')[]) {
  if (!isDigest(reference) && !tagName.test(reference))
    throw new EngineError('invalid', `invalid tag or digest: ${JSON.stringify(reference)}`);
  return { path: `/v2/${name.path}/manifests/${reference}`, scopes: [repositoryScope(name.path, ...actions)] };
}

/** The registry's own digest must be that of the bytes: else one of the two is not what was meant. */
export function checkedDigest(answer: HttpAnswer, reference: string, bytes: Uint8Array, what: string): Digest {
  const digest = digestOf(bytes);
  const said = answer.headers['docker-content-digest'];
  const wrong = (by: string, other: string) =>
    new RegistryError('invalid', `${what} from ${answer.url.host} is ${digest}, but ${by} ${other}`, failureOf(answer, null));
  if (isDigest(reference) && reference !== digest) throw wrong('asked for was', reference);
  if (typeof said === 'string' && (said.startsWith('sha256:') || !said.includes(':')) && said !== digest)
    throw wrong('it was announced as', said);
  return digest;
}

/** In Docker's words, where it has some. */
async function manifestFailure(
  session: EndpointSession,
  answer: HttpAnswer,
  name: RepositoryName,
  reference: string,
): Promise<RegistryError> {
  const said = await answerFailure(answer, session.authorizer.secrets);
  const error = answer.status === 401 ? session.authorizer.explain(said) : said;
  const { registryCode } = error.failure;
  const short = familiarName(parsed(name, reference));
  if (registryCode === 'DENIED')
    return retold(error, `pull access denied for ${short}, repository does not exist or may require 'docker login': ${error.message}`);
  if (registryCode === 'NAME_UNKNOWN') return retold(error, `repository ${short} not found: ${error.message}`);
  if (answer.status !== 404) return error;
  const reason = registryCode === null ? 'manifest unknown: manifest unknown' : error.message;
  return retold(error, `manifest for ${familiarReference(parsed(name, reference))} not found: ${reason}`);
}

function retold(error: RegistryError, message: string): RegistryError {
  return new RegistryError('not-found', message, error.failure, { cause: error });
}

function announcedType(answer: HttpAnswer, what: string): string | null {
  const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (schema1Types.includes(type)) {
    answer.body.destroy();
    const text = `${what} is a Docker image manifest version 2, schema 1, which is no longer supported: its author has to push it again as an OCI image or with schema 2`;
    throw new RegistryError('invalid', text, failureOf(answer, null));
  }
  return unsaid.includes(type) ? null : type;
}

function parsed({ domain, path }: RepositoryName, reference: string) {
  return isDigest(reference) ? { domain, path, tag: null, digest: reference } : { domain, path, tag: reference, digest: null };
}
