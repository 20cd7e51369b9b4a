/**
 * What the worker threads of volumes do: everything that walks trees, or may wait for a server. Paths are of the host and ours, except below the roots they name.
 */
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
