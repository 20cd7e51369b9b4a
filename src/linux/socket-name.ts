/** What kind of socket a descriptor from somebody else is. */
import { bind, checked } from './ffi.ts';
import { AF_INET, AF_INET6, type InetAddress, localAddress } from './sockets.ts';

const getsockname = bind('getsockname', 'int', ['int', 'void *', 'void *']);

/** Where it is bound to; null: a unix socket. ENOTSOCK for what is no socket. */
export function tcpHostOf(fd: number): { readonly host: string; readonly port: number } | null {
  const family = familyOf(fd);
  if (family !== AF_INET && family !== AF_INET6) return null;
  const { address, port }: InetAddress = localAddress(fd);
  return { host: address, port };
}

function familyOf(fd: number): number {
  const address = Buffer.alloc(128);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  checked(getsockname(fd, address, length), 'getsockname', `descriptor ${fd}`);
  return address.readUInt16LE(0);
}
