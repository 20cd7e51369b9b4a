/** How clients reach a listener, and who is refused before a request is read: clients without a certificate, names that are not ours, containers. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, Server as TlsServer } from 'node:tls';
import { EngineError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { isForeignHost } from './host-header.ts';

export type Transport = LocalTransport | TcpTransport;

/** A unix socket: its mode says who may connect. */
export interface LocalTransport {
  readonly kind: 'local';
}

export const localTransport: LocalTransport = { kind: 'local' };

/** PEM. Clients need a certificate of `authority`. */
export interface TlsMaterial {
  readonly authority: Buffer;
  readonly certificate: Buffer;
  readonly key: Buffer;
}

export interface TcpTransport {
  readonly kind: 'tcp';
  /** Null: plain, for loopback. */
  readonly tls: TlsMaterial | null;
  /** Names that a request may use as `Host`, in small letters. */
  readonly ownNames: ReadonlySet<string>;
  /** Containers may not talk to the API over the network at all (CVE-2025-9074). */
  isContainer(address: string): boolean;
}

interface HttpOptions {
  readonly maxHeaderSize: number;
  shouldUpgradeCallback(request: IncomingMessage): boolean;
}

export function createTransportServer(transport: Transport, options: HttpOptions, logger: Logger): Server {
  if (transport.kind === 'local') return createServer(options);
  const server = transport.tls === null ? createServer(options) : createTls(transport.tls, options);
  refuseContainers(server, transport, logger);
  return server;
}

/** Who has not shown a certificate by then is a stranger who holds a descriptor of ours. */
const handshakeMs = 10_000;

/** Half-open, like the plain one: the end of a client's stdin is not the end of its output. */
function createTls(material: TlsMaterial, options: HttpOptions): Server {
  const clients = { requestCert: true, rejectUnauthorized: true };
  return createTlsServer({ ...options, ...contextOf(material), ...clients, allowHalfOpen: true, handshakeTimeout: handshakeMs });
}

/** From the next handshake on; who is connected stays. Throws, and changes nothing, when key and certificates do not go together. */
export function renewTls(server: Server, material: TlsMaterial): void {
  if (!(server instanceof TlsServer)) throw new Error('defect: a listener without TLS has no certificate');
  createSecureContext(contextOf(material));
  server.setSecureContext(contextOf(material));
}

function contextOf({ authority, certificate, key }: TlsMaterial) {
  return { ca: authority, cert: certificate, key, minVersion: 'TLSv1.2' } as const;
}

/** Before a byte of theirs is read. */
function refuseContainers(server: Server, { isContainer }: TcpTransport, logger: Logger): void {
  server.prependListener('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (!isContainer(address)) return;
    logger.warn({ address }, 'a container tried to reach the API over the network: refused');
    socket.destroy();
  });
}

export function refuseForeignHost({ headers }: IncomingMessage, transport: Transport): void {
  if (transport.kind === 'tcp' && isForeignHost(headers.host, transport.ownNames))
    throw new EngineError('forbidden', `requests for the host ${JSON.stringify(headers.host)} are refused: it is no name of this daemon`);
}
