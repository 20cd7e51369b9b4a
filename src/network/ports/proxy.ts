/**
 * A published port served by an ordinary listener: for [::1], for hosts without NAT, between address families, and where the host's input rules are to hold.
 * The container sees the host as the client. The given socket is bound already; `close` closes it and every connection.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, isIPv6, type Socket } from 'node:net';
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

export interface PortProxy {
  /** New clients go there from now on. */
  lead(target: ContainerPort): void;
  close(): void;
}

export interface ContainerPort {
  readonly targetIp: string;
  readonly targetPort: number;
}

export interface ProxyTarget extends ContainerPort {
  readonly protocol: 'tcp' | 'udp';
  /** Bound; owned by the proxy from here on. */
  readonly fd: number;
  /** Of the bound address. */
  readonly family: 4 | 6;
}

/** A client that says nothing for so long is forgotten. Docker's proxy takes 90 s. */
const udpIdleMs = 90_000;
const maxUdpClients = 1024;

export function startProxy(target: ProxyTarget, log: Logger): PortProxy {
  return target.protocol === 'tcp' ? startTcpProxy(target, log) : startUdpProxy(target, log);
}

function startTcpProxy({ fd, ...first }: ProxyTarget, log: Logger): PortProxy {
  let target: ContainerPort = first;
  const open = new Set<Socket>();
  const track = (socket: Socket): void => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ host: target.targetIp, port: target.targetPort, allowHalfOpen: true, noDelay: true });
    track(client);
    track(upstream);
    join(client, upstream);
  });
  server.on('error', (error) =>
    log.warn({ target: `${target.targetIp}:${target.targetPort}`, error: errorText(error) }, 'the proxy of a published port failed'),
  );
  server.listen({ fd, backlog: 511 });
  return {
    lead(to) {
      target = to;
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Each side's end is passed on as a half-close; an error on one resets the other. `pipe` pushes back. */
function join(one: Socket, other: Socket): void {
  one.pipe(other);
  other.pipe(one);
  one.on('error', () => other.resetAndDestroy());
  other.on('error', () => one.resetAndDestroy());
  one.on('close', () => other.destroySoon());
  other.on('close', () => one.destroySoon());
}

function startUdpProxy({ fd, family, ...first }: ProxyTarget, log: Logger): PortProxy {
  let target: ContainerPort = first;
  const clients = new Map<string, UdpClient>();
  const server = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
  server.on('error', (error) =>
    log.warn({ target: `${target.targetIp}:${target.targetPort}`, error: errorText(error) }, 'the proxy of a published port failed'),
  );
  server.on('message', (message, from) => {
    const name = `${from.address} ${from.port}`;
    let client = clients.get(name);
    if (client === undefined) {
      if (clients.size >= maxUdpClients) clients.values().next().value?.close();
      client = openUdpClient(server, from, target, () => clients.delete(name));
      clients.set(name, client);
    }
    client.send(message);
  });
  server.bind({ fd });
  const forgetClients = (): void => {
    for (const client of [...clients.values()]) client.close();
  };
  return {
    lead(to) {
      target = to;
      forgetClients();
    },
    close() {
      forgetClients();
      server.close();
    },
  };
}

interface UdpClient {
  send(message: Buffer): void;
  close(): void;
}

/** One socket towards the container for each client, so that answers find their way back. */
function openUdpClient(server: UdpSocket, from: RemoteInfo, { targetIp, targetPort }: ContainerPort, closed: () => void): UdpClient {
  const socket = createSocket(isIPv6(targetIp) ? 'udp6' : 'udp4');
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    clearTimeout(timer);
    closed();
    socket.close();
  };
  const timer = setTimeout(close, udpIdleMs).unref();
  // Nobody listens there at the moment (ECONNREFUSED): the client hears nothing, as without a proxy that cannot forward the ICMP message.
  socket.on('error', close);
  socket.on('message', (message) => {
    timer.refresh();
    server.send(message, from.port, from.address);
  });
  return {
    send(message) {
      if (!open) return;
      timer.refresh();
      socket.send(message, targetPort, targetIp);
    },
    close,
  };
}
