/** One datagram to a unix socket: what sd_notify(3) is. Node has no unix datagram sockets. */
import { closeSync } from 'node:fs';
import { bind, checked } from './ffi.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const socket = bind('socket', 'int', ['int', 'int', 'int']);
const sendto = bind('sendto', 'long', ['int', 'void *', 'size_t', 'int', 'void *', 'uint']);

/** `address` as in NOTIFY_SOCKET: a path, or `@name` in the abstract namespace. */
export function sendUnixDatagram(address: string, text: string): void {
  const descriptor = checked(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', address);
  try {
    const bytes = Buffer.from(text);
    const to = unixAddress(address);
    checked(sendto(descriptor, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length), 'sendto', address);
  } finally {
    closeSync(descriptor);
  }
}

/** struct sockaddr_un: family (host byte order, little endian on both of our architectures), then the name. */
function unixAddress(address: string): Buffer {
  const name = address.startsWith('@') ? Buffer.from(`\0${address.slice(1)}`) : Buffer.from(`${address}\0`);
  return Buffer.concat([Buffer.from([AF_UNIX, 0]), name]);
}
