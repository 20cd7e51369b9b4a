/**
 * One server that questions are forwarded to. By UDP over a few connected sockets, each on a random port of the kernel's choice and replaced after a while, with
 * random ids: who wants to forge an answer must guess both. The kernel lets only the server's own address and port through.
 *
 *     alive ──3 questions unanswered, or refused──▶ dead ──anything heard──▶ alive
 *                                                    └─ now and then a question goes to it beside the others
 */
import { getRandomValues } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { Socket as TcpSocket } from 'node:net';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { answersQuestion, largestTcpBytes, type Query } from './dns-message.ts';
import { literalLookup } from './literal-lookup.ts';
import { frame, messageReader } from './tcp-framing.ts';

/** Null: in the namespace of this thread, the host's. Otherwise an unbound socket of the container's namespace. */
export type OpenUpstream = (family: 4 | 6, protocol: 'udp' | 'tcp') => number;

export interface UpstreamListener {
  heard(answer: Buffer): void;
  /** Nothing will come: nobody listens there, or there is no way to it. */
  failed(): void;
}

const socketsEach = 4;
const questionsPerSocket = 256;
const socketLifeMs = 20_000;
/** Ids are drawn until one is free: that stays quick with few of the 65 536 taken. */
const pendingPerSocket = 4096;
const missesUntilDead = 3;
const firstProbeMs = 2_000;
const lastProbeMs = 30_000;

export class Upstream {
  readonly address: string;
  readonly #port: number;
  readonly #open: OpenUpstream | null;
  #channels: UdpChannel[] = [];
  #turn = 0;
  #misses = 0;
  #probe: { readonly at: number; readonly pauseMs: number } | null = null;
  #closed = false;

  constructor(address: string, port: number, open: OpenUpstream | null) {
    this.address = address;
    this.#port = port;
    this.#open = open;
  }

  get dead(): boolean {
    return this.#probe !== null;
  }

  /** Whether a dead one is to be tried again; told once, then only after a longer pause. */
  takeProbe(now: number): boolean {
    if (this.#probe === null || now < this.#probe.at) return false;
    const pauseMs = Math.min(lastProbeMs, this.#probe.pauseMs * 2);
    this.#probe = { at: now + pauseMs, pauseMs };
    return true;
  }

  /** A question was given up without a word from it. */
  missed(): void {
    this.#misses += 1;
    if (this.#misses >= missesUntilDead) this.#bury();
  }

  #bury(): void {
    this.#probe ??= { at: Date.now() + firstProbeMs, pauseMs: firstProbeMs };
  }

  /** Returns how to stop listening. The listener is never called before this returns. */
  askUdp(packet: Buffer, query: Query, listener: UpstreamListener): () => void {
    return this.#channel().ask(packet, query, listener);
  }

  #channel(): UdpChannel {
    this.#turn = (this.#turn + 1) % socketsEach;
    const there = this.#channels[this.#turn];
    if (there?.usable) return there;
    const made = new UdpChannel(this.#udpSocket(), {
      heard: () => {
        this.#misses = 0;
        this.#probe = null;
      },
      refused: () => this.#bury(),
    });
    // Slots fill from the front: an index beyond the end is the next slot.
    const slot = Math.min(this.#turn, this.#channels.length);
    this.#channels[slot]?.retire();
    this.#channels[slot] = made;
    return made;
  }

  /** Null when the kernel refuses: no such family, no route, no descriptor left. */
  #udpSocket(): UdpSocket | null {
    if (this.#closed) return null;
    const family = this.#family;
    const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', lookup: literalLookup });
    // What goes wrong is seen below; a socket without a listener for errors would end the thread.
    socket.on('error', () => undefined);
    let fd: number | null = null;
    try {
      fd = this.#open?.(family, 'udp') ?? null;
      if (fd !== null) socket.bind({ fd });
      fd = null;
      socket.connect(this.#port, this.address);
      socket.remoteAddress();
      socket.unref();
      return socket;
    } catch {
      if (fd !== null) closeDescriptor(fd);
      socket.close();
      return null;
    }
  }

  get #family(): 4 | 6 {
    return this.address.includes(':') ? 6 : 4;
  }

  /** A connection for each question; returns as `askUdp`. */
  askTcp(packet: Buffer, query: Query, listener: UpstreamListener): () => void {
    const socket = this.#tcpSocket();
    if (socket === null) return later(listener);
    let over = false;
    const end = (tell: () => void) => {
      if (over) return;
      over = true;
      socket.destroy();
      tell();
    };
    const failed = () => end(() => listener.failed());
    const id = randomId();
    const read = messageReader(largestTcpBytes, (message) => {
      const fits = message.length >= 12 && message.readUInt16BE(0) === id && answersQuestion(message, packet, query);
      end(() => (fits ? listener.heard(message) : listener.failed()));
    });
    socket.on('connect', () => socket.write(frame(withId(packet, id))));
    socket.on('data', read);
    socket.on('error', failed);
    socket.on('close', failed);
    socket.connect({ host: this.address, port: this.#port });
    return () => end(() => undefined);
  }

  #tcpSocket(): TcpSocket | null {
    if (this.#closed) return null;
    let fd: number | null = null;
    try {
      fd = this.#open?.(this.#family, 'tcp') ?? null;
      // `manualStart`: a descriptor that is not connected yet must not be read from.
      return new TcpSocket(fd === null ? {} : ({ fd, manualStart: true } as never));
    } catch {
      if (fd !== null) closeDescriptor(fd);
      return null;
    }
  }

  /** Closes sockets that have served their time. */
  sweep(now: number): void {
    for (const channel of this.#channels) if (now - channel.bornAt > socketLifeMs) channel.retire();
    this.#channels = this.#channels.filter(({ usable }) => usable);
  }

  /** Nothing new is asked; what is under way may still be answered. */
  retire(): void {
    this.#closed = true;
    for (const channel of this.#channels) channel.retire();
    this.#channels = [];
  }
}

interface ChannelNews {
  readonly heard: () => void;
  readonly refused: () => void;
}

interface PendingQuestion {
  readonly packet: Buffer;
  readonly query: Query;
  readonly listener: UpstreamListener;
}

/** One socket and the questions under way on it, by id. */
class UdpChannel {
  readonly bornAt = Date.now();
  readonly #news: ChannelNews;
  readonly #pending = new Map<number, PendingQuestion>();
  #socket: UdpSocket | null;
  #asked = 0;
  #retired = false;

  constructor(socket: UdpSocket | null, news: ChannelNews) {
    this.#socket = socket;
    this.#news = news;
    socket?.on('message', (answer) => this.#heard(answer));
    socket?.on('error', () => this.#failed());
  }

  get usable(): boolean {
    return this.#socket !== null && !this.#retired && this.#asked < questionsPerSocket && this.#pending.size < pendingPerSocket;
  }

  ask(packet: Buffer, query: Query, listener: UpstreamListener): () => void {
    const socket = this.#socket;
    if (socket === null) return later(listener);
    this.#asked += 1;
    let id = randomId();
    while (this.#pending.has(id)) id = randomId();
    this.#pending.set(id, { packet, query, listener });
    socket.send(withId(packet, id), (error) => {
      if (error !== null) this.#failed();
    });
    return () => {
      this.#pending.delete(id);
      this.#closeIfDone();
    };
  }

  #heard(answer: Buffer): void {
    if (answer.length < 12) return;
    const id = answer.readUInt16BE(0);
    const pending = this.#pending.get(id);
    // Also one that comes too late says that the server is there. One that does not fit is nobody's answer: the right one may still come.
    this.#news.heard();
    if (pending === undefined || !answersQuestion(answer, pending.packet, pending.query)) return;
    this.#pending.delete(id);
    pending.listener.heard(answer);
    this.#closeIfDone();
  }

  /** An ICMP error, or no route: all that wait on this socket are told. */
  #failed(): void {
    if (this.#socket === null) return;
    const pending = [...this.#pending.values()];
    this.#close();
    if (pending.length > 0) this.#news.refused();
    for (const { listener } of pending) listener.failed();
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#pending.size === 0 && (this.#retired || this.#asked >= questionsPerSocket)) this.#close();
  }

  #close(): void {
    this.#pending.clear();
    this.#socket?.close();
    this.#socket = null;
  }
}

function later(listener: UpstreamListener): () => void {
  const immediate = setImmediate(() => listener.failed());
  return () => clearImmediate(immediate);
}

function withId(packet: Buffer, id: number): Buffer {
  const copy = Buffer.from(packet);
  copy.writeUInt16BE(id, 0);
  return copy;
}

const randomIds = new Uint16Array(2048);
let randomIdsUsed = randomIds.length;

function randomId(): number {
  if (randomIdsUsed === randomIds.length) {
    getRandomValues(randomIds);
    randomIdsUsed = 0;
  }
  const id = randomIds[randomIdsUsed] ?? 0;
  randomIdsUsed += 1;
  return id;
}
