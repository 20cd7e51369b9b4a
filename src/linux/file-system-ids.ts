/**
 * On whose behalf a thread makes files: its file system ids (setfsuid(2)), which are the thread's own. In mounts with mapped owners nobody can make a file whose
 * own id the mapping does not know, not even root. Capabilities stay: the kernel takes those on files away with the id, and is asked to give them back.
 * Only for worker threads, and only around work that nothing else of the thread comes between.
 */
import { EngineError } from '../base/errors.ts';
import { bind, checked } from './ffi.ts';

const native = {
  setfsuid: bind('setfsuid', 'int', ['uint']),
  setfsgid: bind('setfsgid', 'int', ['uint']),
  capget: bind('capget', 'int', ['void *', 'void *']),
  capset: bind('capset', 'int', ['void *', 'void *']),
};

const CAPABILITY_VERSION_3 = 0x20080522;
/** Two of {effective, permitted, inheritable}. */
const SET_WORDS = 6;

export async function withFileSystemIds<T>(uid: number, gid: number, use: () => Promise<T>): Promise<T> {
  setIds(uid, gid);
  try {
    return await use();
  } finally {
    setIds(0, 0);
  }
}

function setIds(uid: number, gid: number): void {
  native.setfsgid(gid);
  native.setfsuid(uid);
  // They tell what was before, never an error: asked again, it is what is.
  if (native.setfsgid(gid) !== gid || native.setfsuid(uid) !== uid) {
    throw new EngineError('system', `cannot act with the ids ${uid}:${gid} on files`);
  }
  raiseCapabilities();
}

function raiseCapabilities(): void {
  const header = new Uint32Array([CAPABILITY_VERSION_3, 0]);
  const sets = new Uint32Array(SET_WORDS);
  const [headerBytes, setBytes] = [new Uint8Array(header.buffer), new Uint8Array(sets.buffer)];
  checked(native.capget(headerBytes, setBytes), 'capget', 'this thread');
  [sets[0], sets[3]] = [sets[1] ?? 0, sets[4] ?? 0];
  checked(native.capset(headerBytes, setBytes), 'capset', 'this thread');
}
