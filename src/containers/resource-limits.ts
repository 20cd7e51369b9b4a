/** Docker's resource fields → resources of a spec. Pure; what is zero was not asked for and is left out. The checks are in `validate-resources.ts`. */
import { invalid } from '../base/errors.ts';
import type { DeviceRule, Resources, ThrottleDevice } from '../oci/runtime-spec.ts';
import type { HostConfig } from './config.ts';
import type { FindDevices } from './devices.ts';

export function resourceLimits(hostConfig: HostConfig, devices: readonly DeviceRule[], find: FindDevices): Resources {
  const sections = {
    memory: memoryLimits(hostConfig),
    cpu: cpuLimits(hostConfig),
    pids: (hostConfig.PidsLimit ?? 0) > 0 ? { limit: hostConfig.PidsLimit ?? 0 } : {},
    blockIO: blockLimits(hostConfig, find),
  };
  const given = Object.entries(sections).filter(([, section]) => Object.keys(section).length > 0);
  return { devices, ...Object.fromEntries(given) };
}

/** Docker's default when memory is limited and swap is not mentioned: as much swap as memory. */
function effectiveMemorySwap(hostConfig: Pick<HostConfig, 'Memory' | 'MemorySwap'>): number {
  return hostConfig.Memory > 0 && hostConfig.MemorySwap === 0 ? hostConfig.Memory * 2 : hostConfig.MemorySwap;
}

function memoryLimits(hostConfig: HostConfig): NonNullable<Resources['memory']> {
  const swap = effectiveMemorySwap(hostConfig);
  const swappiness = hostConfig.MemorySwappiness ?? -1;
  return {
    ...(hostConfig.Memory > 0 ? { limit: hostConfig.Memory } : {}),
    ...(hostConfig.MemoryReservation > 0 ? { reservation: hostConfig.MemoryReservation } : {}),
    // -1, unlimited, is what a new cgroup has.
    ...(swap > 0 ? { swap } : {}),
    ...(swappiness >= 0 ? { swappiness } : {}),
    ...(hostConfig.OomKillDisable === true ? { disableOOMKiller: true } : {}),
  };
}

const defaultPeriodMicroseconds = 100_000;

function cpuLimits(hostConfig: HostConfig): NonNullable<Resources['cpu']> {
  const fromCpus = hostConfig.NanoCpus > 0;
  const quota = fromCpus ? Math.trunc((hostConfig.NanoCpus * defaultPeriodMicroseconds) / 1e9) : hostConfig.CpuQuota;
  const period = fromCpus ? defaultPeriodMicroseconds : hostConfig.CpuPeriod;
  return {
    ...(hostConfig.CpuShares > 0 ? { shares: Math.min(Math.max(hostConfig.CpuShares, 2), 262_144) } : {}),
    ...(quota === 0 ? {} : { quota }),
    ...(period > 0 ? { period } : {}),
    ...(hostConfig.CpuRealtimePeriod === 0 ? {} : { realtimePeriod: hostConfig.CpuRealtimePeriod }),
    ...(hostConfig.CpuRealtimeRuntime === 0 ? {} : { realtimeRuntime: hostConfig.CpuRealtimeRuntime }),
    ...(hostConfig.CpusetCpus === '' ? {} : { cpus: hostConfig.CpusetCpus }),
    ...(hostConfig.CpusetMems === '' ? {} : { mems: hostConfig.CpusetMems }),
  };
}

type Throttle = { readonly Path: string; readonly Rate: number };

function blockLimits(hostConfig: HostConfig, find: FindDevices): NonNullable<Resources['blockIO']> {
  const throttles = {
    throttleReadBpsDevice: hostConfig.BlkioDeviceReadBps,
    throttleWriteBpsDevice: hostConfig.BlkioDeviceWriteBps,
    throttleReadIOPSDevice: hostConfig.BlkioDeviceReadIOps,
    throttleWriteIOPSDevice: hostConfig.BlkioDeviceWriteIOps,
  };
  const given = Object.entries(throttles).filter(([, list]) => (list ?? []).length > 0);
  const weights = (hostConfig.BlkioWeightDevice ?? []).map(({ Path: path, Weight: weight }) => ({ ...deviceNumbers(path, find), weight }));
  return {
    ...(hostConfig.BlkioWeight > 0 ? { weight: hostConfig.BlkioWeight } : {}),
    ...(weights.length > 0 ? { weightDevice: weights } : {}),
    ...Object.fromEntries(given.map(([name, list]) => [name, (list ?? []).map((throttle) => throttleDevice(throttle, find))])),
  };
}

function throttleDevice({ Path: path, Rate: rate }: Throttle, find: FindDevices): ThrottleDevice {
  return { ...deviceNumbers(path, find), rate };
}

function deviceNumbers(path: string, find: FindDevices): { readonly major: number; readonly minor: number } {
  const device = find(path)?.[0];
  if (device === undefined || device.type !== 'b') throw invalid(`cannot limit I/O of ${path}: no such block device on the host`);
  return { major: device.major, minor: device.minor };
}
