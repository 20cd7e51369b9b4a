/**
 * What the worker threads of volumes do: everything that walks trees, or may wait for a server. Requests and replies as they cross threads.
 *
 *     ──▶ {job, cancel}
 *     ◀── {ok: true, value} or {ok: false, error}
 *
 * `cancel` is shared memory, as a thread does not read messages while it works. Paths are of the host and ours, except below the roots they name.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { MountCall } from '../linux/mount-calls.ts';
import type { PopulateSource } from './volumes.ts';

export type VolumeJob =
  /** Bytes of regular files, each once however many names it has. */
  | { readonly kind: 'size'; readonly path: string }
  /** `<staging>/data` becomes a copy of `source`; on the disk when done. */
  | { readonly kind: 'copy'; readonly source: string; readonly staging: string }
  /** `<staging>/data` becomes a copy of a directory of merged layers. False: the layers have no such directory. */
  | { readonly kind: 'populate'; readonly source: PopulateSource; readonly staging: string }
  /** A tar of `path` into the pipe `writeEnd`, which the thread closes. */
  | { readonly kind: 'export'; readonly path: string; readonly writeEnd: number }
  /** The tar from the pipe `readEnd`, which the thread closes, into `<staging>/data`, or into `target` itself. */
  | { readonly kind: 'import'; readonly readEnd: number; readonly staging: string; readonly target: string; readonly merge: boolean }
  /** What is in `<staging>/data` comes into `target`, when that is empty; else false. `exchange`: nobody has `target` open, so it may be swapped as a whole. */
  | { readonly kind: 'settle'; readonly staging: string; readonly target: string; readonly exchange: boolean }
  | { readonly kind: 'is-empty'; readonly path: string }
  /** Names in `parent`, never across a mount. */
  | { readonly kind: 'remove'; readonly parent: string; readonly names: readonly string[] }
  | { readonly kind: 'mount'; readonly calls: readonly MountCall[] }
  | { readonly kind: 'unmount'; readonly path: string };

export interface VolumeJobRequest {
  readonly job: VolumeJob;
  readonly cancel: SharedArrayBuffer;
}

export type VolumeJobReply = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: VolumeJobError };

export interface VolumeJobError {
  readonly code: ErrorCode;
  readonly message: string;
  /** `errnoName` when the kernel said no, and `errno`. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Between entries, and between chunks. */
export interface JobControl {
  checkpoint(): void;
}
