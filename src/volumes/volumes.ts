/**
 * What `containers` and `api` may ask of volumes. The implementation is `volume-service.ts`.
 *
 *   create ──▶ exists ──mount (first container that starts)──▶ mounted ──unmount (last one that ends)──▶ exists ──remove──▶ gone
 *
 * A plain `local` volume is a directory, `<data-root>/volumes/NAME/_data`, and mounting it does nothing. One with `type`/`device`/`o` options, and one of a
 * plugin, is mounted on the host while a container uses it, as Docker does. Who uses a volume is told by containers (`setUsers`), so it is kept once.
 */
import type { Readable } from 'node:stream';
import type { ContainerId } from '../base/brand.ts';

export interface Volumes {
  /** Idempotent: an existing volume of that name is given back, `conflict` when its driver differs. `name` null: a random name, anonymous. */
  create(request: VolumeCreateRequest): Promise<VolumeView>;
  /** `not-found`: `get X: no such volume`. */
  inspect(name: string, options?: { readonly size?: boolean }): Promise<VolumeView>;
  /** Filters: dangling, driver, label, name. `warnings`: a plugin that did not answer. */
  list(
    filters: VolumeFilters,
    options?: { readonly size?: boolean },
  ): Promise<{ readonly volumes: readonly VolumeView[]; readonly warnings: readonly string[] }>;
  /** `conflict` while containers use it: `remove v: volume is in use - [<id>]`. `force`: a missing one is fine. */
  remove(name: string, options: { readonly force: boolean }): Promise<void>;
  /** Filters: label, label!, all (without it only anonymous ones). */
  prune(filters: VolumeFilters): Promise<{ readonly removed: readonly string[]; readonly reclaimedBytes: number }>;
  rename(name: string, newName: string): Promise<VolumeView>;
  /** Reflinks where the file system has them. The source may be in use; said in the documentation. */
  clone(name: string, newName: string, labels: Readonly<Record<string, string>>): Promise<VolumeView>;
  /** A tar of the content: owners, modes, times, xattrs, hard links, special files. */
  export(name: string): Promise<Readable>;
  /** Into an existing volume, which must be empty unless `merge`. Nothing of the archive reaches outside. */
  import(name: string, archive: Readable, options: { readonly merge: boolean }): Promise<void>;

  /**
   * For a start: the host path of its content. Each `mount` by a container is balanced by one `unmount`. `attributes` (destination, propagation, read/write)
   * go into the event.
   */
  mount(name: string, container: ContainerId, attributes?: Readonly<Record<string, string>>): Promise<{ readonly path: string }>;
  unmount(name: string, container: ContainerId): Promise<void>;
  /** After a restart of the daemon: who holds what; mounts of nobody are undone. */
  restore(held: readonly { readonly container: ContainerId; readonly names: readonly string[] }[]): Promise<void>;
  /**
   * For a container's creation: when the volume is empty, fills it with what `source` holds (a directory of merged layers), owners and modes of the
   * directory itself included. False when nothing was done: it was not empty, or the layers have no such directory.
   */
  populate(name: string, source: PopulateSource): Promise<boolean>;

  setUsers(usersOf: (name: string) => readonly ContainerId[]): void;
  readonly drivers: readonly string[];
  onEvent(listener: (event: VolumeEvent) => void): () => void;
  close(): Promise<void>;
}

export interface VolumeCreateRequest {
  readonly name: string | null;
  /** '' means local. */
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VolumeView {
  readonly name: string;
  readonly driver: string;
  readonly mountpoint: string;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>> | null;
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly scope: 'local' | 'global';
  readonly anonymous: boolean;
  /** Null when not asked for, or unknown (-1 in Docker's JSON). */
  readonly sizeBytes: number | null;
  readonly users: readonly ContainerId[];
}

export type VolumeFilters = Readonly<Record<string, readonly string[]>>;

/** Layer directories, topmost first, relative to `base`; `path` inside them. Symbolic links are followed inside the image only. */
export interface PopulateSource {
  readonly base: string;
  readonly lowers: readonly string[];
  readonly path: string;
}

export interface VolumeEvent {
  /** create, mount, unmount, destroy, prune, rename */
  readonly action: string;
  /** The name. */
  readonly id: string;
  /** driver; for mount: container, destination, propagation, read/write (handed in by containers) */
  readonly attributes: Readonly<Record<string, string>>;
}
