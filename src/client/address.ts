/** Where a daemon listens, as people write it (`unix:///run/gantry/gantry.sock`, `tcp://host:2376`). The only file that knows the forms. */
import { EngineError, notImplemented } from '../base/errors.ts';

export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
}

export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
  /** Null: plain. */
  readonly tls: TlsMaterial | null;
}

/** PEM. */
export interface TlsMaterial {
  /** Whom to trust as the daemon; null: the authorities that Node knows. */
  readonly authority: string | null;
  /** Ours, with its key; null: none. */
  readonly certificate: string | null;
  readonly key: string | null;
  /** False: whoever answers is taken for the daemon. */
  readonly verify: boolean;
}

/** `ssh` comes with its own issue. */
export type DaemonAddress = UnixAddress | TcpAddress;

export const DEFAULT_ADDRESS = 'unix:///run/gantry/gantry.sock';

/** Socket paths longer than this do not fit the kernel's `sun_path` (108 bytes with the final NUL). */
const MAX_SOCKET_PATH_BYTES = 107;
const PLAIN_PORT = 2375;
const TLS_PORT = 2376;

/** `tls` is for TCP; a unix socket needs none. */
export function parseAddress(text: string, tls: TlsMaterial | null = null): DaemonAddress {
  const separator = text.indexOf('://');
  const scheme = separator === -1 ? '' : text.slice(0, separator);
  const rest = separator === -1 ? text : text.slice(separator + 3);
  if (scheme === 'unix') return unixAddress(rest, text);
  if (scheme === 'tcp' || scheme === 'http' || scheme === 'https') return tcpAddress(rest, scheme === 'http' ? null : tls, text);
  if (scheme === 'ssh' || scheme === 'npipe' || scheme === 'fd')
    throw notImplemented(
      `cannot connect to ${text}: ${scheme}:// addresses are not supported yet, use unix:///path/to/socket or tcp://HOST:PORT`,
    );
  throw new EngineError('invalid', `unable to parse daemon address "${text}": write it as unix:///path/to/socket or tcp://HOST:PORT`);
}

function unixAddress(path: string, text: string): UnixAddress {
  if (!path.startsWith('/'))
    throw new EngineError('invalid', `unable to parse daemon address "${text}": the path of a unix socket must be absolute`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new EngineError('invalid', `cannot connect to ${text}: a socket path holds at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  return { kind: 'unix', path };
}

function tcpAddress(rest: string, tls: TlsMaterial | null, text: string): TcpAddress {
  const match = /^(\[[0-9a-fA-F:.%]+\]|[^:/[\]]*)(?::(\d{1,5}))?\/?$/.exec(rest);
  const port = match?.[2] === undefined ? (tls === null ? PLAIN_PORT : TLS_PORT) : Number(match[2]);
  if (match === null || port < 1 || port > 65_535)
    throw new EngineError('invalid', `unable to parse daemon address "${text}": write it as tcp://HOST:PORT`);
  return { kind: 'tcp', host: (match[1] ?? '').replace(/^\[|\]$/g, '') || '127.0.0.1', port, tls };
}

export function formatAddress(address: DaemonAddress): string {
  return address.kind === 'unix' ? `unix://${address.path}` : `tcp://${hostHeader(address)}`;
}

/** What a request names as `Host`. On a unix socket there is none, and any word will do. */
export function hostHeader(address: DaemonAddress): string {
  if (address.kind === 'unix') return 'gantry';
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
