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

export type HijackedSocket = Duplex;

export interface Upgrade {
  /** Bytes behind the request's end: what an eager client already wrote for the container. */
  readonly head: Buffer;
}

/** How long a client may keep its side open after it has all output. */
const lingerMs = 10_000;

export function leaveHttp(
  request: IncomingMessage,
  response: ServerResponse,
  options: { readonly contentType: string; readonly upgrade: Upgrade | null },
): HijackedSocket {
  const socket = request.socket;
  response.detachSocket(socket);
  socket.setTimeout(0);
  if (options.upgrade !== null) {
    if (options.upgrade.head.length > 0) socket.unshift(options.upgrade.head);
    socket.write(`HTTP/1.1 101 UPGRADED\r\nContent-Type: ${options.contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
    return socket;
  }
  freeFromParser(socket);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${options.contentType}\r\n\r\n`);
  return socket;
}

/** Internals of the pinned Node: `parser.unconsume` gives the handle's bytes back to the socket's own `data` events. */
function freeFromParser(socket: Socket): void {
  const { parser } = socket as Socket & { parser?: { unconsume(): void } | null };
  for (const event of ['data', 'end', 'drain', 'timeout', 'close', 'error']) socket.removeAllListeners(event);
  parser?.unconsume();
}

const hangUpCheckMs = 2000;

/** By descriptor; handed in, as only `linux` may ask the kernel. */
export type HasHungUp = (descriptor: number) => boolean;

/** Resolves when both sides are closed. Destroys `session` when the client is gone, and the client's socket when the session is. */
export function relay(client: HijackedSocket, session: Duplex, hasHungUp: HasHungUp): Promise<void> {
  return new Promise((resolve) => {
    client.once('end', () => watchForHangUp(client, hasHungUp));
    client.on('error', () => session.destroy());
    session.on('error', () => client.destroy());
    client.once('close', () => {
      session.destroy();
      resolve();
    });
    session.once('end', () => finish(client, session));
    session.once('close', () => finish(client, session));
    client.pipe(session);
    session.pipe(client, { end: false });
  });
}

function watchForHangUp(client: HijackedSocket, hasHungUp: HasHungUp): void {
  const timer = setInterval(() => {
    const descriptor = (client as Socket & { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
    if (descriptor >= 0 && hasHungUp(descriptor)) client.destroy();
  }, hangUpCheckMs);
  timer.unref();
  client.once('close', () => clearInterval(timer));
}

function finish(client: HijackedSocket, session: Duplex): void {
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
