/** Where a daemon listens, as people write it (`unix:///run/gantry/gantry.sock`). The only file that knows the forms. */
import { EngineError, notImplemented } from '../base/errors.ts';

export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
}

/** A union of one member for now: `tcp` and `ssh` come with their own issues. */
export type DaemonAddress = UnixAddress;

export const DEFAULT_ADDRESS = 'unix:///run/gantry/gantry.sock';

/** Socket paths longer than this do not fit the kernel's `sun_path` (108 bytes with the final NUL). */
const MAX_SOCKET_PATH_BYTES = 107;

export function parseAddress(text: string): DaemonAddress {
  const separator = text.indexOf('://');
  const scheme = separator === -1 ? '' : text.slice(0, separator);
  const rest = separator === -1 ? text : text.slice(separator + 3);
  if (scheme === 'unix') return unixAddress(rest, text);
  if (scheme === 'tcp' || scheme === 'http' || scheme === 'https' || scheme === 'ssh' || scheme === 'npipe' || scheme === 'fd') {
    throw notImplemented(`cannot connect to ${text}: ${scheme}:// addresses are not supported yet, use unix:///path/to/socket`);
  }
  throw new EngineError('invalid', `unable to parse daemon address "${text}": write it as unix:///path/to/socket`);
}

function unixAddress(path: string, text: string): UnixAddress {
  if (!path.startsWith('/'))
    throw new EngineError('invalid', `unable to parse daemon address "${text}": the path of a unix socket must be absolute`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new EngineError('invalid', `cannot connect to ${text}: a socket path holds at most ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  return { kind: 'unix', path };
}

export function formatAddress(address: DaemonAddress): string {
  return `unix://${address.path}`;
}
