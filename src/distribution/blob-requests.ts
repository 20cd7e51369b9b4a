/** Blobs of a repository: one attempt at their bytes, from a registry or, for foreign layers, from where their descriptor says. */
import { failureOf } from './answer-failure.ts';
import { type EndpointSession, isFollowed, type SessionContext } from './endpoint-session.ts';
import { isInsecure } from './endpoints.ts';
import { bodyChunks, discard, exchange, type HttpAnswer } from './http-transport.ts';
import { nextHop } from './redirect.ts';
import type { BlobBody, BlobDescriptor, RepositoryName } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { repositoryScope } from './scopes.ts';

export function blobAt({ path }: RepositoryName, digest: string) {
  return { path: `/v2/${path}/blobs/${digest}`, scopes: [repositoryScope(path, 'pull')] };
}

export async function fetchBlob(
  session: EndpointSession,
  name: RepositoryName,
  descriptor: BlobDescriptor,
  offsetBytes: number,
  signal?: AbortSignal,
): Promise<BlobBody> {
  const answer = await session.send({ method: 'GET', ...blobAt(name, descriptor.digest), headers: rangeFrom(offsetBytes), signal });
  if (answer.status !== 200 && answer.status !== 206) throw await session.failure(answer);
  return blobBody(answer, descriptor, offsetBytes, session.settings.stallMs);
}

/** `application/vnd.oci.image.layer.nondistributable.v1.tar+gzip`, `application/vnd.docker.image.rootfs.foreign.diff.tar.gzip` */
export function isForeign({ mediaType, urls }: BlobDescriptor): boolean {
  return (urls?.length ?? 0) > 0 && /\.(?:nondistributable|foreign)\./.test(mediaType ?? '');
}

/** Whoever wrote the manifest chose the address: no credentials, and only what anybody could reach (SECURITY.md row 28). */
export async function fetchForeignBlob(
  context: SessionContext,
  address: string,
  descriptor: BlobDescriptor,
  offsetBytes: number,
  signal?: AbortSignal,
): Promise<BlobBody> {
  const { settings, routes, userAgent } = context;
  let url = new URL(address);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refusedUrl(url, `${url.protocol} is not supported`);
  for (let hops = 0; ; hops++) {
    const headers = { 'user-agent': userAgent, 'accept-encoding': 'identity', ...rangeFrom(offsetBytes) };
    const route = await routes.to(url, 'public', !isInsecure(settings.insecure, url.host));
    const answer = await exchange({ method: 'GET', url, headers, signal }, route);
    if (isFollowed('GET', answer.status)) {
      url = nextHop(answer, hops).url;
      discard(answer);
      continue;
    }
    if (answer.status === 200 || answer.status === 206) return blobBody(answer, descriptor, offsetBytes, settings.stallMs);
    discard(answer);
    throw new RegistryError('unavailable', `${url.host} answered ${answer.status} for a foreign layer`, failureOf(answer, null));
  }
}

function rangeFrom(offsetBytes: number): Readonly<Record<string, string>> {
  return offsetBytes > 0 ? { range: `bytes=${offsetBytes}-` } : {};
}

/** The answer must be the part that was asked for, or the whole. */
function blobBody(answer: HttpAnswer, { digest, size }: BlobDescriptor, offsetBytes: number, stallMs: number): BlobBody {
  const startsAt = answer.status === 206 ? offsetBytes : 0;
  const wrong = (why: string) => {
    answer.body.destroy();
    return new RegistryError('invalid', `${answer.url.host}: blob ${digest}: ${why}`, failureOf(answer, null));
  };
  const encoding = answer.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw wrong(`came with Content-Encoding ${encoding}, which was not asked for`);
  if (answer.status === 206) {
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers['content-range'] ?? '');
    const isRight =
      range && Number(range[1]) === startsAt && Number(range[2]) === size - 1 && (range[3] === '*' || Number(range[3]) === size);
    if (!isRight)
      throw wrong(
        `asked for bytes ${offsetBytes}-${size - 1} of ${size}, but Content-Range is ${JSON.stringify(answer.headers['content-range'] ?? null)}`,
      );
  }
  const length = answer.headers['content-length'];
  if (length !== undefined && Number(length) !== size - startsAt)
    throw wrong(`has ${length} bytes to come, the manifest says ${size - startsAt}`);
  return { startsAt, bytes: exactly(answer, size - startsAt, stallMs, digest) };
}

async function* exactly(
  answer: HttpAnswer,
  expected: number,
  stallMs: number,
  digest: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { host } = answer.url;
  let left = expected;
  for await (const chunk of bodyChunks(answer, stallMs)) {
    left -= chunk.length;
    if (left < 0)
      throw new RegistryError('invalid', `${host}: blob ${digest} is longer than the ${expected} bytes to come`, failureOf(answer, null));
    yield chunk;
  }
  if (left === 0) return;
  const failure = { ...failureOf(answer, null), retryable: true };
  throw new RegistryError('unavailable', `${host}: blob ${digest} ended ${left} bytes early`, failure);
}

function refusedUrl(url: URL, why: string): RegistryError {
  return new RegistryError('invalid', `foreign layer at ${url.host}: ${why}`, {
    host: url.host,
    status: null,
    registryCode: null,
    retryable: false,
  });
}
