/** A build cache in a repository of a registry: `--cache-from` and `--cache-to` of `type=registry`. */

import { EngineError } from '../../base/errors.ts';
import type { CacheSource, CacheTarget } from '../../build/cache-transfer/cache-place.ts';
import { downloadBlob } from '../../distribution/download-blob.ts';
import type { BlobDescriptor, RegistryClient, RegistryCredentials, Repository } from '../../distribution/registry-client.ts';
import { familiarReference, parseReference, withDefaultTag } from '../../oci/reference.ts';

export function registryCache(
  client: Pick<RegistryClient, 'repository'>,
  reference: string,
  credentials: RegistryCredentials | null,
): CacheSource & CacheTarget {
  const parsed = withDefaultTag(parseReference(reference));
  const repository = client.repository({ domain: parsed.domain, path: parsed.path }, credentials);
  const tag = parsed.digest ?? parsed.tag ?? 'latest';
  return {
    name: familiarReference(parsed),
    async manifest(signal) {
      try {
        const { descriptor, bytes } = await repository.manifest(tag, signal);
        return { mediaType: descriptor.mediaType, bytes };
      } catch (error) {
        if (error instanceof EngineError && error.code === 'not-found') return null;
        throw error;
      }
    },
    blob: async (descriptor, signal) => wholeBlob(repository, descriptor, signal),
    async putBlob(blob, signal) {
      await repository.uploadBlob(blob, signal);
    },
    async putManifest(mediaType, bytes, signal) {
      await repository.putManifest(tag, mediaType, bytes, signal);
    },
  };
}

/** A download that goes on where it was cut, as a stream. Its reader is waited for: nothing piles up. */
async function* wholeBlob(repository: Repository, descriptor: BlobDescriptor, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const given = new AbortController();
  const stop = AbortSignal.any([signal, given.signal]);
  const pieces = new TransformStream<Uint8Array, Uint8Array>();
  const writer = pieces.writable.getWriter();
  const sink = {
    sizeBytes: 0,
    async append(bytes: Uint8Array) {
      await writer.write(bytes);
      sink.sizeBytes += bytes.length;
    },
    async restart() {
      throw new EngineError(
        'unavailable',
        `${descriptor.digest} was cut, and the registry cannot go on in the middle of a blob: try again`,
      );
    },
  };
  const download = downloadBlob(repository, descriptor, sink, { signal: stop }).then(
    () => writer.close(),
    (error) => writer.abort(error),
  );
  try {
    yield* pieces.readable;
  } finally {
    given.abort(new EngineError('unavailable', 'nobody reads the blob any more'));
    await download.catch(() => {});
  }
}
