/** For tests: questions and answers in words, written apart from the code under test. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

export interface TestAnswer {
  readonly id: number;
  readonly rcode: number;
  readonly truncated: boolean;
  readonly recursionAvailable: boolean;
  readonly question: string;
  /** `name TYPE ttl data` */
  readonly answers: readonly string[];
  /** UDP size, extended code and DO of the OPT record. */
  readonly edns: { readonly size: number; readonly extendedRcode: number; readonly dnssecOk: boolean } | null;
  readonly bytes: number;
}

export const types = { A: 1, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28, OPT: 41, HTTPS: 65, ANY: 255 } as const;
export type TypeName = keyof typeof types;

export interface QuestionOptions {
  readonly id?: number;
  readonly ednsSize?: number;
  readonly ednsVersion?: number;
}

export function wireName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')), Buffer.of(0)]);
}

export function question(name: string, type: TypeName, { id = 0x1234, ednsSize, ednsVersion = 0 }: QuestionOptions = {}): Buffer {
  const header = Buffer.from([id >> 8, id & 255, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, ednsSize === undefined ? 0 : 1]);
  const opt = ednsSize === undefined ? [] : [0, 0, 41, ednsSize >> 8, ednsSize & 255, 0, ednsVersion, 0x80, 0, 0, 0];
  return Buffer.concat([header, wireName(name), Buffer.from([types[type] >> 8, types[type] & 255, 0, 1]), Buffer.from(opt)]);
}

export function readAnswer(message: Buffer): TestAnswer {
  const counts = [4, 6, 8, 10].map((offset) => message.readUInt16BE(offset));
  let offset = 12;
  let asked = '';
  if (counts[0] === 1) {
    const name = readName(message, offset);
    asked = name.text;
    offset = name.end + 4;
  }
  const answers: string[] = [];
  let edns: TestAnswer['edns'] = null;
  for (let record = 0; record < (counts[1] ?? 0) + (counts[2] ?? 0) + (counts[3] ?? 0); record++) {
    const owner = readName(message, offset);
    const type = message.readUInt16BE(owner.end);
    const length = message.readUInt16BE(owner.end + 8);
    const start = owner.end + 10;
    if (type === types.OPT) {
      const flags = message.readUInt16BE(owner.end + 6);
      edns = { size: message.readUInt16BE(owner.end + 2), extendedRcode: message[owner.end + 4] ?? 0, dnssecOk: (flags & 0x8000) !== 0 };
    } else {
      const typeName = Object.entries(types).find(([, value]) => value === type)?.[0] ?? String(type);
      answers.push(`${owner.text} ${typeName} ${message.readUInt32BE(owner.end + 4)} ${readData(message, type, start, length)}`);
    }
    offset = start + length;
  }
  if (offset !== message.length) throw new Error(`${message.length - offset} bytes too many`);
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) === 0) throw new Error('not an answer');
  return {
    id: message.readUInt16BE(0),
    rcode: flags & 15,
    truncated: (flags & 0x200) !== 0,
    recursionAvailable: (flags & 0x80) !== 0,
    question: asked,
    answers,
    edns,
    bytes: message.length,
  };
}

function readData(message: Buffer, type: number, start: number, length: number): string {
  if (type === types.PTR || type === types.CNAME) return readName(message, start).text;
  const data = message.subarray(start, start + length);
  return type === types.A ? data.join('.') : data.toString('hex');
}

function readName(message: Buffer, start: number): { readonly text: string; readonly end: number } {
  const labels: string[] = [];
  let offset = start;
  let end = -1;
  for (;;) {
    const length = message[offset] ?? 0;
    if (length >= 0xc0) {
      if (end < 0) end = offset + 2;
      offset = message.readUInt16BE(offset) & 0x3fff;
    } else if (length === 0) return { text: labels.join('.'), end: end < 0 ? offset + 1 : end };
    else {
      labels.push(message.toString('latin1', offset + 1, offset + 1 + length));
      offset += 1 + length;
    }
  }
}

/** Null: no answer in the time. */
export async function askUdp(port: number, message: Buffer, waitMs = 6_000): Promise<TestAnswer | null> {
  const socket = createSocket('udp4');
  try {
    const answer = Promise.withResolvers<Buffer | null>();
    socket.on('message', (bytes) => answer.resolve(bytes));
    socket.send(message, port, '127.0.0.1');
    const timer = setTimeout(() => answer.resolve(null), waitMs);
    const bytes = await answer.promise;
    clearTimeout(timer);
    return bytes === null ? null : readAnswer(bytes);
  } finally {
    socket.close();
  }
}

/** All over one connection, answers in the order they come; it ends when the server closes. */
export async function askTcp(port: number, messages: readonly Buffer[]): Promise<readonly TestAnswer[]> {
  const socket = connect(port, '127.0.0.1');
  for (const message of messages) socket.write(Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]));
  const answers: TestAnswer[] = [];
  let rest = Buffer.alloc(0);
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      answers.push(readAnswer(rest.subarray(2, end)));
      rest = rest.subarray(end);
    }
    if (answers.length === messages.length) break;
  }
  socket.destroy();
  return answers;
}
