/** What a health check printed, both streams as they came, out of the runtime's frames ([stream,0,0,0,len be32] + bytes): the first 4096 bytes, as Docker keeps. */
const keptBytes = 4096;
const headerBytes = 8;

export class HealthOutput {
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #isCut = false;
  /** Of a header that is not complete yet. */
  #header = Buffer.alloc(0);
  /** Of the frame under way. */
  #left = 0;

  take(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#left === 0) rest = this.#takeHeader(rest);
      const payload = rest.subarray(0, this.#left);
      this.#keep(payload);
      this.#left -= payload.length;
      rest = rest.subarray(payload.length);
    }
  }

  text(): string {
    return Buffer.concat(this.#kept).toString() + (this.#isCut ? '...' : '');
  }

  #takeHeader(bytes: Buffer): Buffer {
    const missing = headerBytes - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
    if (this.#header.length === headerBytes) {
      this.#left = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return bytes.subarray(missing);
  }

  #keep(payload: Buffer): void {
    const room = keptBytes - this.#keptBytes;
    if (payload.length > room) this.#isCut = true;
    const kept = payload.subarray(0, room);
    if (kept.length === 0) return;
    // A copy: the piece may be a small part of a large read.
    this.#kept.push(Buffer.from(kept));
    this.#keptBytes += kept.length;
  }
}
