/** A pipe whose ends are descriptors: bytes between the event loop (its end in a socket of Node) and a thread that reads or writes synchronously. */
import { bind, checked } from './ffi.ts';
import { O_CLOEXEC } from './file-calls.ts';

const native = {
  pipe2: bind('pipe2', 'int', ['void *', 'int']),
  fcntl: bind('fcntl', 'int', ['int', 'int', 'int']),
};

const F_SETPIPE_SZ = 1031;
const WANTED_BYTES = 1024 * 1024;

/** Both ends block, are closed on exec, and are the caller's to close. */
export function makePipe(): { readonly readEnd: number; readonly writeEnd: number } {
  const ends = new Int32Array(2);
  checked(native.pipe2(new Uint8Array(ends.buffer), O_CLOEXEC), 'pipe2', 'a pipe');
  const [readEnd = -1, writeEnd = -1] = ends;
  // Only faster: the kernel says no where the user's share of pipe memory is used up.
  native.fcntl(writeEnd, F_SETPIPE_SZ, WANTED_BYTES);
  return { readEnd, writeEnd };
}
