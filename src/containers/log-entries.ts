/**
 * Lines of a json-file log → what the client sees:
 *
 *   {"log":"hello\n","stream":"stdout","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.678Z"}
 *
 *   → [1,0,0,0,len be32] 2026-01-02T03:04:05.678000000Z k=v hello\n        (no header with a terminal)
 *
 * A line of the log is one frame. Output lines longer than 16 KiB are several log lines, all but the last without a newline: they join by themselves.
 */
const newline = 0x0a;
const quote = 0x22;
const backslash = 0x5c;
const letterN = 0x6e;
const headerBytes = 8;
const prefix = Buffer.from('{"log":"');
/** What follows the text of a line without attributes; the stream's name differs, its length does not. */
const afterStdout = Buffer.from('","stream":"stdout","time":"');
const afterStderr = Buffer.from('","stream":"stderr","time":"');

export interface EntryFormat {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  /** Nanoseconds since the epoch, as those of the lines. */
  readonly since: bigint | null;
  readonly until: bigint | null;
  /** What details show for lines that do not say it themselves. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Frames, or raw bytes with a terminal. */
  readonly framed: boolean;
}

export interface Entry {
  readonly stderr: boolean;
  readonly time: string;
  readonly attributes: Readonly<Record<string, unknown>> | null;
  readonly text: Buffer;
  /** The newline that ends the text was escaped in the file, so it is not part of `text`. */
  readonly newlineAfter: boolean;
}

/** `past`: a line later than `until` was met; nothing after it is wanted. The output is a copy: `block` may be reused. */
export function formatBlock(block: Buffer, format: EntryFormat): { readonly output: Buffer; readonly past: boolean } {
  const output = new GrowingBuffer(block.length);
  const since = format.since === null ? null : instantText(format.since);
  const until = format.until === null ? null : instantText(format.until);
  // Not by `entriesOf`: a generator costs half as much again, and this is what `logs` does all the time.
  for (let start = 0; start < block.length; ) {
    const end = endOfLine(block, start);
    const entry = parseEntry(block.subarray(start, end));
    start = end + 1;
    if (entry === null || !(entry.stderr ? format.stderr : format.stdout)) continue;
    if (since !== null && comparable(entry.time) < since) continue;
    if (until !== null && comparable(entry.time) > until) return { output: output.taken(), past: true };
    appendEntry(output, entry, format);
  }
  return { output: output.taken(), past: false };
}

/** The entries of a block of whole lines; their texts are only valid as long as the block is. */
export function* entriesOf(block: Buffer): Generator<Entry> {
  for (let start = 0; start < block.length; ) {
    const end = endOfLine(block, start);
    const entry = parseEntry(block.subarray(start, end));
    start = end + 1;
    if (entry !== null) yield entry;
  }
}

function endOfLine(block: Buffer, start: number): number {
  const end = block.indexOf(newline, start);
  return end < 0 ? block.length : end;
}

function appendEntry(output: GrowingBuffer, entry: Entry, format: EntryFormat): void {
  const leader =
    (format.timestamps ? `${nineDigits(entry.time)} ` : '') +
    (format.details ? `${attributeText(entry.attributes ?? format.attributes ?? null)} ` : '');
  const leaderBytes = Buffer.byteLength(leader);
  const length = leaderBytes + entry.text.length + (entry.newlineAfter ? 1 : 0);
  output.reserve(headerBytes + length);
  if (format.framed) {
    output.writeUInt32(entry.stderr ? 0x02000000 : 0x01000000);
    output.writeUInt32(length);
  }
  if (leaderBytes > 0) output.write(Buffer.from(leader));
  output.write(entry.text);
  if (entry.newlineAfter) output.writeByte(newline);
}

class GrowingBuffer {
  #bytes: Buffer;
  #length = 0;

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafe(sizeBytes);
  }

  reserve(sizeBytes: number): void {
    if (this.#length + sizeBytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + sizeBytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  write(bytes: Buffer): void {
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
  }

  writeUInt32(value: number): void {
    this.#length = this.#bytes.writeUInt32BE(value, this.#length);
  }

  writeByte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  taken(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Null for what is no entry: a torn line after a crash must not cost the reader the rest of the log. */
function parseEntry(line: Buffer): Entry | null {
  return parsePlain(line) ?? parseJson(line) ?? parseAfterTear(line);
}

/** Most lines have no escape but the newline at the end: their bytes are taken as they are, several times as fast as by JSON.parse. */
function parsePlain(line: Buffer): Entry | null {
  if (!holdsAt(line, 0, prefix)) return null;
  const textEnd = line.indexOf(quote, prefix.length);
  const escapeAt = line.indexOf(backslash, prefix.length);
  const newlineAfter = escapeAt === textEnd - 2 && line[escapeAt + 1] === letterN;
  if (textEnd < 0 || (escapeAt >= 0 && escapeAt < textEnd && !newlineAfter)) return null;
  const stderr = holdsAt(line, textEnd, afterStderr);
  if (!stderr && !holdsAt(line, textEnd, afterStdout)) return null;
  const timeStart = textEnd + afterStdout.length;
  const timeEnd = line.length - 2;
  if (line.indexOf(quote, timeStart) !== timeEnd || line[timeEnd + 1] !== 0x7d) return null;
  const text = line.subarray(prefix.length, newlineAfter ? textEnd - 2 : textEnd);
  return { stderr, time: line.toString('latin1', timeStart, timeEnd), attributes: null, text, newlineAfter };
}

function holdsAt(line: Buffer, at: number, expected: Buffer): boolean {
  return at + expected.length <= line.length && line.compare(expected, 0, expected.length, at, at + expected.length) === 0;
}

function parseJson(line: Buffer): Entry | null {
  try {
    const { log, stream, time, attrs } = JSON.parse(line.toString()) as Record<string, unknown>;
    if (typeof log !== 'string' || typeof stream !== 'string' || typeof time !== 'string') return null;
    return { stderr: stream === 'stderr', time, attributes: isRecord(attrs) ? attrs : null, text: Buffer.from(log), newlineAfter: false };
  } catch {
    return null;
  }
}

/** The writer died within a line and the next writer appended to it: the whole line after the tear is still there. */
function parseAfterTear(line: Buffer): Entry | null {
  const start = line.lastIndexOf(prefix);
  return start > 0 ? parseJson(line.subarray(start)) : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const lastSecond = 253_402_300_799n;

/** Times in this form are in the order of their texts. */
function instantText(nanoseconds: bigint): string {
  const clamped = nanoseconds < 0n ? 0n : nanoseconds;
  const seconds = clamped / 1_000_000_000n > lastSecond ? lastSecond : clamped / 1_000_000_000n;
  const fraction = String(clamped % 1_000_000_000n).padStart(9, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

function comparable(time: string): string {
  return time.endsWith('Z') ? nineDigits(time) : instantText(timeNanoOf(time));
}

/** Of a line's time. */
export function timeNanoOf(time: string): bigint {
  const milliseconds = Date.parse(`${time.slice(0, 19)}${/(?:Z|[+-]\d\d:\d\d)$/.exec(time)?.[0] ?? 'Z'}`);
  const fraction = /\.(\d{1,9})/.exec(time)?.[1] ?? '';
  return Number.isNaN(milliseconds) ? 0n : BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** Docker prints log times with exactly nine digits; the file has them trimmed. */
function nineDigits(time: string): string {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  return match === null ? time : `${match[1]}.${(match[2] ?? '').slice(0, 9).padEnd(9, '0')}${match[3]}`;
}

/** `k=v,k2=v2`, sorted, query-escaped as Docker does. */
function attributeText(attributes: Entry['attributes']): string {
  const queryEscape = (text: string) => encodeURIComponent(text).replaceAll('%20', '+');
  return Object.entries(attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${queryEscape(key)}=${queryEscape(String(value))}`)
    .join(',');
}
