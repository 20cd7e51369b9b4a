/** A sink in memory that counts what is appended twice. */
import type { BlobSink } from '../download-blob.ts';

export interface MemorySink extends BlobSink {
  bytes(): Buffer;
  readonly restarts: number;
}

export function memorySink(before: Uint8Array = new Uint8Array(0)): MemorySink {
  let parts: Uint8Array[] = [before];
  let sizeBytes = before.length;
  let restarts = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    get restarts() {
      return restarts;
    },
    bytes: () => Buffer.concat(parts),
    async append(bytes) {
      parts.push(Buffer.from(bytes));
      sizeBytes += bytes.length;
    },
    async restart() {
      parts = [];
      sizeBytes = 0;
      restarts++;
    },
  };
}
