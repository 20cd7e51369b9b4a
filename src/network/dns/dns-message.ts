/**
 * DNS messages (RFC 1035, EDNS 0 of RFC 6891) as far as a container's resolver needs them: the question is parsed, local answers are written, and an answer from
 * outside is only compared with its question. Everything else travels as raw bytes.
 *
 *     0        2        4        6        8        10       12
 *     ├─ id ───┼ flags ─┼ QDCOUNT┼ ANCOUNT┼ NSCOUNT┼ ARCOUNT┼─ question: labels, 0, type, class ─┼─ records …
 *
 * What comes is hostile: no function here throws on any bytes, reads outside of them, or follows a pointer.
 */

export const typeA = 1;
export const typePtr = 12;
export const typeAaaa = 28;
export const typeAny = 255;
export const classIn = 1;

export const rcode = { formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5, badVersion: 16 } as const;

const typeOpt = 41;
const headerBytes = 12;
const maxNameBytes = 255;
const maxLabelBytes = 63;
/** Records after the question that are looked at for the OPT record; a resolver sends one. */
const maxRecords = 16;
/** What we accept by UDP, said in our OPT record: fits every link unfragmented (DNS flag day 2020). */
const ownUdpBytes = 1232;
const plainUdpBytes = 512;
/** The most that UDP over IPv4 carries. */
const largestUdpBytes = 65_507;
export const largestTcpBytes = 65_535;
/** Docker's. */
const ttlSeconds = 600;

const flagResponse = 0x8000;
const flagTruncated = 0x0200;
const flagRecursionAvailable = 0x0080;
/** Copied from the question: recursion desired, checking disabled. */
const echoedFlags = 0x0110;
const opcodeMask = 0x7800;

export interface Query {
  /** Lower case, labels joined by dots, no dot at the end. Null: it has a label with a dot inside, which no name of ours has. */
  readonly name: string | null;
  readonly type: number;
  readonly class: number;
  /** The question is the bytes from 12 to here. */
  readonly questionEnd: number;
  readonly edns: Edns | null;
}

export interface Edns {
  readonly udpBytes: number;
  readonly version: number;
  readonly dnssecOk: boolean;
}

/** `drop`: no question at all, or an answer; to answer it would make loops. */
export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'error'; readonly rcode: number }
  | { readonly kind: 'drop' };

const dropped: ParsedQuery = { kind: 'drop' };
const malformed: ParsedQuery = { kind: 'error', rcode: rcode.formatError };
const notImplemented: ParsedQuery = { kind: 'error', rcode: rcode.notImplemented };

export function parseQuery(packet: Buffer): ParsedQuery {
  if (packet.length < headerBytes) return dropped;
  const flags = packet.readUInt16BE(2);
  if ((flags & flagResponse) !== 0) return dropped;
  if ((flags & opcodeMask) !== 0) return notImplemented;
  if (packet.readUInt16BE(4) !== 1) return malformed;
  const name = readQuestionName(packet);
  if (name === null || name.end + 4 > packet.length) return malformed;
  const questionEnd = name.end + 4;
  const edns = readEdns(packet, questionEnd);
  if (edns === 'malformed') return malformed;
  const type = packet.readUInt16BE(name.end);
  return { kind: 'query', query: { name: name.text, type, class: packet.readUInt16BE(name.end + 2), questionEnd, edns } };
}

/** Null: out of bounds, too long, or with a compression pointer, which a question has nothing to point to with. */
function readQuestionName(packet: Buffer): { readonly text: string | null; readonly end: number } | null {
  let text = '';
  let dotInside = false;
  let offset = headerBytes;
  for (;;) {
    const length = packet[offset];
    if (length === undefined || length > maxLabelBytes) return null;
    const end = offset + 1 + length;
    if (end > packet.length || end - headerBytes > maxNameBytes) return null;
    if (length === 0) return { text: dotInside ? null : text.toLowerCase(), end };
    const label = packet.toString('latin1', offset + 1, end);
    dotInside ||= label.includes('.');
    text = text === '' ? label : `${text}.${label}`;
    offset = end;
  }
}

function readEdns(packet: Buffer, start: number): Edns | null | 'malformed' {
  const records = packet.readUInt16BE(6) + packet.readUInt16BE(8) + packet.readUInt16BE(10);
  let offset = start;
  for (let record = 0; record < records && record < maxRecords; record++) {
    const owner = skipName(packet, offset);
    if (owner === null || owner + 10 > packet.length) return 'malformed';
    const end = owner + 10 + packet.readUInt16BE(owner + 8);
    if (end > packet.length) return 'malformed';
    if (packet.readUInt16BE(owner) === typeOpt) {
      return {
        udpBytes: packet.readUInt16BE(owner + 2),
        version: packet[owner + 5] ?? 0,
        dnssecOk: (packet.readUInt16BE(owner + 6) & 0x8000) !== 0,
      };
    }
    offset = end;
  }
  return null;
}

/** Where the name ends; a pointer ends it and is not followed. */
function skipName(packet: Buffer, start: number): number | null {
  let offset = start;
  while (offset < packet.length) {
    const length = packet[offset] ?? 0;
    if (length === 0) return offset + 1;
    if (length >= 0xc0) return offset + 2;
    if (length > maxLabelBytes) return null;
    offset += 1 + length;
  }
  return null;
}

/** How long an answer by UDP may be. */
export function udpLimit({ edns }: Query): number {
  return Math.min(largestUdpBytes, Math.max(plainUdpBytes, edns?.udpBytes ?? 0));
}

/** What stands behind type and class of a record: address bytes, or a name of `encodeName`. */
export interface RecordData {
  readonly type: number;
  readonly data: Uint8Array;
}

/**
 * NOERROR with these records, beginning with the one at `first` (round robin). No record at all is NODATA. What does not fit is left out and said by TC.
 * An answer is never longer than `limitBytes`, which is at least 512.
 */
export function writeAnswer(packet: Buffer, query: Query, records: readonly RecordData[], first: number, limitBytes: number): Buffer {
  const optBytes = query.edns === null ? 0 : 11;
  let size = query.questionEnd + optBytes;
  let fitting = 0;
  for (; fitting < records.length; fitting++) {
    const bytes = 12 + (records[(first + fitting) % records.length]?.data.length ?? 0);
    if (size + bytes > limitBytes) break;
    size += bytes;
  }
  const answer = Buffer.allocUnsafe(size);
  writeHeader(answer, packet, query, { rcode: 0, truncated: fitting < records.length, answers: fitting });
  let offset = query.questionEnd;
  for (let index = 0; index < fitting; index++) {
    const record = records[(first + index) % records.length];
    if (record !== undefined) offset = writeRecord(answer, offset, record);
  }
  if (query.edns !== null) writeOpt(answer, offset, query.edns, 0);
  return answer;
}

/** An error with the question in it. */
export function writeFailure(packet: Buffer, query: Query, code: number): Buffer {
  const answer = Buffer.allocUnsafe(query.questionEnd + (query.edns === null ? 0 : 11));
  writeHeader(answer, packet, query, { rcode: code, truncated: false, answers: 0 });
  if (query.edns !== null) writeOpt(answer, query.questionEnd, query.edns, code);
  return answer;
}

/** An error for what has no question that could be repeated: a header alone. */
export function writeBareFailure(packet: Buffer, code: number): Buffer {
  const answer = Buffer.alloc(headerBytes);
  answer.writeUInt16BE(packet.readUInt16BE(0), 0);
  const flags = packet.readUInt16BE(2);
  answer.writeUInt16BE(flagResponse | (flags & (opcodeMask | echoedFlags)) | flagRecursionAvailable | code, 2);
  return answer;
}

function writeHeader(
  answer: Buffer,
  packet: Buffer,
  { questionEnd, edns }: Query,
  how: { readonly rcode: number; readonly truncated: boolean; readonly answers: number },
): void {
  packet.copy(answer, 0, 0, questionEnd);
  const echoed = packet.readUInt16BE(2) & echoedFlags;
  const truncated = how.truncated ? flagTruncated : 0;
  answer.writeUInt16BE(flagResponse | echoed | flagRecursionAvailable | truncated | (how.rcode & 0xf), 2);
  answer.writeUInt16BE(how.answers, 6);
  answer.writeUInt16BE(0, 8);
  answer.writeUInt16BE(edns === null ? 0 : 1, 10);
}

function writeRecord(answer: Buffer, start: number, { type, data }: RecordData): number {
  // The owner is the question's name: a pointer to byte 12.
  answer.writeUInt16BE(0xc000 | headerBytes, start);
  answer.writeUInt16BE(type, start + 2);
  answer.writeUInt16BE(classIn, start + 4);
  answer.writeUInt32BE(ttlSeconds, start + 6);
  answer.writeUInt16BE(data.length, start + 10);
  answer.set(data, start + 12);
  return start + 12 + data.length;
}

function writeOpt(answer: Buffer, start: number, edns: Edns, code: number): void {
  answer[start] = 0;
  answer.writeUInt16BE(typeOpt, start + 1);
  answer.writeUInt16BE(ownUdpBytes, start + 3);
  answer[start + 5] = code >> 4;
  answer[start + 6] = 0;
  answer.writeUInt16BE(edns.dnssecOk ? 0x8000 : 0, start + 7);
  answer.writeUInt16BE(0, start + 9);
}

/** Null: the name cannot be said in DNS (a label beyond 63 bytes or empty, more than 255 in all). */
export function encodeName(name: string): Buffer | null {
  const parts: Buffer[] = [];
  let size = 1;
  for (const label of name.split('.')) {
    const bytes = Buffer.from(label);
    if (bytes.length === 0 || bytes.length > maxLabelBytes) return null;
    size += 1 + bytes.length;
    parts.push(Buffer.of(bytes.length), bytes);
  }
  return size > maxNameBytes ? null : Buffer.concat([...parts, Buffer.of(0)]);
}

/** As `parseQuery` spells what comes over the wire: UTF-8 read byte by byte, lower case. */
export function nameKey(name: string): string {
  return Buffer.from(name.endsWith('.') ? name.slice(0, -1) : name)
    .toString('latin1')
    .toLowerCase();
}

/**
 * Whether `answer` can be the answer to this question: a response with the same question in it, in whatever case. Servers that fail leave the question out.
 * The id is compared by who holds it.
 */
export function answersQuestion(answer: Buffer, packet: Buffer, { questionEnd }: Query): boolean {
  if (answer.length < headerBytes) return false;
  const flags = answer.readUInt16BE(2);
  if ((flags & flagResponse) === 0 || (flags & opcodeMask) !== 0) return false;
  const questions = answer.readUInt16BE(4);
  if (questions === 0) return (flags & 0xf) !== 0;
  if (questions !== 1 || answer.length < questionEnd) return false;
  const nameEnd = questionEnd - 4;
  for (let offset = headerBytes; offset < nameEnd; offset++) {
    if (lowerCase(answer[offset] ?? 0) !== lowerCase(packet[offset] ?? 0)) return false;
  }
  return answer.compare(packet, nameEnd, questionEnd, nameEnd, questionEnd) === 0;
}

/** The lengths of labels (≤ 63) are no letters. */
function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** Of an answer that `answersQuestion` accepted. */
export function answerCode(answer: Buffer): number {
  return (answer[3] ?? 0) & 0xf;
}
