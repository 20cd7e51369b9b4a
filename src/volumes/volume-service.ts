/** `createVolumes`: the engine's volumes, from records and directories of the data root. The verbs are in files of their own. */
import type { Readable } from 'node:stream';
import type { Finding } from '../base/finding.ts';
import type { Logger } from '../base/log.ts';
import type { Database } from '../store/database.ts';
import { exportVolume, importVolume } from './archive-volume.ts';
import { auditVolumes, type MountRoots } from './audit-volumes.ts';
import { cloneVolume } from './clone-volume.ts';
import { createVolume } from './create-volume.ts';
import { populateVolume } from './fill-volume.ts';
import { inspectVolume, listVolumes } from './list-volumes.ts';
import { LocalDriver } from './local-driver.ts';
import { LocalPaths } from './local-paths.ts';
import { NameQueue } from './name-queue.ts';
import { dockerPluginDirectories, type PluginDirectories } from './plugin-discovery.ts';
import { pruneVolumes, removeVolume } from './remove-volume.ts';
import { renameVolume } from './rename-volume.ts';
import { makeVolumesRoot, repairVolumes } from './repair-volumes.ts';
import { requireVolume, type VolumeContext } from './volume-context.ts';
import { VolumeDrivers } from './volume-drivers.ts';
import { VolumeMounts } from './volume-mounts.ts';
import { VolumeRecords } from './volume-records.ts';
import { VolumeThreads } from './volume-threads.ts';
import type { VolumeEvent, Volumes } from './volumes.ts';

export interface VolumesOptions {
  readonly database: Database;
  readonly dataRoot: string;
  readonly logger: Logger;
  /** Where plugins of Docker's API are looked for; those of Docker when left out. */
  readonly plugins?: PluginDirectories;
}

const threadLimits = { trees: 4, filling: 2, streams: 32, mounts: 32 } as const;

/** With what only the composition root asks. */
export interface VolumeService extends Volumes {
  /** Records against directories and mounts; `roots` are looked at for mounts of nobody. */
  audit(roots: MountRoots): Promise<readonly Finding[]>;
}

export async function createVolumes(options: VolumesOptions): Promise<VolumeService> {
  const { database, dataRoot, logger } = options;
  const paths = new LocalPaths(dataRoot);
  const records = await VolumeRecords.load(database);
  const mountThreads = new VolumeThreads(threadLimits.mounts);
  const drivers = new VolumeDrivers(new LocalDriver(paths, mountThreads), options.plugins ?? dockerPluginDirectories, logger);
  const queue = new NameQueue();
  const mounts = new VolumeMounts(records, drivers, queue, logger);
  const threads = {
    trees: new VolumeThreads(threadLimits.trees),
    filling: new VolumeThreads(threadLimits.filling),
    streams: new VolumeThreads(threadLimits.streams),
  };
  const listeners = new Set<(event: VolumeEvent) => void>();
  const state: { usersOf: (name: string) => readonly string[] } = { usersOf: () => [] };
  const context: VolumeContext = {
    paths,
    records,
    drivers,
    mounts,
    queue,
    threads,
    busy: new Map(),
    logger,
    usersOf: (name) => state.usersOf(name),
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
  };
  await makeVolumesRoot(paths);
  await repairVolumes(context);
  // Known to `info` from the start; one that hangs is waited for by nobody.
  void drivers.plugins().catch((thrown) => logger.warn({ error: String(thrown) }, 'volume plugins could not be looked for'));
  return service(context, state, listeners, [mountThreads, ...Object.values(threads)]);
}

function service(
  context: VolumeContext,
  state: { usersOf: (name: string) => readonly string[] },
  listeners: Set<(event: VolumeEvent) => void>,
  threads: readonly VolumeThreads[],
): VolumeService {
  const streams = new Set<Readable>();
  return {
    create: (request) => createVolume(context, request),
    inspect: (name, options) => inspectVolume(context, name, options?.size === true),
    list: (filters, options) => listVolumes(context, filters, options?.size === true),
    remove: (name, options) => removeVolume(context, name, options.force),
    prune: (filters) => pruneVolumes(context, filters),
    rename: (name, newName) => renameVolume(context, name, newName),
    clone: (name, newName, labels) => cloneVolume(context, name, newName, labels),
    export: (name) => exportVolume(context, name, streams),
    import: (name, archive, options) => importVolume(context, name, archive, options.merge),
    async mount(name, container, attributes = {}) {
      const record = await requireVolume(context, name);
      const path = await context.mounts.acquire(record, container);
      context.emit({ action: 'mount', id: name, attributes: { driver: record.driver, container, ...attributes } });
      return { path };
    },
    async unmount(name, container) {
      const record = await requireVolume(context, name);
      const held = await context.mounts.release(record, container);
      if (held) context.emit({ action: 'unmount', id: name, attributes: { driver: record.driver, container } });
    },
    restore: (held) => context.mounts.restore(held),
    populate: (name, source) => populateVolume(context, name, source),
    setUsers(usersOf) {
      state.usersOf = usersOf;
    },
    audit: (roots) => auditVolumes(context, roots),
    get drivers() {
      return context.drivers.names;
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      for (const stream of streams) stream.destroy();
      await Promise.all(threads.map((each) => each.close()));
    },
  };
}
