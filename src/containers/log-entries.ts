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
const backslash = 0x5c;
const letterN = 0x6e;
const headerBytes = 8;
const prefix = Buffer.from('{"log":"');
/** Cannot occur inside a JSON string unescaped. */
const afterLog = Buffer.from('","stream":"');
const plainTail = /^(stdout|stderr)","time":"([^"\\]+)"\}$/;
const newlineByte = Buffer.from('\n');

export interface EntryFormat {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly since: Date | null;
  readonly until: Date | null;
  /** Frames, or raw bytes with a terminal. */
  readonly framed: boolean;
}

interface Entry {
  readonly stream: string;
  readonly time: string;
  readonly attributes: Readonly<Record<string, unknown>> | null;
  readonly pieces: readonly Buffer[];
}

/** `past`: a line later than `until` was met; nothing after it is wanted. The output is a copy: `block` may be reused. */
export function formatBlock(block: Buffer, format: EntryFormat): { readonly output: Buffer; readonly past: boolean } {
  const pieces: Buffer[] = [];
  for (let start = 0; start < block.length; ) {
    const end = block.indexOf(newline, start);
    const entry = parseEntry(block.subarray(start, end < 0 ? block.length : end));
    start = end < 0 ? block.length : end + 1;
    if (entry === null || !wants(format, entry.stream)) continue;
    if (format.since !== null && Date.parse(entry.time) < format.since.getTime()) continue;
    if (format.until !== null && Date.parse(entry.time) > format.until.getTime()) return { output: Buffer.concat(pieces), past: true };
    appendEntry(pieces, entry, format);
  }
  return { output: Buffer.concat(pieces), past: false };
}

function wants(format: EntryFormat, stream: string): boolean {
  return stream === 'stderr' ? format.stderr : format.stdout;
}

function appendEntry(pieces: Buffer[], entry: Entry, format: EntryFormat): void {
  const leader = (format.timestamps ? `${nineDigits(entry.time)} ` : '') + (format.details ? `${attributeText(entry.attributes)} ` : '');
  const leaderBytes = leader === '' ? null : Buffer.from(leader);
  if (format.framed) {
    const header = Buffer.alloc(headerBytes);
    header[0] = entry.stream === 'stderr' ? 2 : 1;
    header.writeUInt32BE(
      entry.pieces.reduce((sum, piece) => sum + piece.length, leaderBytes?.length ?? 0),
      4,
    );
    pieces.push(header);
  }
  if (leaderBytes !== null) pieces.push(leaderBytes);
  pieces.push(...entry.pieces);
}

/** Null for what is no entry: a torn line after a crash must not cost the reader the rest of the log. */
function parseEntry(line: Buffer): Entry | null {
  return parsePlain(line) ?? parseJson(line) ?? parseAfterTear(line);
}

/** Most lines have no escape but the newline at the end: their bytes are taken as they are, four times as fast as by JSON.parse. */
function parsePlain(line: Buffer): Entry | null {
  if (line.compare(prefix, 0, prefix.length, 0, prefix.length) !== 0) return null;
  const logEnd = line.indexOf(afterLog, prefix.length);
  if (logEnd < 0) return null;
  const escape = line.indexOf(backslash, prefix.length);
  const endsWithNewline = escape === logEnd - 2 && line[escape + 1] === letterN;
  if (escape >= 0 && !endsWithNewline) return null;
  const tail = plainTail.exec(line.latin1Slice(logEnd + afterLog.length));
  if (tail === null) return null;
  const text = line.subarray(prefix.length, endsWithNewline ? logEnd - 2 : logEnd);
  return { stream: tail[1] as string, time: tail[2] as string, attributes: null, pieces: endsWithNewline ? [text, newlineByte] : [text] };
}

function parseJson(line: Buffer): Entry | null {
  try {
    const { log, stream, time, attrs } = JSON.parse(line.toString()) as Record<string, unknown>;
    if (typeof log !== 'string' || typeof stream !== 'string' || typeof time !== 'string') return null;
    return { stream, time, attributes: isRecord(attrs) ? attrs : null, pieces: [Buffer.from(log)] };
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

/** Docker prints log times with exactly nine digits; the file has them trimmed. */
function nineDigits(time: string): string {
  const match = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  return match === null ? time : `${match[1]}.${(match[2] ?? '').slice(0, 9).padEnd(9, '0')}${match[3]}`;
}

/** `k=v,k2=v2`, sorted, query-escaped as Docker does. */
function attributeText(attributes: Entry['attributes']): string {
  const escape = (text: string) => encodeURIComponent(text).replaceAll('%20', '+');
  return Object.entries(attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${escape(key)}=${escape(String(value))}`)
    .join(',');
}
