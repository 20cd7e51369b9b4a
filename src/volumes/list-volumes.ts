/** `volume ls` and `volume inspect`: our records, and what plugins know. */
import { errorText } from '../base/errors.ts';
import { pluginView } from './create-volume.ts';
import type { PluginDriver } from './plugin-driver.ts';
import { findInPlugins, localView, noSuchVolume, unrecorded, type VolumeContext, viewOf } from './volume-context.ts';
import type { DriverFacts } from './volume-driver.ts';
import { volumeListTest } from './volume-filters.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeFilters, VolumeView } from './volumes.ts';

/** A plugin that hangs must not hang the list of all the others. */
const LIST_MS = 10_000;

export async function inspectVolume(context: VolumeContext, name: string, size: boolean): Promise<VolumeView> {
  const record = context.records.get(name);
  if (record === null) {
    const found = await findInPlugins(context, name);
    if (found === null) throw noSuchVolume(name);
    return await pluginView(context, found.record, found.plugin);
  }
  if (record.driver === 'local') return await localView(context, record, size);
  const plugin = await context.drivers.plugin(record.driver);
  const view = await pluginView(context, record, plugin);
  // Taken away behind our back.
  if (view.mountpoint === '' && (await plugin.facts(name)) === null) throw noSuchVolume(name);
  return view;
}

export async function listVolumes(
  context: VolumeContext,
  filters: VolumeFilters,
  size: boolean,
): Promise<{ readonly volumes: readonly VolumeView[]; readonly warnings: readonly string[] }> {
  const matches = volumeListTest(filters);
  const [plugins, warnings] = await volumesOfPlugins(context);
  const local = context.records.all().filter(({ driver }) => driver === 'local');
  const locals = await Promise.all(local.map((record) => localView(context, record)));
  const known = new Set(locals.map(({ name }) => name));
  const chosen = [...locals, ...plugins.filter(({ name }) => !known.has(name))].filter(matches);
  const volumes = size ? await Promise.all(chosen.map((view) => measured(context, view))) : chosen;
  return { volumes: volumes.sort((a, b) => (a.name < b.name ? -1 : 1)), warnings };
}

/** Only what the filters left is walked through. */
async function measured(context: VolumeContext, view: VolumeView): Promise<VolumeView> {
  const record = context.records.get(view.name);
  return record === null || record.driver !== 'local' ? view : await localView(context, record, true);
}

async function volumesOfPlugins(context: VolumeContext): Promise<[readonly VolumeView[], readonly string[]]> {
  const { drivers, warnings } = await context.drivers.plugins();
  const lists = await Promise.all(drivers.map((driver) => listOf(driver)));
  const views = lists.flatMap(({ driver, volumes }) => volumes.map(({ name, facts }) => viewIn(context, driver, name, facts)));
  const seen = new Set(views.map(({ name }) => name));
  const silent = context.records.all().filter(({ driver, name }) => driver !== 'local' && !seen.has(name) && !answered(lists, driver));
  return [
    [...views, ...silent.map((record) => viewOf(context, record, { mountpoint: '', status: null, scope: 'local', sizeBytes: null }))],
    [...warnings, ...lists.flatMap(({ warning }) => (warning === null ? [] : [warning]))],
  ];
}

interface PluginList {
  readonly driver: PluginDriver;
  readonly volumes: readonly { readonly name: string; readonly facts: DriverFacts }[];
  readonly warning: string | null;
}

async function listOf(driver: PluginDriver): Promise<PluginList> {
  try {
    return { driver, volumes: await driver.list(LIST_MS), warning: null };
  } catch (thrown) {
    return { driver, volumes: [], warning: `list: ${errorText(thrown)}` };
  }
}

function answered(lists: readonly PluginList[], driver: string): boolean {
  return lists.some((list) => list.driver.name === driver && list.warning === null);
}

function viewIn(context: VolumeContext, driver: PluginDriver, name: string, facts: DriverFacts): VolumeView {
  const ours: VolumeRecord | null = context.records.get(name);
  const record = ours?.driver === driver.name ? ours : unrecorded(name, driver.name, facts.createdAt);
  return viewOf(context, record, { mountpoint: facts.mountpoint, status: facts.status, scope: driver.scope, sizeBytes: null });
}
