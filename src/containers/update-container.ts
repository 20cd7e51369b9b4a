/**
 * `docker update`: new limits and a new restart policy for a container that exists, in the kernel when it runs and in its stored configuration.
 *
 *   merged, checked ──▶ kernel (all of it or nothing) ──▶ stored ──▶ `update`
 *                                                            └──refused──▶ kernel as before
 *
 * What is not given stays; zero and the empty text are "not given", as Docker's clients write it. Runs inside the container's lane.
 */
import { dirname } from 'node:path';
import { conflict, EngineError, errorText, invalid } from '../base/errors.ts';
import { giveRealtimeBudget } from '../linux/cgroup-realtime.ts';
import { updateCgroup } from '../linux/cgroups.ts';
import type { Resources } from '../oci/runtime-spec.ts';
import type { HostConfig } from './config.ts';
import { noResources } from './config-defaults.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import type { ContainerUpdate, UpdatableLimits } from './container-update.ts';
import { hostDevices } from './devices.ts';
import { discardUnsupported } from './discard-limits.ts';
import { resourceLimits } from './resource-limits.ts';
import { validateRestartPolicy } from './validate-create.ts';
import { validateResources } from './validate-resources.ts';

export async function updateContainer(
  context: ContainerContext,
  container: Container,
  update: ContainerUpdate,
): Promise<readonly string[]> {
  const { status } = container.state;
  if (status === 'removing' || status === 'dead')
    throw cannotUpdate(container, conflict('Container is marked for removal and cannot be "update".'));
  const { hostConfig: asked, warnings } = checked(context, container, update);
  const changes = changedLimits(asked, update);
  const hostConfig = merged(container, changes, update);
  const limits = kernelLimits(hostConfig, changes);
  const inKernel = status === 'running' && Object.keys(limits).length > 0 ? await inForce(context, container, limits) : null;
  const undo = container.change({ hostConfig });
  try {
    await context.records.update(container.record, 'full');
  } catch (error) {
    undo();
    inKernel?.undo();
    throw cannotUpdate(container, error);
  }
  context.events.emit('update', container);
  return [...warnings, ...(inKernel?.warnings ?? [])];
}

/** The request by itself, as at a creation; what this kernel lacks is taken out. */
function checked({ host }: ContainerContext, container: Container, update: ContainerUpdate) {
  const { limits, pidsLimit, restartPolicy } = update;
  const rest: HostConfig = {
    ...container.hostConfig,
    BlkioWeightDevice: null,
    MemorySwappiness: null,
    OomKillDisable: null,
    Ulimits: null,
  };
  const { hostConfig, warnings } = discardUnsupported({ ...rest, ...limits, PidsLimit: pidsLimit, OomScoreAdj: 0 }, host);
  if (restartPolicy !== null) validateRestartPolicy({ RestartPolicy: restartPolicy, AutoRemove: false });
  return { hostConfig, warnings: [...warnings, ...validateResources(hostConfig, host, 'update')] };
}

function changedLimits(asked: HostConfig, update: ContainerUpdate): Partial<HostConfig> {
  const limitNames = Object.keys(update.limits) as (keyof UpdatableLimits)[];
  const given = limitNames.filter(
    (name) => update.limits[name] !== 0 && update.limits[name] !== '' && asked[name] !== 0 && asked[name] !== '',
  );
  const pids = update.pidsLimit === null || asked.PidsLimit === null ? {} : { PidsLimit: asked.PidsLimit > 0 ? asked.PidsLimit : 0 };
  return { ...Object.fromEntries(given.map((name) => [name, asked[name]])), ...pids };
}

/** Docker's conflicts between what is set and what is asked. */
function merged(container: Container, changes: Partial<HostConfig>, { restartPolicy }: ContainerUpdate): HostConfig {
  const current = container.hostConfig;
  const { Memory: memory = 0, MemorySwap: swap = 0, NanoCpus: nano = 0, CpuPeriod: period = 0, CpuQuota: quota = 0 } = changes;
  const conflicts: readonly (readonly [boolean, string])[] = [
    [nano > 0 && current.CpuPeriod > 0, 'Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set'],
    [nano > 0 && current.CpuQuota > 0, 'Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set'],
    [period > 0 && current.NanoCpus > 0, 'Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set'],
    [quota > 0 && current.NanoCpus > 0, 'Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set'],
    [
      memory !== 0 && current.MemorySwap !== -1 && memory > current.MemorySwap && swap === 0,
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    ],
    [
      restartPolicy !== null && current.AutoRemove && !['', 'no'].includes(restartPolicy.Name),
      'Restart policy cannot be updated because AutoRemove is enabled for the container',
    ],
  ];
  const found = conflicts.find(([applies]) => applies);
  if (found !== undefined) throw cannotUpdate(container, conflict(found[1]));
  const next = { ...current, ...changes, ...(restartPolicy === null ? {} : { RestartPolicy: restartPolicy }) };
  if (swap > 0 && next.Memory > swap) {
    throw cannotUpdate(container, invalid('Minimum memoryswap limit should be larger than memory limit, see usage'));
  }
  return next;
}

/** Only what changes is written: a container may have changed the rest itself. Swap is told together with memory, which cgroup v2 needs to know. */
function kernelLimits(hostConfig: HostConfig, changes: Partial<HostConfig>): Resources {
  const none: HostConfig = { ...hostConfig, ...noResources() };
  const memory = changes.Memory !== undefined || changes.MemorySwap !== undefined;
  const asked = { ...none, ...changes, ...(memory ? { Memory: hostConfig.Memory, MemorySwap: hostConfig.MemorySwap } : {}) };
  const { devices: _devices, ...limits } = resourceLimits(asked, [], hostDevices);
  const swap = memory && hostConfig.MemorySwap === -1 ? { memory: { ...limits.memory, swap: -1 } } : {};
  const pids = changes.PidsLimit === undefined || changes.PidsLimit === null ? {} : { pids: { limit: changes.PidsLimit } };
  return { ...limits, ...swap, ...pids };
}

async function inForce(context: ContainerContext, container: Container, limits: Resources) {
  const path = cgroupsPathOf(context, container);
  try {
    if (limits.cpu?.realtimeRuntime !== undefined) await giveRealtimeBudget(dirname(path), context.resourceDefaults.realtime);
    return await updateCgroup(path, limits);
  } catch (error) {
    throw cannotUpdate(container, error);
  }
}

function cannotUpdate({ id }: Container, cause: unknown): EngineError {
  const code = cause instanceof EngineError ? cause.code : 'system';
  return new EngineError(code, `Cannot update container ${id}: ${errorText(cause)}`, { cause });
}
