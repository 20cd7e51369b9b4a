/** Opens the stream that a connection to the daemon runs over: a unix socket, TCP, or TLS on it. Half-open in all cases. */
import { createConnection, type Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { EngineError } from '../base/errors.ts';
import type { DaemonAddress, TcpAddress, TlsMaterial } from './address.ts';

export interface OpeningSocket {
  readonly socket: Socket;
  /** Emitted when the daemon can be spoken to. */
  readonly ready: 'connect' | 'secureConnect';
}

export async function openSocket(address: DaemonAddress): Promise<OpeningSocket> {
  if (address.kind === 'unix') return { socket: createConnection({ path: address.path, allowHalfOpen: true }), ready: 'connect' };
  const { host, port, tls } = address;
  if (tls !== null) return { socket: await openTls(address, tls), ready: 'secureConnect' };
  const socket = createConnection({ host, port, allowHalfOpen: true });
  // Small frames of a terminal must not wait for each other.
  socket.setNoDelay(true);
  return { socket, ready: 'connect' };
}

/** Loaded only here: it costs a command some milliseconds. */
async function openTls({ host, port }: TcpAddress, { authority, certificate, key, verify }: TlsMaterial): Promise<Socket> {
  const { connect } = await import('node:tls');
  const { isIP } = await import('node:net');
  try {
    const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
      host,
      port,
      allowHalfOpen: true,
      rejectUnauthorized: verify,
      minVersion: 'TLSv1.2',
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(authority === null ? {} : { ca: authority }),
      ...(certificate === null || key === null ? {} : { cert: certificate, key }),
    };
    const socket = connect(options);
    socket.setNoDelay(true);
    return socket;
  } catch (cause) {
    throw new EngineError(
      'invalid',
      `cannot use the TLS files for tcp://${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  }
}
