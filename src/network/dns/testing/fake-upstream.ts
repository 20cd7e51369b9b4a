/** For tests: a DNS server of the world outside, on an address of loopback, that behaves as told. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { wireName } from './dns-client.ts';

export interface FakeUpstream {
  readonly address: string;
  readonly port: number;
  /** Names asked by UDP and by TCP, in order. */
  readonly asked: string[];
  readonly askedTcp: string[];
  /** Source ports and ids of the UDP questions. */
  readonly sources: { readonly port: number; readonly id: number }[];
  readonly packets: Buffer[];
  close(): Promise<void>;
}

/** Null: silence. */
export type FakeAnswer = (asked: AskedQuestion) => Buffer | null;

export interface AskedQuestion {
  readonly name: string;
  readonly packet: Buffer;
  readonly protocol: 'udp' | 'tcp';
  readonly from: RemoteInfo | null;
  readonly server: Socket;
}

export interface AnswerOptions {
  readonly rcode?: number;
  readonly addresses?: readonly string[];
  readonly truncated?: boolean;
  readonly id?: number;
  /** Another question than that asked. */
  readonly name?: string;
}

export function answerTo(packet: Buffer, { rcode = 0, addresses = [], truncated = false, id, name }: AnswerOptions = {}): Buffer {
  const end = questionEnd(packet);
  const flags = 0x8180 | (truncated ? 0x200 : 0) | rcode;
  const header = Buffer.from([0, 0, flags >> 8, flags & 255, 0, 1, 0, addresses.length, 0, 0, 0, 0]);
  header.writeUInt16BE(id ?? packet.readUInt16BE(0), 0);
  const asked = name === undefined ? packet.subarray(12, end) : Buffer.concat([wireName(name), packet.subarray(end - 4, end)]);
  const records = addresses.map((address) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]));
  return Buffer.concat([header, asked, ...records]);
}

function questionEnd(packet: Buffer): number {
  let offset = 12;
  while ((packet[offset] ?? 0) !== 0) offset += 1 + (packet[offset] ?? 0);
  return offset + 5;
}

function nameOf(packet: Buffer): string {
  const labels: string[] = [];
  for (let offset = 12; (packet[offset] ?? 0) !== 0; offset += 1 + (packet[offset] ?? 0)) {
    labels.push(packet.toString('latin1', offset + 1, offset + 1 + (packet[offset] ?? 0)));
  }
  return labels.join('.');
}

/** `port` 0: any that is free for both protocols. */
export async function fakeUpstream(address: string, port: number, answer: FakeAnswer): Promise<FakeUpstream> {
  const asked: string[] = [];
  const askedTcp: string[] = [];
  const sources: { port: number; id: number }[] = [];
  const packets: Buffer[] = [];
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (packet, from) => {
    asked.push(nameOf(packet));
    packets.push(packet);
    sources.push({ port: from.port, id: packet.readUInt16BE(0) });
    const reply = answer({ name: nameOf(packet), packet, protocol: 'udp', from, server: udp });
    if (reply !== null) udp.send(reply, from.port, from.address);
  });
  const tcp = createServer((socket) => {
    let rest = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk as Buffer]);
      if (rest.length < 2 || rest.length < 2 + rest.readUInt16BE(0)) return;
      const packet = rest.subarray(2);
      askedTcp.push(nameOf(packet));
      const reply = answer({ name: nameOf(packet), packet, protocol: 'tcp', from: null, server: udp });
      if (reply !== null) socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
    });
  });
  await new Promise<void>((resolve) => udp.bind(port, address, resolve));
  const bound = udp.address().port;
  await listen(tcp, bound, address);
  return {
    address,
    port: bound,
    asked,
    askedTcp,
    sources,
    packets,
    async close() {
      await new Promise<void>((resolve) => udp.close(resolve));
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

function listen(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
}
