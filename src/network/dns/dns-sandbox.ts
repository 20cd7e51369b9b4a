/**
 * The resolver of one container: what comes in on its two sockets is answered from the names it may see, and otherwise forwarded, to the servers it asked for
 * (from inside its namespace) or to the host's (from the host). A container on internal networks alone is never given the host's: its questions would leave by
 * that way. Servers of its own stay allowed: it could ask them by itself, as far as its networks go.
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { closeDescriptor } from '../../linux/file-calls.ts';
import type { DnsSpec } from '../net-calls.ts';
import {
  classIn,
  largestTcpBytes,
  parseQuery,
  type Query,
  rcode,
  typeA,
  typeAaaa,
  typeAny,
  typePtr,
  udpLimit,
  writeAnswer,
  writeBareFailure,
  writeFailure,
} from './dns-message.ts';
import { type Forwarding, forwardQuestion } from './forward-question.ts';
import type { HostServers } from './host-servers.ts';
import { literalLookup } from './literal-lookup.ts';
import { type NameEntry, type NameScope, type NameTable, nameScope } from './name-table.ts';
import { type AskSettings, askSettings, embeddedResolver } from './resolv-conf.ts';
import { type AnswerQuestion, serveTcp, type TcpService } from './tcp-service.ts';
import { type OpenUpstream, Upstream } from './upstream.ts';

export interface DnsSockets {
  /** Bound, in the container's namespace. */
  readonly udp: number;
  /** Bound; we listen. */
  readonly tcp: number;
}

export interface DnsSandboxContext {
  readonly names: NameTable;
  readonly host: HostServers;
  readonly port: number;
}

/** Docker's number. */
const mostForwarded = 1024;
const mostOwnServers = 8;

export class DnsSandbox {
  readonly #context: DnsSandboxContext;
  readonly #open: OpenUpstream;
  readonly #underWay = new Set<Forwarding>();
  #udp: Socket | null = null;
  #tcp: TcpService | null = null;
  #scope: NameScope = { networks: [], links: new Map() };
  #forward = false;
  #own: readonly Upstream[] = [];
  /** Null: the host's. */
  #settings: AskSettings | null = null;
  #closed = false;

  constructor(context: DnsSandboxContext, spec: DnsSpec, open: OpenUpstream) {
    this.#context = context;
    this.#open = open;
    this.update(spec);
  }

  /** The sockets are ours from here, also when it fails. */
  async serve(sockets: DnsSockets): Promise<void> {
    let tcpFd: number | null = sockets.tcp;
    try {
      this.#udp = serveUdp(sockets.udp, (packet, reply) => this.#answer(packet, 'udp', reply));
      tcpFd = null;
      this.#tcp = await serveTcp(sockets.tcp, (packet, reply) => this.#answer(packet, 'tcp', reply));
    } catch (error) {
      if (tcpFd !== null) closeDescriptor(tcpFd);
      this.close();
      throw error;
    }
    if (this.#closed) this.#tcp.close();
  }

  update(spec: DnsSpec): void {
    this.#scope = nameScope(spec.networks, spec.links);
    this.#forward = spec.forward;
    this.#settings = spec.options.length === 0 ? null : askSettings(spec.options);
    // Not ourselves, which would go round in circles; a scope would name an interface of another namespace.
    const wanted = spec.servers.filter((server) => server !== embeddedResolver && isIP(server) !== 0 && !server.includes('%'));
    const before = this.#own;
    this.#own = wanted
      .slice(0, mostOwnServers)
      .map((address) => before.find((upstream) => upstream.address === address) ?? new Upstream(address, this.#context.port, this.#open));
    for (const upstream of before) if (!this.#own.includes(upstream)) upstream.retire();
  }

  /** False: what came is no question (an answer, or too short to be either). */
  #answer(packet: Buffer, protocol: 'udp' | 'tcp', reply: (answer: Buffer) => void): boolean {
    const parsed = parseQuery(packet);
    if (parsed.kind === 'query') {
      const { query } = parsed;
      const local = this.#local(packet, query, protocol === 'udp' ? udpLimit(query) : largestTcpBytes);
      if (local === null) this.#pass(packet, query, protocol, reply);
      else reply(local);
    } else if (parsed.kind === 'error') reply(writeBareFailure(packet, parsed.rcode));
    else return false;
    return true;
  }

  /** Null: no name of ours. A name that is ours is answered by us alone, for every type: what we don't have does not exist (NODATA). */
  #local(packet: Buffer, query: Query, limitBytes: number): Buffer | null {
    const { name, type } = query;
    if (query.edns !== null && query.edns.version > 0) return writeFailure(packet, query, rcode.badVersion);
    if (name === null || name === '' || (query.class !== classIn && query.class !== typeAny)) return null;
    const { names } = this.#context;
    if (type === typePtr && name.endsWith('.arpa')) {
      const record = names.findReverse(this.#scope, name);
      return record === null ? null : writeAnswer(packet, query, [record], 0, limitBytes);
    }
    const entry = names.find(this.#scope, name, type === typeAaaa ? 'v6' : 'v4');
    if (entry === null) return null;
    return writeRotated(packet, query, entry, limitBytes);
  }

  #pass(packet: Buffer, query: Query, protocol: 'udp' | 'tcp', reply: (answer: Buffer) => void): void {
    const { host } = this.#context;
    const upstreams = this.#own.length > 0 ? this.#own : this.#forward ? host.upstreams : [];
    // Nobody to ask: whether the name exists cannot be known (NXDOMAIN would say that it does not). As Docker on internal networks.
    const refusal = upstreams.length === 0 ? rcode.serverFailure : this.#underWay.size >= mostForwarded ? rcode.refused : null;
    if (refusal !== null) {
      reply(writeFailure(packet, query, refusal));
      return;
    }
    const settings = this.#settings ?? (this.#own.length > 0 ? askSettings([]) : host.settings);
    const forwarding = forwardQuestion({
      upstreams,
      settings,
      protocol,
      packet,
      query,
      done: (answer) => {
        this.#underWay.delete(forwarding);
        if (answer !== null) packet.copy(answer, 0, 0, 2);
        reply(answer ?? writeFailure(packet, query, rcode.serverFailure));
      },
    });
    this.#underWay.add(forwarding);
  }

  sweep(now: number): void {
    for (const upstream of this.#own) upstream.sweep(now);
  }

  close(): void {
    this.#closed = true;
    for (const forwarding of this.#underWay) forwarding.cancel();
    this.#underWay.clear();
    for (const upstream of this.#own) upstream.retire();
    this.#udp?.close();
    this.#udp = null;
    this.#tcp?.close();
    this.#tcp = null;
  }
}

function writeRotated(packet: Buffer, query: Query, entry: NameEntry, limitBytes: number): Buffer {
  if (query.type === typeA) {
    entry.turn4 = next(entry.turn4, entry.v4.length);
    return writeAnswer(packet, query, entry.v4, entry.turn4, limitBytes);
  }
  if (query.type === typeAaaa) {
    entry.turn6 = next(entry.turn6, entry.v6.length);
    return writeAnswer(packet, query, entry.v6, entry.turn6, limitBytes);
  }
  return writeAnswer(packet, query, query.type === typeAny ? [...entry.v4, ...entry.v6] : [], 0, limitBytes);
}

function next(turn: number, length: number): number {
  return length <= 1 ? 0 : (turn + 1) % length;
}

/** The socket becomes ours, also when it fails. */
function serveUdp(fd: number, answer: AnswerQuestion): Socket {
  let closed = false;
  const socket = createSocket({ type: 'udp4', lookup: literalLookup });
  socket.on('close', () => {
    closed = true;
  });
  // A send that the container's own rules refuse (EPERM), or memory that is short: the client asks again.
  socket.on('error', () => undefined);
  socket.on('message', (packet, from) => {
    answer(packet, (reply) => {
      if (!closed) socket.send(reply, from.port, from.address);
    });
  });
  try {
    socket.bind({ fd });
  } catch (error) {
    socket.close();
    closeDescriptor(fd);
    throw error;
  }
  socket.unref();
  return socket;
}
