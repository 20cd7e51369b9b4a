/** Both streams of a process out of the runtime's frames ([stream,0,0,0,len be32] + bytes), each piece as it comes. */
import type { Readable } from 'node:stream';
import type { StepOutput } from './step.ts';

const headerBytes = 8;
const stderrStream = 2;

/** Resolves at the end of the stream, however it ends: what was there has been given to `output`. */
export async function copyOutput(stream: Readable, output: StepOutput): Promise<void> {
  const frames = new Frames(output);
  try {
    for await (const bytes of stream) frames.take(bytes as Buffer);
  } catch {
    // Cut off: the monitor died. The exit status tells.
  }
}

class Frames {
  readonly #output: StepOutput;
  /** Of a header that is not complete yet. */
  #header: Buffer = Buffer.alloc(0);
  #name: 'stdout' | 'stderr' = 'stdout';
  #left = 0;

  constructor(output: StepOutput) {
    this.#output = output;
  }

  take(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#left === 0) {
        rest = this.#takeHeader(rest);
        continue;
      }
      const payload = rest.subarray(0, this.#left);
      this.#left -= payload.length;
      this.#output(this.#name, payload);
      rest = rest.subarray(payload.length);
    }
  }

  #takeHeader(bytes: Buffer): Buffer {
    const missing = headerBytes - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
    if (this.#header.length === headerBytes) {
      this.#name = this.#header[0] === stderrStream ? 'stderr' : 'stdout';
      this.#left = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return bytes.subarray(missing);
  }
}
