/** A blob that is read at once, verified: an image's config. Fetched once more when its bytes are wrong. */
import { invalid } from '../base/errors.ts';
import type { BlobDescriptor, Repository } from '../distribution/registry-client.ts';
import { digestOf } from '../oci/digest.ts';
import type { DownloadBlob } from './blob-fetches.ts';

export interface SmallFetch {
  readonly limitBytes: number;
  /** For messages. */
  readonly what: string;
  readonly signal: AbortSignal;
}

export async function fetchSmall(
  download: DownloadBlob,
  repository: Repository,
  descriptor: BlobDescriptor,
  { limitBytes, what, signal }: SmallFetch,
): Promise<Buffer> {
  const { digest, size } = descriptor;
  if (size > limitBytes) throw invalid(`the ${what} has ${size} bytes, more than ${limitBytes}`);
  for (let attempt = 1; ; attempt++) {
    const sink = memorySink(size);
    await download(repository, descriptor, sink, { signal });
    const bytes = sink.bytes();
    const found = digestOf(bytes);
    if (found === digest && bytes.length === size) return bytes;
    if (attempt === 2)
      throw invalid(`${what} verification failed for digest ${digest}: the registry served other bytes twice (their digest is ${found})`);
  }
}

function memorySink(limitBytes: number) {
  let chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    async append(bytes: Uint8Array) {
      sizeBytes += bytes.length;
      if (sizeBytes > limitBytes) throw invalid(`the registry sent more than the ${limitBytes} bytes that were announced`);
      chunks.push(bytes);
    },
    async restart() {
      chunks = [];
      sizeBytes = 0;
    },
    bytes: () => Buffer.concat(chunks),
  };
}
