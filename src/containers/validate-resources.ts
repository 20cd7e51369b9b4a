/** Limits that cannot be, with Docker's texts (daemon/verifyPlatformContainerResources); pure. Returns warnings. */
import { invalid } from '../base/errors.ts';
import { rlimitNumbers } from '../linux/constants.ts';
import type { HostConfig } from './config.ts';
import type { HostFacts } from './host-facts.ts';

type Limits = HostConfig;

const minimumMemory = 6 * 1024 * 1024;

/** An update is checked by itself: what it does not give is zero. */
export function validateResources(limits: Limits, host: HostFacts, asked: 'create' | 'update' = 'create'): string[] {
  validateMemory(limits, asked);
  validateCpu(limits, host);
  validateCpusets(limits, host);
  validateBlockIo(limits);
  validateUlimits(limits, host);
  validateOomScore(limits, host);
  validateRealtime(limits);
  if ((limits.PidsLimit ?? 0) < -1 && asked === 'create')
    throw invalid(`Invalid value: ${limits.PidsLimit}, pids limit must be positive, or -1 for unlimited`);
  return memoryWarnings(limits);
}

function validateRealtime({ CpuRealtimePeriod: period, CpuRealtimeRuntime: runtime }: Limits): void {
  if (period !== 0 && runtime !== 0 && runtime > period) throw invalid('cpu real-time runtime cannot be higher than cpu real-time period');
}

function validateMemory(limits: Limits, asked: 'create' | 'update'): void {
  const { Memory: memory, MemorySwap: swap, MemoryReservation: reservation, MemorySwappiness: swappiness } = limits;
  if (memory !== 0 && memory < minimumMemory) throw invalid('Minimum memory limit allowed is 6MB');
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memory === 0 && swap > 0 && asked === 'create')
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  if (swap < -1) throw invalid(`Invalid value: ${swap}, memory swap must be positive, or -1 for unlimited`);
  if (swappiness !== null && swappiness !== -1 && (swappiness < 0 || swappiness > 100)) {
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (reservation !== 0 && reservation < minimumMemory) throw invalid('Minimum memory reservation allowed is 6MB');
  if (memory > 0 && reservation > 0 && memory < reservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

function memoryWarnings({ OomKillDisable, Memory }: Limits): string[] {
  if (OomKillDisable !== true || Memory !== 0) return [];
  return ['OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.'];
}

function validateCpu({ NanoCpus: nano, CpuPeriod: period, CpuQuota: quota, CpuShares: shares }: Limits, { cpus }: HostFacts): void {
  if (nano > 0 && period > 0) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (nano > 0 && quota > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  if (nano < 0 || nano > cpus * 1e9) {
    throw invalid(`Range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`);
  }
  if (shares < 0) throw invalid(`invalid CPU shares (${shares}): value must be a positive integer`);
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (quota > 0 && quota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
}

function validateCpusets(limits: Limits, host: HostFacts): void {
  const asked = parseCpuset(limits.CpusetCpus);
  if (asked === null) throw invalid(`Invalid value ${limits.CpusetCpus} for cpuset cpus: invalid format: ${limits.CpusetCpus}`);
  if (!within(asked, host.onlineCpus)) {
    throw invalid(`Requested CPUs are not available - requested ${limits.CpusetCpus}, available: ${host.onlineCpus}`);
  }
  const nodes = parseCpuset(limits.CpusetMems);
  if (nodes === null) throw invalid(`Invalid value ${limits.CpusetMems} for cpuset mems: invalid format: ${limits.CpusetMems}`);
  if (!within(nodes, host.onlineMemoryNodes || '0')) {
    throw invalid(`Requested memory nodes are not available - requested ${limits.CpusetMems}, available: ${host.onlineMemoryNodes || '0'}`);
  }
}

/** Far above any machine; keeps `0-4294967295` from filling memory. */
const highestCpu = 8192;

/** `0-2,7` → its numbers; null when it is no such list. */
function parseCpuset(text: string): Set<number> | null {
  const numbers = new Set<number>();
  if (text === '') return numbers;
  for (const part of text.split(',')) {
    const range = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (range === null) return null;
    const first = Number(range[1]);
    const last = range[2] === undefined ? first : Number(range[2]);
    if (last < first || last > highestCpu) return null;
    for (let number = first; number <= last; number += 1) numbers.add(number);
  }
  return numbers;
}

function within(asked: ReadonlySet<number>, available: string): boolean {
  const there = available === '' ? null : parseCpuset(available);
  return there === null || asked.isSubsetOf(there);
}

function validateBlockIo(limits: Limits): void {
  const range = 'Range of blkio weight is from 10 to 1000';
  if (limits.BlkioWeight !== 0 && (limits.BlkioWeight < 10 || limits.BlkioWeight > 1000)) throw invalid(range);
  for (const { Path: path, Weight: weight } of limits.BlkioWeightDevice ?? []) {
    if (weight < 10 || weight > 1000) throw invalid(`${range}: ${path} asks for ${weight}`);
  }
  const throttles = [limits.BlkioDeviceReadBps, limits.BlkioDeviceWriteBps, limits.BlkioDeviceReadIOps, limits.BlkioDeviceWriteIOps];
  for (const { Path: path, Rate: rate } of throttles.flatMap((list) => list ?? [])) {
    if (rate < 0) throw invalid(`invalid rate for device: ${path}:${rate}. It must be a positive integer`);
  }
}

function validateUlimits({ Ulimits: ulimits }: Limits, host: HostFacts): void {
  for (const { Name: name, Soft: soft, Hard: hard } of ulimits ?? []) {
    if (rlimitNumbers[name] === undefined) throw invalid(`invalid ulimit type: ${name}`);
    if (soft < -1 || hard < -1) throw invalid(`invalid ulimit ${name}: ${soft}:${hard}: limits must be positive, or -1 for unlimited`);
    const [softLimit, hardLimit] = [unlimited(soft), unlimited(hard)];
    if (softLimit > hardLimit) throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
    const ours = host.hardLimits[name] ?? Number.POSITIVE_INFINITY;
    if (hardLimit > ours && !host.capabilities.has('CAP_SYS_RESOURCE')) {
      throw invalid(
        `cannot set ulimit ${name} to ${hard}: this host withholds CAP_SYS_RESOURCE from Gantry, whose own hard limit is ${ours}. Ask for no more, or raise the limit of the daemon`,
      );
    }
  }
}

function unlimited(value: number): number {
  return value === -1 ? Number.POSITIVE_INFINITY : value;
}

function validateOomScore({ OomScoreAdj: score }: Limits, host: HostFacts): void {
  if (score < -1000 || score > 1000) throw invalid(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  if (score < 0 && !host.capabilities.has('CAP_SYS_RESOURCE')) {
    throw invalid(`cannot set the OOM score adjustment to ${score}: this host withholds CAP_SYS_RESOURCE from Gantry. Use 0 or more`);
  }
}
