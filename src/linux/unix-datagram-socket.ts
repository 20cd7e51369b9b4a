/** Datagrams over unix sockets, which Node does not have: what /dev/log and journald listen on. */
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { bind, checked, isErrno } from './ffi.ts';
import { closeDescriptor } from './file-calls.ts';
import { bindSocket, openSocket, receiveWaitingBytes, SOCK_DGRAM, sendBytes } from './sockets.ts';

const AF_UNIX = 1;
const SOCK_NONBLOCK = 0o4000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** sun_path, with the NUL that ends it. */
const maxPathBytes = 107;

const native = { connect: bind('connect', 'int', ['int', 'void *', 'uint']) };

/** The sending side. A receiver whose queue is full is waited for; one that went away is looked for again at the next message. */
export class UnixDatagram {
  readonly #path: string;
  #fd = -1;

  constructor(path: string) {
    this.#path = path;
  }

  connect(): void {
    if (this.#fd >= 0) return;
    const fd = openSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, this.#path);
    try {
      const address = unixAddress(this.#path);
      checked(native.connect(fd, address, address.length), 'connect', this.#path);
      this.#fd = fd;
    } catch (error) {
      closeDescriptor(fd);
      throw error;
    }
  }

  async send(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 250)) {
      if (signal.aborted) throw new EngineError('unavailable', `given up sending to ${this.#path}`);
      try {
        this.connect();
        sendBytes(this.#fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, this.#path);
        return;
      } catch (error) {
        if (!isErrno(error, 'EAGAIN', 'ENOBUFS')) {
          if (!isErrno(error, 'EMSGSIZE')) this.close();
          throw error;
        }
      }
      await delay(waitMs);
    }
  }

  close(): void {
    if (this.#fd >= 0) closeDescriptor(this.#fd);
    this.#fd = -1;
  }
}

/** The receiving side, for tests: what waits there, without waiting for it. */
export function bindUnixDatagram(path: string): { receive(): Buffer | null; close(): void } {
  const fd = openSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, path);
  bindSocket(fd, unixAddress(path), path);
  const buffer = Buffer.alloc(256 * 1024);
  return {
    receive() {
      const length = receiveWaitingBytes(fd, buffer, 0, path);
      return length === null ? null : Buffer.from(buffer.subarray(0, length));
    },
    close: () => closeDescriptor(fd),
  };
}

function unixAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > maxPathBytes) throw new EngineError('invalid', `the path of a unix socket may have ${maxPathBytes} bytes: ${path}`);
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}
