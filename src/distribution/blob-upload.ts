/**
 * One blob to a registry.
 *
 *     HEAD ── there ─► exists
 *      └► POST ?mount=&from= ── 201 ─► mounted        (each source that is known, a few at most)
 *          └► 202: an upload ─► PUT with all of it ── cut, or too large at once
 *                                                       └► GET how far it came ─► PATCH by PATCH ─► PUT of nothing
 *
 * One PUT is the form that every registry and every proxy before one takes. Only what failed that way goes by chunks, where each that was taken is progress;
 * attempts are counted while none is.
 */
import { EngineError } from '../base/errors.ts';
import { answerFailure } from './answer-failure.ts';
import { blobAt } from './blob-requests.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { discard, type HttpAnswer } from './http-transport.ts';
import { defaultBackoff, delayMs, isRetryable, waitBeforeRetry, withRetries } from './pause.ts';
import { type Hop, locationOf } from './redirect.ts';
import type { BlobUpload, RepositoryName, UploadOutcome } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { repositoryScope } from './scopes.ts';

const chunkBytes = 16 * 1024 * 1024;
const mountsTried = 4;
const binary = { 'content-type': 'application/octet-stream' };

interface OpenUpload {
  readonly at: Hop;
  /** Bytes that the registry has. */
  readonly offset: number;
  /** `OCI-Chunk-Min-Length` */
  readonly leastChunkBytes: number;
}

interface Target {
  readonly session: EndpointSession;
  readonly name: RepositoryName;
  readonly upload: BlobUpload;
  readonly signal: AbortSignal | undefined;
}

export async function uploadBlob(
  session: EndpointSession,
  name: RepositoryName,
  upload: BlobUpload,
  signal?: AbortSignal,
): Promise<UploadOutcome> {
  const target = { session, name, upload, signal };
  if (await isThere(target)) return { kind: 'exists' };
  const mounted = await tryMounts(target);
  if (typeof mounted === 'string') return { kind: 'mounted', from: mounted };
  await sendAll(target, mounted);
  return { kind: 'uploaded' };
}

/** A refusal has no words in the answer to HEAD: the POST that follows gets them. */
async function isThere({ session, name, upload, signal }: Target): Promise<boolean> {
  try {
    return await withRetries(session.settings.maxAttempts, signal, () => hasBlob(session, name, upload.digest, signal));
  } catch (thrown) {
    const status = statusOf(thrown);
    if (status === null || status < 400 || status >= 500 || isRetryable(thrown)) throw thrown;
    return false;
  }
}

export async function hasBlob(session: EndpointSession, name: RepositoryName, digest: string, signal?: AbortSignal): Promise<boolean> {
  const answer = await session.send({ method: 'HEAD', ...blobAt(name, digest), scopes: pushScopes(name), signal });
  discard(answer);
  if (answer.status === 200) return true;
  if (answer.status === 404) return false;
  throw await session.failure(answer);
}

function pushScopes({ path }: RepositoryName): readonly string[] {
  return [repositoryScope(path, 'pull', 'push')];
}

/** The source that it was mounted from; else the upload that a registry opens instead, or null. */
async function tryMounts(target: Target): Promise<string | OpenUpload | null> {
  const { session, name, upload, signal } = target;
  let opened: OpenUpload | null = null;
  for (const from of (upload.mountFrom ?? []).filter((path) => path !== name.path).slice(0, mountsTried)) {
    if (opened) await cancel(target, opened);
    opened = null;
    try {
      const query = { mount: upload.digest, from };
      const scopes = [...pushScopes(name), repositoryScope(from, 'pull')];
      const answer = await session.send({ method: 'POST', path: `/v2/${name.path}/blobs/uploads/`, query, scopes, signal });
      discard(answer);
      if (answer.status === 201) return from;
      if (answer.status === 202) opened = openedBy(answer);
    } catch (thrown) {
      // Not allowed to read there: then it is sent.
      if (signal?.aborted || !(thrown instanceof RegistryError) || thrown.failure.status === null) throw thrown;
    }
  }
  return opened;
}

async function sendAll(target: Target, mounted: OpenUpload | null): Promise<void> {
  const { session, upload, signal } = target;
  let open = mounted;
  let isWhole = true;
  let furthest = 0;
  for (let failures = 0; ; ) {
    try {
      open ??= await begin(target);
      if (isWhole && open.offset === 0) await finish(target, open.at, bodyOf(target, 0, upload.sizeBytes), binary);
      else await sendChunks(target, open, (further) => (open = further));
      return;
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      // Some proxies bound one request, not the blob.
      const isTooLarge = statusOf(thrown) === 413 && isWhole;
      if (!isTooLarge && !canGoOn(thrown)) throw thrown;
      isWhole = false;
      const reached = open?.offset ?? 0;
      open = open && !isTooLarge ? await whereItIs(target, open) : null;
      const got = Math.max(reached, open?.offset ?? 0);
      failures = got > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, got);
      const delay = failures < session.settings.maxAttempts ? delayMs(failures, thrown, defaultBackoff) : null;
      if (delay === null) throw thrown;
      upload.onProgress?.(open?.offset ?? 0);
      if (!isTooLarge) await waitBeforeRetry(delay, signal);
    }
  }
}

/** What may end otherwise when it is sent again: a broken connection, a busy registry, an upload that it forgot or counts otherwise. */
function canGoOn(thrown: unknown): boolean {
  const status = statusOf(thrown);
  return isRetryable(thrown) || status === 404 || status === 416;
}

function statusOf(thrown: unknown): number | null {
  return thrown instanceof RegistryError ? thrown.failure.status : null;
}

async function begin(target: Target): Promise<OpenUpload> {
  const { session, name, signal } = target;
  const request = {
    method: 'POST',
    path: `/v2/${name.path}/blobs/uploads/`,
    headers: { 'content-length': '0' },
    scopes: pushScopes(name),
    signal,
  };
  const answer = await session.send(request);
  if (answer.status === 202) return drained(answer, openedBy(answer));
  const error = await answerFailure(answer, session.authorizer.secrets);
  // An unknown repository is nothing that goes away by asking again.
  throw new RegistryError(error.code, error.message, { ...error.failure, status: answer.status === 404 ? 400 : answer.status });
}

async function sendChunks(target: Target, start: OpenUpload, onTaken: (further: OpenUpload) => void): Promise<void> {
  const { session, name, upload, signal } = target;
  let open = start;
  while (open.offset < upload.sizeBytes) {
    const size = Math.min(Math.max(chunkBytes, open.leastChunkBytes), upload.sizeBytes - open.offset);
    const headers = { ...binary, 'content-range': `${open.offset}-${open.offset + size - 1}` };
    const body = bodyOf(target, open.offset, size);
    const answer = await session.send({ method: 'PATCH', path: open.at, headers, body, scopes: pushScopes(name), signal });
    if (answer.status !== 202) throw await session.failure(answer);
    open = drained(answer, { ...openedBy(answer, open), offset: open.offset + size });
    onTaken(open);
  }
  await finish(target, open.at, new Uint8Array(0), {});
}

async function finish(
  { session, name, upload, signal }: Target,
  at: Hop,
  body: NonNullable<Parameters<EndpointSession['send']>[0]['body']>,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const query = { digest: upload.digest };
  const answer = await session.send({ method: 'PUT', path: at, query, headers, body, scopes: pushScopes(name), signal });
  if (answer.status < 200 || answer.status > 204) throw await session.failure(answer);
  discard(answer);
  const said = answer.headers['docker-content-digest'];
  if (typeof said === 'string' && said.startsWith('sha256:') && said !== upload.digest)
    throw new EngineError('system', `${session.endpoint.host} stored blob ${upload.digest} as ${said}`);
}

/** How far the registry came; null where it can't say, or has forgotten the upload: it starts again. */
async function whereItIs({ session, name, upload, signal }: Target, open: OpenUpload): Promise<OpenUpload | null> {
  try {
    const answer = await session.send({ method: 'GET', path: open.at, scopes: pushScopes(name), signal });
    discard(answer);
    if (answer.status !== 204 && answer.status !== 202) return null;
    const range = /^(?:bytes[= ])?0-(\d+)$/.exec(answer.headers.range ?? '');
    // `0-0` stands for nothing and for one byte alike: then from the start of the same upload, which only an empty one is sure to be.
    const offset = range && Number(range[1]) > 0 ? Number(range[1]) + 1 : 0;
    return offset > upload.sizeBytes || offset === 0 ? null : { ...openedBy(answer, open), offset };
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

async function cancel({ session, name, signal }: Target, open: OpenUpload): Promise<void> {
  const answer = await session.send({ method: 'DELETE', path: open.at, scopes: pushScopes(name), signal }).catch(() => null);
  if (answer) discard(answer);
  signal?.throwIfAborted();
}

function openedBy(answer: HttpAnswer, before?: OpenUpload): OpenUpload {
  const least = Number(answer.headers['oci-chunk-min-length'] ?? before?.leastChunkBytes ?? 0);
  const at = answer.headers.location === undefined && before ? before.at : locationOf(answer);
  return { at, offset: 0, leastChunkBytes: Number.isSafeInteger(least) && least > 0 ? least : 0 };
}

function drained(answer: HttpAnswer, open: OpenUpload): OpenUpload {
  discard(answer);
  return open;
}

/** `sizeBytes` bytes from `offset` on, never more and never less: a source that lies about its size is an error before the registry sees the end. */
function bodyOf({ upload }: Target, offset: number, sizeBytes: number) {
  return {
    sizeBytes,
    async *open(): AsyncGenerator<Uint8Array, void, undefined> {
      let left = sizeBytes;
      if (left > 0) {
        for await (const chunk of upload.open(offset)) {
          const part = chunk.length > left ? chunk.subarray(0, left) : chunk;
          left -= part.length;
          yield part;
          if (left === 0) break;
        }
      }
      if (left > 0) throw new EngineError('system', `blob ${upload.digest} ended ${left} bytes before its size of ${upload.sizeBytes}`);
    },
    onSent: sentCounter(upload, offset),
  };
}

function sentCounter(upload: BlobUpload, offset: number): (bytes: number) => void {
  let sent = offset;
  return (bytes) => {
    sent += bytes;
    upload.onProgress?.(sent);
  };
}
