/**
 * Connections that leave HTTP and carry raw bytes both ways: attach and exec.
 *
 *   with `Connection: Upgrade`   101 UPGRADED, then bytes    node:http has already let go of the socket
 *   without (old libraries)      200 OK, then bytes to EOF   we take the socket out of node:http's parser
 *
 * Rules of the relay (docs of clients: CLIENTS.md 2.2):
 *   - the client's EOF is a half-close: it ends the process's stdin, never the output
 *   - the output's EOF closes our side at once; what the client still sends is read and dropped until it closes too, because closing
 *     a unix socket with unread bytes would give the client ECONNRESET
 *   - a client that vanishes destroys the session, which changes nothing for the process. After its half-close only poll(2) can tell, so it is
 *     asked now and then: an idle container must not collect the sessions of clients that are gone
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What node:http's `upgrade` event gives. */
export interface Upgrade {
  /** The socket itself, or a wrapper of Node's around it when the request's body was not there yet. */
  readonly stream: Duplex;
  /** Bytes behind the request's end: what an eager client already wrote for the container. */
  readonly head: Buffer;
}

export interface Hijacked {
  /** Bytes to and from the client. */
  readonly stream: Duplex;
  readonly socket: Socket;
}

/** How long a client may keep its side open after it has all output. */
const lingerMs = 10_000;

export function leaveHttp(
  request: IncomingMessage,
  response: ServerResponse,
  options: { readonly answer: (upgraded: boolean) => string; readonly upgrade: Upgrade | null },
): Hijacked {
  const { socket } = request;
  const { answer, upgrade } = options;
  const stream = upgrade?.stream ?? socket;
  response.detachSocket(stream as Socket);
  socket.setTimeout(0);
  if (upgrade !== null) {
    if (upgrade.head.length > 0) stream.unshift(upgrade.head);
  } else freeFromParser(socket);
  stream.write(answer(upgrade !== null));
  return { stream, socket };
}

/** Docker's own answer: raw bytes, or its multiplexed frames, follow. */
export function rawStreamAnswer(contentType: string): (upgraded: boolean) => string {
  return (upgraded) =>
    upgraded
      ? `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`
      : `HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\n\r\n`;
}

/** Internals of the pinned Node: `parser.unconsume` gives the handle's bytes back to the socket's own `data` events. */
function freeFromParser(socket: Socket): void {
  const { parser } = socket as Socket & { parser?: { unconsume(): void; remove(): void } | null };
  for (const event of ['data', 'end', 'drain', 'timeout', 'close', 'error']) socket.removeAllListeners(event);
  parser?.unconsume();
  parser?.remove();
}

const hangUpCheckMs = 2000;

/** By descriptor; handed in, as only `linux` may ask the kernel. */
export type HasHungUp = (descriptor: number) => boolean;

/** Resolves when both sides are closed. Destroys `session` when the client is gone, and the client's connection when the session is. */
export function relay({ stream: client, socket }: Hijacked, session: Duplex, hasHungUp: HasHungUp): Promise<void> {
  return new Promise((resolve) => {
    const clientClosed = () => {
      session.destroy();
      resolve();
    };
    client.on('error', () => session.destroy());
    session.on('error', () => client.destroy());
    if (client.destroyed) {
      clientClosed();
      return;
    }
    client.once('close', clientClosed);
    client.once('end', () => watchForHangUp(client, socket, hasHungUp));
    session.once('end', () => finish(client, session));
    session.once('close', () => finish(client, session));
    client.pipe(session);
    session.pipe(client, { end: false });
    if (session.destroyed) finish(client, session);
  });
}

function watchForHangUp(client: Duplex, socket: Socket, hasHungUp: HasHungUp): void {
  const timer = setInterval(() => {
    const descriptor = (socket as Socket & { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
    if (descriptor >= 0 && hasHungUp(descriptor)) client.destroy();
  }, hangUpCheckMs);
  timer.unref();
  client.once('close', () => clearInterval(timer));
}

function finish(client: Duplex, session: Duplex): void {
  if (client.destroyed || client.writableEnded) return;
  client.unpipe(session);
  client.resume();
  client.end();
  const timer = setTimeout(() => client.destroy(), lingerMs);
  timer.unref();
  client.once('close', () => clearTimeout(timer));
  // With both directions at their end the socket closes by itself, unless it was told to stay half-open.
  const destroyWhenDone = () => {
    if (client.readableEnded && client.writableFinished) client.destroy();
  };
  client.once('end', destroyWhenDone);
  client.once('finish', destroyWhenDone);
  destroyWhenDone();
}
