/** The verbs of one repository: which place is asked, and what is tried again. */
import { EngineError } from '../base/errors.ts';
import { isDigest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { blobAt, fetchBlob, fetchForeignBlob, isForeign } from './blob-requests.ts';
import { hasBlob, uploadBlob } from './blob-upload.ts';
import { type EndpointOrder, readAnywhere } from './endpoint-order.ts';
import { createEndpointSession, type EndpointSession, type SessionContext } from './endpoint-session.ts';
import { endpointsOf } from './endpoints.ts';
import { discard } from './http-transport.ts';
import { checkedDigest, fetchManifest, headManifest, manifestAt } from './manifest-requests.ts';
import { listNames } from './name-lists.ts';
import { withRetries } from './pause.ts';
import { addToReferrersTag, listReferrers, subjectOf } from './referrers.ts';
import type { BlobBody, BlobDescriptor, RegistryCredentials, Repository, RepositoryName } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { repositoryScope } from './scopes.ts';

const attempts = 3;

export function createRepository(
  context: SessionContext & { readonly order: EndpointOrder },
  name: RepositoryName,
  credentials: RegistryCredentials | null,
): Repository {
  const { order, logger } = context;
  const sessions = endpointsOf(context.settings, name).map((endpoint) => createEndpointSession(context, endpoint, credentials));
  const own = sessions.at(-1) as EndpointSession;
  const read = <T>(signal: AbortSignal | undefined, ask: (session: EndpointSession) => Promise<T>): Promise<T> =>
    readAnywhere({ sessions, order, logger, signal, attempts }, ask);
  const write = <T>(signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> => withRetries(attempts, signal, ask);

  return {
    name,
    maxAttempts: context.settings.maxAttempts,

    manifest: (reference, signal) => read(signal, (session) => fetchManifest(session, name, reference, signal)),

    async describe(reference, signal) {
      try {
        return await read(signal, async (session) => {
          const said = await headManifest(session, name, reference, signal);
          return said === 'not-said' ? (await fetchManifest(session, name, reference, signal)).descriptor : said;
        });
      } catch (thrown) {
        if (thrown instanceof RegistryError && thrown.failure.status === 404) return null;
        throw thrown;
      }
    },

    async blob(descriptor, offsetBytes, signal) {
      try {
        return await readAnywhere({ sessions, order, logger, signal, attempts: 1 }, async (session) =>
          watched(session, await fetchBlob(session, name, descriptor, offsetBytes, signal)),
        );
      } catch (thrown) {
        if (!isForeign(descriptor) || signal?.aborted) throw thrown;
        return await foreignBlob(descriptor, offsetBytes, signal, thrown);
      }
    },

    hasBlob: (digest, signal) => write(signal, () => hasBlob(own, name, digest, signal)),
    uploadBlob: (upload, signal) => uploadBlob(own, name, upload, signal),

    async putManifest(reference, mediaType, bytes, signal) {
      parseManifest(bytes, mediaType, 'manifest to push');
      const at = manifestAt(name, reference, 'pull', 'push');
      const request = { method: 'PUT', ...at, headers: { 'content-type': mediaType }, body: bytes, signal };
      const answer = await write(signal, () => own.expect(request, 200, 201, 202));
      discard(answer);
      const digest = checkedDigest(answer, reference, bytes, 'manifest');
      if (subjectOf(bytes) !== null && answer.headers['oci-subject'] === undefined)
        await write(signal, () => addToReferrersTag(own, name, { mediaType, bytes }, signal));
      return { digest };
    },

    tags: (signal) =>
      listNames(own, { path: `/v2/${name.path}/tags/list`, key: 'tags', scopes: [repositoryScope(name.path, 'pull')], signal }),
    referrers: (digest, artifactType, signal) => read(signal, (session) => listReferrers(session, name, digest, artifactType, signal)),

    async deleteManifest(reference, signal) {
      const request = { method: 'DELETE', ...manifestAt(name, reference, 'delete'), signal };
      const answer = await write(signal, () => own.expect(request, 200, 202, 204)).catch((thrown: unknown) => {
        throw isDigest(reference) ? thrown : tagStays(thrown);
      });
      discard(answer);
    },
    async deleteBlob(digest, signal) {
      const scopes = [repositoryScope(name.path, 'delete')];
      discard(await write(signal, () => own.expect({ method: 'DELETE', ...blobAt(name, digest), scopes, signal }, 200, 202, 204)));
    },
  };

  /** A place that breaks off is not the first to be asked for the rest. */
  function watched(session: EndpointSession, body: BlobBody): BlobBody {
    return { startsAt: body.startsAt, bytes: watch(session, body.bytes) };
  }

  async function* watch(session: EndpointSession, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* bytes;
      order.answered(session);
    } catch (thrown) {
      order.failed(session);
      throw thrown;
    }
  }

  async function foreignBlob(
    descriptor: BlobDescriptor,
    offsetBytes: number,
    signal: AbortSignal | undefined,
    thrown: unknown,
  ): Promise<BlobBody> {
    for (const address of descriptor.urls ?? []) {
      try {
        return await fetchForeignBlob(context, address, descriptor, offsetBytes, signal);
      } catch (failure) {
        if (signal?.aborted) throw signal.reason;
        logger.info({ reason: failure instanceof Error ? failure.message : String(failure) }, 'foreign layer passed over');
        if (failure instanceof EngineError && failure.code === 'forbidden') throw failure;
      }
    }
    throw thrown;
  }
}

/** Before version 1.1 of the specification, only digests could be deleted. */
function tagStays(thrown: unknown): unknown {
  if (!(thrown instanceof RegistryError)) return thrown;
  const { status, registryCode, host } = thrown.failure;
  if (status !== 405 && registryCode !== 'DIGEST_INVALID' && registryCode !== 'UNSUPPORTED') return thrown;
  const text = `${host} removes no tag alone: delete the manifest by its digest, which takes all of its tags`;
  return new RegistryError('not-implemented', text, thrown.failure, { cause: thrown });
}
