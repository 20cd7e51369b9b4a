/** What the worker threads of containers' files do. Requests as they cross threads; `reference` is how the client calls the container, for messages. */
import type { OverlayLayers } from '../../linux/detached-overlay.ts';
import type { RootAttributes } from '../../store/layer-record.ts';
import type { ContainerPath } from './container-path.ts';
import type { RootAccess, WriteRules } from './root-access.ts';

export type FileJob =
  /** A `PathStat`. */
  | { readonly kind: 'stat'; readonly root: RootAccess; readonly path: ContainerPath; readonly reference: string }
  /** A tar of what is there into the pipe `writeEnd`, which the thread closes. `mountPoints`: where something is mounted in a running container. */
  | {
      readonly kind: 'read';
      readonly root: RootAccess;
      readonly path: ContainerPath;
      readonly reference: string;
      readonly mountPoints: readonly string[];
      readonly writeEnd: number;
    }
  /** The tar from the pipe `readEnd`, which the thread closes, into the directory `path`. */
  | {
      readonly kind: 'write';
      readonly root: RootAccess;
      readonly path: string;
      readonly reference: string;
      readonly rules: WriteRules;
      readonly options: WriteOptions;
      readonly readEnd: number;
    }
  /** All files of a container without its mounts. */
  | { readonly kind: 'export'; readonly overlay: OverlayLayers; readonly empty: string; readonly writeEnd: number }
  /** What the upper directory changes of the layers below it: `FileChange[]`. */
  | { readonly kind: 'changes'; readonly upper: string; readonly lowers: readonly string[] }
  /** The upper directory as the tar of a layer. False: it changes nothing. */
  | {
      readonly kind: 'layer';
      readonly upper: string;
      readonly lowers: readonly string[];
      readonly root: RootAttributes | null;
      readonly writeEnd: number;
    }
  /** Bytes of regular files, each once however many names it has. */
  | { readonly kind: 'size'; readonly path: string };

export interface WriteOptions {
  /** A directory never takes the place of something else, nor the other way round. */
  readonly sameKindOnly: boolean;
  /** The user of the container, who owns what is written; null: as the archive says. */
  readonly user: string | null;
}
