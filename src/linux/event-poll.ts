/**
 * epoll(7) for descriptors that Node has no handle for (eventfd, files of cgroups): registered here, waited for in a thread of its own (`wait` blocks). Each is
 * reported once and then left alone until it is armed again, so that a thread never spins on an event that nobody has looked at yet.
 */
import { bind, checked, isErrno } from './ffi.ts';

const native = {
  epollCreate1: bind('epoll_create1', 'int', ['int']),
  epollCtl: bind('epoll_ctl', 'int', ['int', 'int', 'int', 'void *']),
  epollWait: bind('epoll_wait', 'int', ['int', 'void *', 'int', 'int']),
  eventfd: bind('eventfd', 'int', ['uint', 'int']),
};

const EPOLL_CLOEXEC = 0o2000000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x001;
const EPOLLPRI = 0x002;
const EPOLLONESHOT = 1 << 30;
const maxEvents = 64;
/** struct epoll_event is packed on x86-64 only. */
const eventBytes = process.arch === 'x64' ? 12 : 16;
const dataOffset = eventBytes - 8;

export function makeEventPoll(): number {
  return checked(native.epollCreate1(EPOLL_CLOEXEC), 'epoll_create1', 'an event poll');
}

/** A counter that the kernel raises; reading takes it back to zero and never blocks. */
export function makeEventCounter(): number {
  return checked(native.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd', 'an event counter');
}

/** `token` comes back with the event. Closing the descriptor takes it out again. */
export function armDescriptor(poll: number, descriptor: number, token: number, kind: 'new' | 'again'): void {
  const event = Buffer.alloc(eventBytes);
  event.writeUInt32LE(EPOLLIN | EPOLLPRI | EPOLLONESHOT, 0);
  event.writeBigUInt64LE(BigInt(token), dataOffset);
  checked(native.epollCtl(poll, kind === 'new' ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, event), 'epoll_ctl', `fd ${descriptor}`);
}

/** Files of cgroups are always readable: of them only the exceptional event counts. */
export function armFile(poll: number, descriptor: number, token: number, kind: 'new' | 'again'): void {
  const event = Buffer.alloc(eventBytes);
  event.writeUInt32LE((EPOLLPRI | EPOLLONESHOT) >>> 0, 0);
  event.writeBigUInt64LE(BigInt(token), dataOffset);
  checked(native.epollCtl(poll, kind === 'new' ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, event), 'epoll_ctl', `fd ${descriptor}`);
}

const events = Buffer.alloc(eventBytes * maxEvents);

/** Blocks the thread that calls it, that long at most. */
export function waitForEvents(poll: number, timeoutMs: number): readonly number[] {
  try {
    const count = checked(native.epollWait(poll, events, maxEvents, timeoutMs), 'epoll_wait', 'an event poll');
    return Array.from({ length: count }, (_, index) => Number(events.readBigUInt64LE(index * eventBytes + dataOffset)));
  } catch (error) {
    if (isErrno(error, 'EINTR')) return [];
    throw error;
  }
}
