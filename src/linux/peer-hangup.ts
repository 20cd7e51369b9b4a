/**
 * Whether the other end of a socket is closed altogether. After a half-close reading tells nothing more, and libuv stops looking; poll(2) still
 * reports POLLHUP once both directions are shut, without being asked for it.
 */
import { bind, checked } from './ffi.ts';

const POLLERR = 0x08;
const POLLHUP = 0x10;

const poll = bind('poll', 'int', ['void *', 'ulong', 'int']);

export function peerHasHungUp(descriptor: number): boolean {
  // struct pollfd: int fd; short events; short revents.
  const entry = Buffer.alloc(8);
  entry.writeInt32LE(descriptor, 0);
  checked(poll(entry, 1, 0), 'poll', `descriptor ${descriptor}`);
  return (entry.readInt16LE(6) & (POLLERR | POLLHUP)) !== 0;
}
