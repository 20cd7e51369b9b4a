/** A step as the configuration of a container: it gets what `run` gives, and the daemon's defaults. */
import type { ContainerId } from '../../base/brand.ts';
import { invalid } from '../../base/errors.ts';
import type { DeviceEdits } from '../../devices/device-edits.ts';
import { defaultPath } from '../../oci/image-config.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import { resolveUser, type UserFiles } from '../../oci/users.ts';
import { nativeName } from '../../runtime/runtime-names.ts';
import { cgroupPathBelow, checkedCgroupParent } from '../cgroup-parent.ts';
import type { HostConfig } from '../config.ts';
import { defaultContainerConfig, defaultHostConfig } from '../config-defaults.ts';
import type { ContainerContext } from '../container-context.ts';
import type { ContainerPaths } from '../container-paths.ts';
import { hostDevices } from '../devices.ts';
import { withResourceDefaults } from '../resource-defaults.ts';
import { runtimeSpec } from '../runtime-spec.ts';
import { settleHostConfig } from '../settle-host-config.ts';
import { refuseNetDevicesInStep, withVariables } from '../spec-edits.ts';
import { nothingJoined } from '../spec-namespaces.ts';
import type { Step } from './step.ts';
import { nodesOf } from './step-devices.ts';
import type { StepMounts } from './step-mounts.ts';

/** As BuildKit names it. */
export const defaultHostname = 'buildkitsandbox';

export type SpecContext = Pick<ContainerContext, 'host' | 'security' | 'runtimes' | 'resourceDefaults' | 'cgroupParent'>;

export interface SpecInput {
  readonly step: Step;
  readonly hostConfig: HostConfig;
  readonly userFiles: UserFiles;
  readonly files: ContainerPaths;
  readonly mounts: StepMounts;
  /** Path of its network namespace; null: a new one without a way out, or the host's. */
  readonly network: string | null;
  readonly edits: DeviceEdits;
}

/** What is asked and cannot be is refused here. Owners of what a step writes are those of the image: no user namespace, whatever the daemon's default. */
export async function stepHostConfig(context: SpecContext, step: Step): Promise<HostConfig> {
  const { settings } = step;
  if (step.security === 'insecure' && context.security.hardened)
    throw invalid('a step with --security=insecure cannot run here: this daemon hardens all of its processes (--hardened)');
  const asked = defaultHostConfig({
    NetworkMode: networkModeOf(step),
    Privileged: step.security === 'insecure',
    UsernsMode: 'host',
    Runtime: nativeName,
    Devices: nodesOf(step),
    ExtraHosts: [...settings.extraHosts],
    ShmSize: settings.shmSizeBytes ?? 0,
    Ulimits: settings.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CgroupParent: checkedCgroupParent(settings.cgroupParent ?? ''),
    Memory: settings.memoryBytes ?? 0,
    MemorySwap: settings.memorySwapBytes ?? 0,
    CpuShares: settings.cpuShares ?? 0,
    CpuPeriod: settings.cpuPeriod ?? 0,
    CpuQuota: settings.cpuQuota ?? 0,
    CpusetCpus: settings.cpus ?? '',
    CpusetMems: settings.memoryNodes ?? '',
  });
  const { hostConfig } = await settleHostConfig(withResourceDefaults(asked, context.resourceDefaults), context);
  return hostConfig;
}

export function networkModeOf({ network, settings }: Step): string {
  return network === 'default' ? (settings.networkName ?? 'bridge') : network;
}

/** Steps have a cgroup of their own for all of them, beside those of containers. */
export function stepCgroup({ cgroupParent }: SpecContext, id: string, { CgroupParent: parent }: Pick<HostConfig, 'CgroupParent'>): string {
  return cgroupPathBelow(cgroupParent, parent === '' ? 'build' : parent, id);
}

export function stepSpec(context: SpecContext, { step, hostConfig, userFiles, files, mounts, network, edits }: SpecInput): RuntimeSpec {
  const user = resolveUser(step.user, [], userFiles);
  const config = defaultContainerConfig({
    Hostname: step.settings.hostname ?? defaultHostname,
    User: step.user,
    Cmd: [...step.argv],
    WorkingDir: step.cwd,
  });
  refuseNetDevicesInStep(edits);
  const spec = runtimeSpec({
    id: step.id as ContainerId,
    config,
    hostConfig,
    user,
    host: context.host,
    files,
    mounts: mounts.mounts,
    cgroupsPath: stepCgroup(context, step.id, hostConfig),
    joined: { ...nothingJoined, network },
    findDevices: hostDevices,
    edits,
  });
  return {
    ...spec,
    process: { ...spec.process, env: withVariables(environmentOf(step.environment, user.home), edits.env) },
    mounts: [...spec.mounts, ...mounts.secrets],
  };
}

/** Later ones win, in the place of the first. Neither HOSTNAME nor TERM: what the step makes may not depend on them. */
function environmentOf(given: readonly string[], home: string): readonly string[] {
  const set = new Map(given.map((entry) => [entry.split('=', 1)[0] ?? '', entry]));
  const first = set.has('PATH') ? [] : [`PATH=${defaultPath}`];
  return [...first, ...set.values(), ...(set.has('HOME') ? [] : [`HOME=${home}`])];
}
