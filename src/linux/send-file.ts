/**
 * sendfile(2) from a file to a socket of Node: the kernel moves the bytes, nothing passes through this process. Node goes on owning the socket; it must have nothing of its own
 * to write meanwhile. The descriptor is a duplicate: when Node closes the socket and the kernel gives its number to the next connection, this one still means the old one.
 */
import { bind, bindAsync, checked } from './ffi.ts';
import { closeDescriptor } from './file-calls.ts';

const native = {
  fcntl: bind('fcntl', 'int', ['int', 'int', 'int']),
  lseek: bind('lseek', 'int64_t', ['int', 'int64_t', 'int']),
  sendfile: bindAsync('sendfile', 'int64_t', ['int', 'int', 'void *', 'size_t']),
};

const F_DUPFD_CLOEXEC = 1030;
const SEEK_SET = 0;

export interface FileSender {
  /** From the file's position, which moves. Bytes that the socket took at once: fewer than asked when it is full, 0 or below when it took none or something is wrong. */
  send(file: number, lengthBytes: number): Promise<number>;
  /** No call may be under way. */
  close(): void;
}

/** Null: not a socket of the kernel's, or one that is closed. */
export function openFileSender(socket: object): FileSender | null {
  const descriptor = descriptorOf(socket);
  if (descriptor === null) return null;
  const own = native.fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return null;
  return {
    send: (file, lengthBytes) => native.sendfile(own, file, null, lengthBytes),
    close: () => closeDescriptor(own),
  };
}

export function seekFile(file: number, position: number): void {
  checked(native.lseek(file, position, SEEK_SET), 'lseek', `fd ${file}`);
}

/** Node has no public name for it. TLS has a handle without one. */
function descriptorOf(socket: object): number | null {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : null;
}
