/**
 * Sockets as Node cannot make them: opened in the network namespace that the calling thread is in, bound without being listened on, SCTP, raw families.
 * Everything is synchronous and returns at once. The caller owns the descriptor: it closes it (`closeDescriptor`), or hands it to Node
 * (`dgram.bind({fd})`, `net.Server.listen({fd})`), which then closes it.
 */
import { isIPv4 } from 'node:net';
import { constants } from 'node:os';
import { EngineError } from '../base/errors.ts';
import { bytesToIp, ipToBytes } from '../base/ip-bytes.ts';
import { bind, checked, isErrno, lastErrno, systemCallError } from './ffi.ts';
import { closeDescriptor } from './file-calls.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

export const SOL_SOCKET = 1;
export const SO_RCVTIMEO = 20;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_REUSEADDR = 2;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;

const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_SCTP = 132;

const native = {
  socket: bind('socket', 'int', ['int', 'int', 'int']),
  bind: bind('bind', 'int', ['int', 'void *', 'uint']),
  listen: bind('listen', 'int', ['int', 'int']),
  getsockname: bind('getsockname', 'int', ['int', 'void *', 'void *']),
  setsockopt: bind('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint']),
  send: bind('send', 'long', ['int', 'void *', 'size_t', 'int']),
  recv: bind('recv', 'long', ['int', 'void *', 'size_t', 'int']),
};

export type TransportProtocol = 'tcp' | 'udp' | 'sctp';

const transports: Readonly<Record<TransportProtocol, readonly [number, number]>> = {
  tcp: [SOCK_STREAM, IPPROTO_TCP],
  udp: [SOCK_DGRAM, IPPROTO_UDP],
  sctp: [SOCK_STREAM, IPPROTO_SCTP],
};

export interface InetAddress {
  readonly address: string;
  readonly port: number;
}

export interface BindRequest extends InetAddress {
  readonly protocol: TransportProtocol;
  /** For `::` only: also takes the port of IPv4. Default false. */
  readonly dualStack?: boolean;
  /** For listeners that must come back while old connections linger. Default false. */
  readonly reuseAddress?: boolean;
}

/**
 * `taken`: somebody holds the port (EADDRINUSE). `no-address`: the host has no such address (EADDRNOTAVAIL) or not this family.
 * `no-protocol`: the kernel has no sockets of this protocol (SCTP is a module of its own), so nobody can hold its ports.
 */
export type BindOutcome =
  | { readonly kind: 'bound'; readonly fd: number; readonly port: number }
  | { readonly kind: 'taken' | 'no-address' | 'no-protocol' };

/** A bound, non-blocking socket that nobody listens on yet: a connection to it is refused, and nobody else gets the port. Port 0: the kernel chooses. */
export function bindInetSocket(request: BindRequest): BindOutcome {
  const what = `${request.protocol} ${hostPort(request)}`;
  const [type, protocol] = transports[request.protocol];
  const ipv4 = isIPv4(request.address);
  let fd: number;
  try {
    fd = openSocket(ipv4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, protocol, what);
  } catch (thrown) {
    if (!ipv4 && isErrno(thrown, 'EAFNOSUPPORT')) return { kind: 'no-address' };
    if (isErrno(thrown, 'EPROTONOSUPPORT', 'ESOCKTNOSUPPORT')) return { kind: 'no-protocol' };
    throw thrown;
  }
  try {
    if (!ipv4) setSocketOption(fd, SOL_IPV6, IPV6_V6ONLY, request.dualStack ? 0 : 1, what);
    if (request.reuseAddress) setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, what);
    bindSocket(fd, inetSocketAddress(request), what);
    return { kind: 'bound', fd, port: request.port === 0 ? localAddress(fd).port : request.port };
  } catch (thrown) {
    closeDescriptor(fd);
    if (isErrno(thrown, 'EADDRINUSE')) return { kind: 'taken' };
    if (isErrno(thrown, 'EADDRNOTAVAIL')) return { kind: 'no-address' };
    throw thrown;
  }
}

/** Unbound and non-blocking, for clients (a resolver's question from inside a namespace). */
export function openInetSocket(family: 4 | 6, protocol: TransportProtocol): number {
  const [type, number] = transports[protocol];
  return openSocket(family === 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, number, `${protocol} over IPv${family}`);
}

/** Always close-on-exec. */
export function openSocket(family: number, type: number, protocol: number, what: string): number {
  return checked(native.socket(family, type | SOCK_CLOEXEC, protocol), 'socket', what);
}

export function bindSocket(fd: number, address: Uint8Array, what: string): void {
  checked(native.bind(fd, address, address.length), 'bind', what);
}

export function listenOn(fd: number, backlog: number): void {
  checked(native.listen(fd, backlog), 'listen', `fd ${fd}`);
}

/** Where a socket is bound to. */
export function localAddress(fd: number): InetAddress {
  const address = Buffer.alloc(28);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  checked(native.getsockname(fd, address, length), 'getsockname', `fd ${fd}`);
  const family = address.readUInt16LE(0);
  if (family === AF_INET) return { address: bytesToIp(address.subarray(4, 8)), port: address.readUInt16BE(2) };
  if (family === AF_INET6) return { address: bytesToIp(address.subarray(8, 24)), port: address.readUInt16BE(2) };
  throw new EngineError('system', `fd ${fd} is no internet socket (family ${family})`);
}

/** An option whose value is an int, or bytes as the kernel wants them. */
export function setSocketOption(fd: number, level: number, option: number, value: number | Uint8Array, what: string): void {
  const bytes = typeof value === 'number' ? Buffer.alloc(4) : value;
  if (typeof value === 'number') (bytes as Buffer).writeInt32LE(value);
  checked(native.setsockopt(fd, level, option, bytes, bytes.length), `setsockopt(${level}, ${option})`, what);
}

export function sendBytes(fd: number, bytes: Uint8Array, flags: number, what: string): number {
  for (;;) {
    const sent = native.send(fd, bytes, bytes.length, flags);
    if (sent >= 0) return sent;
    const error = systemCallError('send', what);
    if (error.errnoName !== 'EINTR') throw error;
  }
}

/** As `receiveBytes`, without waiting: null when nothing is there. */
export function receiveWaitingBytes(fd: number, into: Uint8Array, flags: number, what: string): number | null {
  const received = native.recv(fd, into, into.length, flags | MSG_DONTWAIT);
  if (received >= 0) return received;
  // Looked at before an error is made, which costs more than the call.
  if (lastErrno() === constants.errno.EAGAIN) return null;
  throw systemCallError('recv', what);
}

/** The length of what came; with MSG_TRUNC that of the whole datagram, which may be more than `into` holds. */
export function receiveBytes(fd: number, into: Uint8Array, flags: number, what: string): number {
  for (;;) {
    const received = native.recv(fd, into, into.length, flags);
    if (received >= 0) return received;
    const error = systemCallError('recv', what);
    if (error.errnoName !== 'EINTR') throw error;
  }
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in host order, port and address in network order. */
export function inetSocketAddress({ address, port }: InetAddress): Buffer {
  const ip = ipToBytes(address);
  const bytes = Buffer.alloc(ip.length === 4 ? 16 : 28);
  bytes.writeUInt16LE(ip.length === 4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(ip, ip.length === 4 ? 4 : 8);
  return bytes;
}

function hostPort({ address, port }: InetAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
