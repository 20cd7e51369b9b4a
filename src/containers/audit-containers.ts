/**
 * Audits containers: records in memory, rows, directories, cgroups, and what the runtime keeps of them.
 *
 * A container in a transition is left alone: what it has is changing. One that is being created is known by its reserved name.
 */
import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { hasErrnoCode } from '../base/errors.ts';
import type { Finding } from '../base/finding.ts';
import { killCgroup } from '../linux/cgroups.ts';
import { childCgroups } from '../linux/child-cgroups.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { removeDeviceLayer } from './container-devices.ts';
import { namesInDirectory } from './names-in-directory.ts';
import { removeDirectory } from './remove-directory.ts';

export async function auditContainers(context: ContainerContext): Promise<readonly Finding[]> {
  return [
    ...(await rows(context)),
    ...(await directories(context)),
    ...(await cgroups(context)),
    ...(await runtimeEntries(context)),
    ...keptSockets(context),
    ...(await context.steps.audit()),
  ];
}

/** For the runtime's audit: monitors' sockets are named by the first 16 digits of the id. */
export function servesContainer({ registry, steps }: ContainerContext, socketName: string): boolean {
  if (steps.serves(socketName)) return true;
  return registry.all().some((container) => container.id.startsWith(socketName) && (isRunning(container) || !isSettled(container)));
}

function isRunning({ state }: Container): boolean {
  return 'process' in state;
}

/** Nothing is being done to it. */
function isSettled(container: Container): boolean {
  return container.lane.idle;
}

const idPattern = /^[0-9a-f]{64}$/;

async function rows(context: ContainerContext): Promise<readonly Finding[]> {
  const { records, registry } = context;
  const stored = await records.all();
  const ids = new Set<string>(stored.map(({ id }) => id));
  const strayRows = stored
    .filter(({ id }) => isNobodys(context, id))
    .map((record): Finding => {
      const run = async () => {
        if (isNobodys(context, record.id)) await records.delete(record);
      };
      return {
        kind: 'row',
        what: `container ${record.id}`,
        why: `the daemon knows no container ${record.name} of this id`,
        repair: { does: 'deletes the row', run },
      };
    });
  const missing = registry
    .all()
    .filter((container) => !ids.has(container.id) && isSettled(container))
    .map((container): Finding => {
      const run = () => inLane(container, () => records.insert(container.record));
      return { kind: 'row', what: `container ${container.id}`, why: 'its row is missing', repair: { does: 'stores it again', run } };
    });
  return [...strayRows, ...missing];
}

async function directories(context: ContainerContext): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for (const name of await namesInDirectory(context.root)) {
    const path = join(context.root, name);
    if (!idPattern.test(name)) found.push({ kind: 'file', what: path, why: 'it is no container: remove it by hand', repair: null });
    else if (isNobodys(context, name)) found.push(strayDirectory(context, name, path));
  }
  for (const container of context.registry.all())
    if (isSettled(container)) found.push(...(await missingDirectory(container)), ...(await strayDevices(container)));
  return found;
}

function strayDirectory(context: ContainerContext, id: string, path: string): Finding {
  const run = async () => {
    if (isNobodys(context, id)) await removeDirectory(path);
  };
  return { kind: 'directory', what: path, why: 'no container has this id', repair: { does: 'removes it', run } };
}

async function missingDirectory(container: Container): Promise<readonly Finding[]> {
  const path = container.paths.directory;
  if (await exists(path)) return [];
  const run = () => inLane(container, async () => void (await mkdir(path, { recursive: true, mode: 0o700 })));
  return [
    {
      kind: 'directory',
      what: path,
      why: `the files of container ${container.name} are missing`,
      repair: { does: 'makes it anew, empty', run },
    },
  ];
}

/** What devices lay over the image of a container is there while it runs. */
async function strayDevices(container: Container): Promise<readonly Finding[]> {
  const path = container.paths.devices;
  if (isRunning(container) || !(await exists(path))) return [];
  const run = () => inLane(container, async () => (isRunning(container) ? undefined : await removeDeviceLayer(container)));
  const why = `container ${container.name} does not run: it has no devices`;
  return [{ kind: 'directory', what: path, why, repair: { does: 'removes it', run } }];
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function cgroups(context: ContainerContext): Promise<readonly Finding[]> {
  const names = await childCgroups(context.cgroupParent);
  return names
    .filter((name) => idPattern.test(name) && hasEnded(context, name))
    .map((name) => {
      const path = `${context.cgroupParent}/${name}`;
      return {
        kind: 'cgroup',
        what: path,
        why: 'no container of this id runs',
        repair: { does: 'ends what is in it and removes it', run: () => whenEnded(context, name, () => killCgroup(path)) },
      };
    });
}

async function runtimeEntries(context: ContainerContext): Promise<readonly Finding[]> {
  return (await namesInDirectory(context.runtimeEntries))
    .filter((name) => hasEnded(context, name) && !context.steps.has(name))
    .map((name) => {
      const path = join(context.runtimeEntries, name);
      const run = () => whenEnded(context, name, () => rm(path, { recursive: true, force: true }));
      return { kind: 'directory', what: path, why: 'no container of this id runs', repair: { does: 'removes it', run } };
    });
}

/** What the next daemon takes back from the monitor: DNS sockets and reserved ports. */
function keptSockets(context: ContainerContext): readonly Finding[] {
  return context.registry.all().flatMap((container) => {
    const { state, lane, id } = container;
    const sandbox = context.networks.sandbox(id);
    if (!('process' in state) || !lane.idle || sandbox === null) return [];
    // A monitor of an older version keeps nothing.
    if (state.process.kept.pid === 0) return [];
    const kept = new Set(state.process.kept.descriptors.map(({ label }) => label));
    const lacking = sandbox.keep.filter(({ label }) => !kept.has(label)).map(({ label }) => label);
    if (lacking.length === 0) return [];
    const run = () =>
      inLane(container, async () => {
        const now = context.networks.sandbox(id);
        if ('process' in container.state && now !== null) await container.state.process.keep(now.keep);
      });
    return [
      {
        kind: 'socket',
        what: `${lacking.join(', ')} of container ${id}`,
        why: 'its monitor does not keep it: a restart of the daemon would interrupt it',
        repair: { does: 'hands it to the monitor', run },
      },
    ];
  });
}

/** Neither a container's nor one that is being created. */
function isNobodys({ registry }: ContainerContext, id: string): boolean {
  return registry.get(id) === undefined && !registry.isReserved(id);
}

function hasEnded({ registry }: ContainerContext, id: string): boolean {
  const container = registry.get(id);
  return container === undefined ? !registry.isReserved(id) : isSettled(container) && !isRunning(container);
}

/** With the container's lane, so that nobody starts it meanwhile. */
async function whenEnded(context: ContainerContext, id: string, work: () => Promise<void>): Promise<void> {
  const container = context.registry.get(id as ContainerId);
  if (container === undefined) return await work();
  await inLane(container, async () => {
    if (!isRunning(container)) await work();
  });
}

function inLane(container: Container, run: () => Promise<void>): Promise<void> {
  return container.lane.submit({ kind: 'network', force: false, run });
}
