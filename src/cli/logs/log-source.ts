/** The lines of one container, as they come, whole: what its daemon sends in pieces (16 KiB) is put together. */
import type { Readable } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import { FrameDecoder } from '../../wire/stream-frames.ts';

export interface LogLine {
  /** RFC 3339 with nine digits: in the order of time. */
  readonly time: string;
  readonly stderr: boolean;
  /** Without the newline. */
  readonly text: Buffer;
}

/** A line is shown in pieces beyond this. */
const maxLineBytes = 1024 * 1024;
const newline = 0x0a;
const space = 0x20;

/** `source` carries timestamps before each piece. */
export async function* logLines(source: Readable, framed: boolean): AsyncGenerator<LogLine> {
  const lines: LogLine[] = [];
  const streams = [new LineJoiner(false, lines), new LineJoiner(true, lines)];
  const errors: Buffer[] = [];
  const decoder = new FrameDecoder((stream, payload) => {
    if (stream === 3) errors.push(Buffer.from(payload));
    else streams[stream === 2 ? 1 : 0]?.push(payload);
  });
  for await (const chunk of source as AsyncIterable<Buffer>) {
    if (framed) decoder.push(chunk);
    else streams[0]?.push(chunk);
    yield* lines.splice(0);
  }
  for (const stream of streams) stream.finish();
  yield* lines.splice(0);
  if (errors.length > 0) throw new EngineError('system', `error from daemon in stream: ${Buffer.concat(errors).toString()}`);
}

/** One stream: `TIME text\n`, cut anywhere by the transport, and by the daemon where the text goes on: `TIME part` `TIME part\n`. */
class LineJoiner {
  readonly #stderr: boolean;
  readonly #lines: LogLine[];
  #parts: Buffer[] = [];
  #length = 0;

  constructor(stderr: boolean, lines: LogLine[]) {
    this.#stderr = stderr;
    this.#lines = lines;
  }

  push(bytes: Buffer): void {
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(newline, start);
      this.#keep(bytes.subarray(start, end < 0 ? bytes.length : end));
      if (end >= 0 || this.#length >= maxLineBytes) this.finish();
      start = end < 0 ? bytes.length : end + 1;
    }
  }

  finish(): void {
    if (this.#length === 0) return;
    const whole = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    const end = whole.indexOf(space);
    const time = whole.toString('latin1', 0, Math.max(0, end));
    this.#lines.push({ time, stderr: this.#stderr, text: withoutMoreTimes(whole.subarray(end + 1), time) });
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#parts.push(Buffer.from(bytes));
    this.#length += bytes.length;
  }
}

/** The pieces of a long line all carry the time of its first; a line that holds its own time to the nanosecond is not worth a protocol. */
function withoutMoreTimes(text: Buffer, time: string): Buffer {
  const again = Buffer.from(`${time} `);
  if (time === '' || text.indexOf(again) < 0) return text;
  const parts: Buffer[] = [];
  let start = 0;
  for (let at = text.indexOf(again); at >= 0; at = text.indexOf(again, start)) {
    parts.push(text.subarray(start, at));
    start = at + again.length;
  }
  return Buffer.concat([...parts, text.subarray(start)]);
}
