/** `--cache-to type=local`: an OCI layout as a tar to the client, which unpacks it. */
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { paddingBytes } from '../../archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive } from '../../archive/tar-writer.ts';
import { digestHex, digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/manifest.ts';
import type { CacheTarget } from './cache-place.ts';

/** One blob after the other. */
export function layoutTarget(output: Writable, tag: string, name: string): CacheTarget {
  const write = async (bytes: Uint8Array) => {
    if (!output.write(bytes)) await drained(output);
  };
  const file = async (path: string, sizeBytes: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
    await write(encodeTarHeader({ type: 'file', path, sizeBytes }));
    for await (const piece of content) await write(piece);
    await write(endOfArchive.subarray(0, paddingBytes(sizeBytes)));
  };
  const sent = new Set<string>();
  return {
    name,
    async putBlob({ digest, sizeBytes, open }) {
      if (sent.has(digest)) return;
      sent.add(digest);
      await file(`blobs/sha256/${digestHex(digest)}`, sizeBytes, open(0));
    },
    async putManifest(mediaType, bytes) {
      const digest = digestOf(bytes);
      await file(`blobs/sha256/${digestHex(digest)}`, bytes.length, [bytes]);
      const annotations = { 'org.opencontainers.image.ref.name': tag };
      const index = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [{ mediaType, digest, size: bytes.length, annotations }],
      };
      for (const [path, value] of [
        ['index.json', index],
        ['oci-layout', { imageLayoutVersion: '1.0.0' }],
      ] as const) {
        const text = Buffer.from(JSON.stringify(value));
        await file(path, text.length, [text]);
      }
      await write(endOfArchive);
      output.end();
      await finished(output);
    },
  };
}

async function drained(output: Writable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const closed = () => reject(output.errored ?? new Error('the client went away before it had the whole cache'));
  output.once('drain', resolve).once('close', closed);
  try {
    await promise;
  } finally {
    output.off('drain', resolve).off('close', closed);
  }
}
