/** mount(2) and umount2(2). They wait for servers (NFS) and devices: for worker threads, not for the event loop. */
import { encodeCString } from '../base/byte-name.ts';
import { bind, checked } from './ffi.ts';

/** Of umount2. */
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const native = {
  mount: bind('mount', 'int', ['void *', 'void *', 'void *', 'long', 'void *']),
  umount2: bind('umount2', 'int', ['void *', 'int']),
};

export interface MountCall {
  readonly source: string;
  readonly target: string;
  /** '' where the kernel does not look at it (bind, remount, propagation). */
  readonly type: string;
  readonly flags: number;
  /** '' for none. */
  readonly data: string;
}

export function mount(call: MountCall): void {
  const data = call.data === '' ? null : encodeCString(call.data);
  const result = native.mount(encodeCString(call.source), encodeCString(call.target), encodeCString(call.type), call.flags, data);
  checked(result, 'mount', call.target);
}

export function unmount(target: string, flags = 0): void {
  checked(native.umount2(encodeCString(target), flags), 'umount2', target);
}
