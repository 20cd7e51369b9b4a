/** Volumes without directories, for tests: who created, filled and mounted what is there to be looked at. */
import type { ContainerId } from '../../base/brand.ts';
import { conflict, notFound } from '../../base/errors.ts';
import { ANONYMOUS_LABEL } from '../../volumes/volume-name.ts';
import type { PopulateSource, VolumeCreateRequest, Volumes, VolumeView } from '../../volumes/volumes.ts';

export class FakeVolumes implements Volumes {
  readonly views = new Map<string, VolumeView>();
  readonly populated: [string, PopulateSource][] = [];
  /** `NAME CONTAINER`, as often as it is held. */
  readonly held: string[] = [];
  readonly drivers = ['local'];
  /** What a call does first: a test may throw here. */
  before: (call: 'create' | 'populate' | 'mount', name: string) => void = () => {};
  usersOf: (name: string) => readonly ContainerId[] = () => [];

  async create({ name, driver, driverOptions, labels }: VolumeCreateRequest): Promise<VolumeView> {
    const key = name ?? 'random';
    this.before('create', key);
    const view: VolumeView = this.views.get(key) ?? {
      name: key,
      driver: driver === '' ? 'local' : driver,
      mountpoint: `/volumes/${key}/_data`,
      createdAt: new Date(),
      labels,
      options: driverOptions,
      status: null,
      scope: 'local',
      anonymous: ANONYMOUS_LABEL in labels,
      sizeBytes: null,
      users: [],
    };
    this.views.set(key, view);
    return view;
  }

  async inspect(name: string): Promise<VolumeView> {
    const view = this.views.get(name);
    if (view === undefined) throw notFound(`get ${name}: no such volume`);
    return view;
  }

  async list() {
    return { volumes: [...this.views.values()], warnings: [] };
  }

  async remove(name: string): Promise<void> {
    const users = this.usersOf(name);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
    this.views.delete(name);
  }

  async mount(name: string, container: ContainerId): Promise<{ readonly path: string }> {
    this.before('mount', name);
    this.held.push(`${name} ${container}`);
    return { path: (await this.inspect(name)).mountpoint };
  }

  async unmount(name: string, container: ContainerId): Promise<void> {
    const index = this.held.indexOf(`${name} ${container}`);
    if (index !== -1) this.held.splice(index, 1);
  }

  async restore(held: Parameters<Volumes['restore']>[0]): Promise<void> {
    this.held.length = 0;
    for (const { container, names } of held) for (const name of names) this.held.push(`${name} ${container}`);
  }

  async populate(name: string, source: PopulateSource): Promise<boolean> {
    this.before('populate', name);
    this.populated.push([name, source]);
    return true;
  }

  setUsers(usersOf: (name: string) => readonly ContainerId[]): void {
    this.usersOf = usersOf;
  }

  prune(): never {
    throw new Error('not for containers');
  }

  rename(): never {
    throw new Error('not for containers');
  }

  clone(): never {
    throw new Error('not for containers');
  }

  export(): never {
    throw new Error('not for containers');
  }

  import(): never {
    throw new Error('not for containers');
  }

  onEvent(): () => void {
    return () => {};
  }

  async close(): Promise<void> {}
}
