/**
 * `volume create`. A local volume is made in three steps, so that a crash between them leaves one that is there or one that is not:
 *
 *   .new-HASH/_data ──▶ record, on the disk ──▶ rename to NAME
 */
import { chmod, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { conflict, invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { parseLocalOptions } from './local-options.ts';
import type { PluginDriver } from './plugin-driver.ts';
import { explaining, findInPlugins, localView, type VolumeContext, viewOf } from './volume-context.ts';
import { ANONYMOUS_LABEL, anonymousVolumeName, checkVolumeName } from './volume-name.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeCreateRequest, VolumeView } from './volumes.ts';

export function createVolume(context: VolumeContext, request: VolumeCreateRequest): Promise<VolumeView> {
  const name = request.name ?? anonymousVolumeName();
  const labels = request.name === null ? { ...request.labels, [ANONYMOUS_LABEL]: '' } : request.labels;
  return explaining('create', name, () => context.queue.run(name, () => createOrFind(context, name, { ...request, labels })));
}

async function createOrFind(context: VolumeContext, name: string, request: VolumeCreateRequest): Promise<VolumeView> {
  const existing = context.records.get(name);
  if (existing !== null) return await existingView(context, existing, request.driver);
  if (request.driver === '') {
    const found = await findInPlugins(context, name);
    if (found !== null) return await pluginView(context, found.record, found.plugin);
  }
  const record: VolumeRecord = {
    name,
    driver: request.driver === '' ? 'local' : request.driver,
    options: request.driverOptions,
    labels: request.labels,
    createdAt: new Date(),
    renamingTo: null,
  };
  const view = record.driver === 'local' ? await createLocal(context, record) : await createInPlugin(context, record);
  context.emit({ action: 'create', id: name, attributes: { driver: record.driver } });
  return view;
}

/** Options and labels of an existing volume stay what they are, as in Docker. */
async function existingView(context: VolumeContext, existing: VolumeRecord, driver: string): Promise<VolumeView> {
  if (driver !== '' && driver !== existing.driver) {
    // An unknown driver is the better message of the two.
    await context.drivers.get(driver);
    throw conflict(`driver '${existing.driver}' already has volume '${existing.name}': volume name must be unique`);
  }
  if (existing.driver === 'local') return await localView(context, existing);
  return await pluginView(context, existing, await context.drivers.plugin(existing.driver));
}

async function createLocal(context: VolumeContext, record: VolumeRecord): Promise<VolumeView> {
  checkVolumeName(record.name);
  parseLocalOptions(record.options);
  await makeDirectories(context, record.name);
  failpoint('volume.directory-made');
  await admitLocal(context, record);
  return await localView(context, record);
}

/** Modes as Docker's, whatever the umask: an unprivileged user must not find setuid programs of volumes by way of the data root. */
async function makeDirectories(context: VolumeContext, name: string): Promise<void> {
  const directory = await makeNewDirectory(context, name);
  await mkdir(join(directory, '_data'));
  await chmod(join(directory, '_data'), 0o755);
}

/** For a volume that has no record yet. What an attempt before left there goes. */
export async function makeNewDirectory(context: VolumeContext, name: string): Promise<string> {
  const directory = context.paths.created(name);
  await mkdir(directory).catch(async () => {
    await dropNewDirectory(context, name);
    await mkdir(directory);
  });
  await chmod(directory, 0o701);
  return directory;
}

export async function dropNewDirectory(context: VolumeContext, name: string): Promise<void> {
  const directory = context.paths.created(name);
  await context.threads.trees.run({ kind: 'remove', parent: context.paths.root, names: [directory.slice(context.paths.root.length + 1)] });
}

/** The last two steps. */
export async function admitLocal(context: VolumeContext, record: VolumeRecord): Promise<void> {
  try {
    await context.records.add(record);
  } catch (thrown) {
    await dropNewDirectory(context, record.name);
    throw thrown;
  }
  failpoint('volume.recorded');
  await rename(context.paths.created(record.name), context.paths.directory(record.name));
}

/** One that the plugin has already is taken over, labels and all. */
async function createInPlugin(context: VolumeContext, record: VolumeRecord): Promise<VolumeView> {
  if (record.name.includes('\0')) throw invalid('a volume name must not hold a NUL byte');
  const plugin = await context.drivers.plugin(record.driver);
  if ((await plugin.facts(record.name)) === null) await plugin.create(record.name, record.options);
  await context.records.add(record);
  return await pluginView(context, record, plugin);
}

export async function pluginView(context: VolumeContext, record: VolumeRecord, plugin: PluginDriver): Promise<VolumeView> {
  const facts = await plugin.facts(record.name);
  return viewOf(context, record, {
    mountpoint: facts?.mountpoint ?? '',
    status: facts?.status ?? null,
    scope: plugin.scope,
    sizeBytes: null,
  });
}
