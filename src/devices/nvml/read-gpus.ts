/** What is asked of NVML and how it is put together. A GPU that does not even tell its UUID is lost (off the bus) and left out. */
import type { Nvml, NvmlDevice, NvmlProcess, NvmlProcessSample } from '../../linux/nvml.ts';
import type { GpuPartUsage, GpuProcess, GpuUsage, NvmlGpu } from './gpu-readings.ts';

/** What a test makes up. */
export type NvmlSource = Pick<Nvml, keyof Nvml>;

/** A driver samples every process 1 to 6 times a second. */
const samplePeriodUs = 2_000_000n;

export function readInventory(nvml: NvmlSource): readonly NvmlGpu[] {
  const cudaVersion = nvml.cudaVersion();
  return devicesOf(nvml).map(({ device, index, uuid }) => ({
    index,
    uuid,
    model: nvml.name(device) ?? '',
    pciAddress: pciAddress(nvml.busId(device) ?? ''),
    minor: nvml.minor(device) ?? index,
    memoryBytes: nvml.memory(device)?.total ?? null,
    cudaVersion,
    parts: partsOf(nvml, device).map(({ part, ...known }) => ({
      ...known,
      profile: profileOf(nvml, part),
      memoryBytes: nvml.memory(part)?.total ?? null,
    })),
  }));
}

export function readUsage(nvml: NvmlSource, nowMs = Date.now()): readonly GpuUsage[] {
  return devicesOf(nvml).map(({ device, index, uuid }) => {
    const memory = nvml.memory(device);
    const parts = partsOf(nvml, device);
    const samples = nvml.processSamples(device, BigInt(nowMs) * 1000n - samplePeriodUs);
    return {
      uuid,
      index,
      utilizationPercent: nvml.utilization(device),
      memoryUsedBytes: memory?.used ?? null,
      memoryTotalBytes: memory?.total ?? null,
      temperatureCelsius: nvml.temperature(device),
      powerMilliwatts: nvml.powerMilliwatts(device),
      processes: (nvml.processes(device) ?? []).map((process) => processOf(process, parts, samples)),
      parts: parts.map((part) => partUsage(nvml, part)),
    };
  });
}

interface Device {
  readonly device: NvmlDevice;
  readonly index: number;
  readonly uuid: string;
}

function devicesOf(nvml: NvmlSource): readonly Device[] {
  return Array.from({ length: nvml.deviceCount() }, (_, index) => index).flatMap((index) => {
    const device = nvml.device(index);
    const uuid = device === null ? null : nvml.uuid(device);
    return device === null || uuid === null ? [] : [{ device, index, uuid }];
  });
}

interface Part {
  readonly part: NvmlDevice;
  /** As the driver's tools number them: of `0:1`. */
  readonly index: number;
  readonly uuid: string;
  readonly gpuInstance: number;
  readonly computeInstance: number;
}

function partsOf(nvml: NvmlSource, device: NvmlDevice): readonly Part[] {
  return nvml.parts(device).flatMap((part, index) => {
    if (part === null) return [];
    const [uuid, gpuInstance, computeInstance] = [nvml.uuid(part), nvml.gpuInstance(part), nvml.computeInstance(part)];
    return uuid === null || gpuInstance === null || computeInstance === null ? [] : [{ part, index, uuid, gpuInstance, computeInstance }];
  });
}

function processOf(process: NvmlProcess, parts: readonly Part[], samples: readonly NvmlProcessSample[] | null): GpuProcess {
  const part = parts.find((one) => one.gpuInstance === process.gpuInstance && one.computeInstance === process.computeInstance);
  const own = samples?.filter(({ pid }) => pid === process.pid) ?? [];
  const busy = own.reduce((sum, sample) => sum + sample.busy, 0);
  return {
    pid: process.pid,
    part: part?.uuid ?? null,
    memoryBytes: process.memory,
    utilizationPercent: samples === null ? null : own.length === 0 ? 0 : Math.min(100, Math.round(busy / own.length)),
  };
}

function partUsage(nvml: NvmlSource, { part, uuid, index }: Part): GpuPartUsage {
  const memory = nvml.memory(part);
  return { uuid, index, memoryUsedBytes: memory?.used ?? null, memoryTotalBytes: memory?.total ?? null };
}

/** Its name ends in it (`NVIDIA A100-SXM4-40GB MIG 1g.5gb`); drivers before that tell slices and memory. */
function profileOf(nvml: NvmlSource, part: NvmlDevice): string {
  const named = / MIG ((?:\d+c\.)?\d+g\.\S+)$/.exec(nvml.name(part) ?? '')?.[1];
  if (named !== undefined) return named;
  const given = nvml.attributes(part);
  if (given === null) return '';
  const compute = given.computeSlices < given.gpuSlices ? `${given.computeSlices}c.` : '';
  return `${compute}${given.gpuSlices}g.${Math.ceil(given.memoryMiB / 1024)}gb`;
}

/** As sysfs spells it: `00000000:0A:00.0` is `0000:0a:00.0`. */
function pciAddress(busId: string): string {
  const [domain = '0', ...rest] = busId.toLowerCase().split(':');
  return rest.length === 0 ? '' : [Number.parseInt(domain, 16).toString(16).padStart(4, '0'), ...rest].join(':');
}
