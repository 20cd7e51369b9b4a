/**
 * The NVIDIA Management Library (libnvidia-ml.so.1) as far as it is asked here; names and meanings are those of nvml.h.
 *
 * Every call may take seconds, never return when a GPU has fallen off the bus, or crash: they are made in a process of its own (src/devices/nvml). What an old
 * driver does not know, and what a GPU does not support, is null.
 */
import { type ListLayout, type NvmlCalls, type NvmlDevice, textOf } from './nvml-calls.ts';
import type { NvmlAttributes, NvmlMemory, NvmlProcess, NvmlProcessSample } from './nvml-layouts.ts';
import * as layouts from './nvml-layouts.ts';

export type { NvmlDevice } from './nvml-calls.ts';
export type { NvmlProcess, NvmlProcessSample } from './nvml-layouts.ts';

const processList: ListLayout<NvmlProcess> = {
  entryBytes: layouts.largestProcessBytes,
  fill: layouts.pattern,
  countFirst: true,
  read: layouts.readProcesses,
};
const sampleList: ListLayout<NvmlProcessSample> = {
  entryBytes: layouts.sampleBytes,
  fill: 0,
  countFirst: false,
  read: layouts.readSamples,
};
/** NVML_TEMPERATURE_GPU */
const gpuSensor = 0;

export class Nvml {
  readonly #calls: NvmlCalls;

  /** Throws when the library cannot be used: no driver, or one of another version. */
  constructor(calls: NvmlCalls) {
    this.#calls = calls;
    this.#calls.require('nvmlInit_v2');
  }

  /** Lets go of the GPUs: a driver can be unloaded then. */
  shutdown(): void {
    this.#calls.status('nvmlShutdown');
  }

  driverVersion(): string | null {
    return this.#calls.text('nvmlSystemGetDriverVersion');
  }

  /** The newest CUDA that the driver serves: `13.0`. */
  cudaVersion(): string | null {
    const version = this.#calls.number('nvmlSystemGetCudaDriverVersion_v2');
    return version === null ? null : `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
  }

  deviceCount(): number {
    const count = Buffer.alloc(4);
    this.#calls.require('nvmlDeviceGetCount_v2', count);
    return count.readUInt32LE(0);
  }

  /** Null: it does not answer any more. */
  device(index: number): NvmlDevice | null {
    return this.#calls.device('nvmlDeviceGetHandleByIndex_v2', index);
  }

  name(device: NvmlDevice): string | null {
    return this.#calls.text('nvmlDeviceGetName', device);
  }

  uuid(device: NvmlDevice): string | null {
    return this.#calls.text('nvmlDeviceGetUUID', device);
  }

  /** `00000000:01:00.0` */
  busId(device: NvmlDevice): string | null {
    const info = this.#calls.bytes('nvmlDeviceGetPciInfo_v3', layouts.pciInfo.sizeBytes, [device]);
    return info === null ? null : textOf(info.subarray(layouts.pciInfo.busIdAt));
  }

  /** Of `/dev/nvidia0`. */
  minor(device: NvmlDevice): number | null {
    return this.#calls.number('nvmlDeviceGetMinorNumber', device);
  }

  /** Null: also of a GPU that has none of its own. */
  memory(device: NvmlDevice): NvmlMemory | null {
    const { memoryV1, memoryV2 } = layouts;
    const asked = Buffer.alloc(memoryV2.sizeBytes);
    asked.writeUInt32LE(memoryV2.version, 0);
    const told = this.#calls.bytes('nvmlDeviceGetMemoryInfo_v2', memoryV2.sizeBytes, [device], asked);
    if (told !== null) return memoryV2.read(told);
    const older = this.#calls.bytes('nvmlDeviceGetMemoryInfo', memoryV1.sizeBytes, [device]);
    return older === null ? null : memoryV1.read(older);
  }

  /** Percent of the last moment (1/6 s to 1 s) in which anything ran. */
  utilization(device: NvmlDevice): number | null {
    return this.#calls.bytes('nvmlDeviceGetUtilizationRates', 8, [device])?.readUInt32LE(0) ?? null;
  }

  /** Celsius. */
  temperature(device: NvmlDevice): number | null {
    return this.#calls.number('nvmlDeviceGetTemperature', device, gpuSensor);
  }

  powerMilliwatts(device: NvmlDevice): number | null {
    return this.#calls.number('nvmlDeviceGetPowerUsage', device);
  }

  /** Those that compute and those that draw, each once; of a divided GPU those of all its parts. */
  processes(device: NvmlDevice): readonly NvmlProcess[] | null {
    const computing = this.#processes('Compute', device);
    const drawing = this.#processes('Graphics', device);
    if (computing === null || drawing === null) return computing ?? drawing;
    const pids = new Set(computing.map(({ pid }) => pid));
    return [...computing, ...drawing.filter(({ pid }) => !pids.has(pid))];
  }

  /** Samples younger than that time, in microseconds since 1970. Null: not supported, as by divided GPUs. */
  processSamples(device: NvmlDevice, since: bigint): readonly NvmlProcessSample[] | null {
    return this.#calls.list(sampleList, 'nvmlDeviceGetProcessUtilization', device, since);
  }

  /** Its parts (MIG), by index; null where the numbering has a hole. Empty: it is not divided. */
  parts(device: NvmlDevice): readonly (NvmlDevice | null)[] {
    const [current, pending] = [Buffer.alloc(4), Buffer.alloc(4)];
    const status = this.#calls.status('nvmlDeviceGetMigMode', device, current, pending);
    if (status !== 0 || current.readUInt32LE(0) !== 1) return [];
    const count = this.#calls.number('nvmlDeviceGetMaxMigDeviceCount', device) ?? 0;
    return Array.from({ length: count }, (_, index) => this.#calls.device('nvmlDeviceGetMigDeviceHandleByIndex', device, index));
  }

  gpuInstance(part: NvmlDevice): number | null {
    return this.#calls.number('nvmlDeviceGetGpuInstanceId', part);
  }

  computeInstance(part: NvmlDevice): number | null {
    return this.#calls.number('nvmlDeviceGetComputeInstanceId', part);
  }

  /** What a part was given. */
  attributes(part: NvmlDevice): NvmlAttributes | null {
    const bytes = this.#calls.bytes('nvmlDeviceGetAttributes_v2', layouts.attributes.sizeBytes, [part]);
    return bytes === null ? null : layouts.attributes.read(bytes);
  }

  /** The newest version that this driver has. */
  #processes(kind: 'Compute' | 'Graphics', device: NvmlDevice): readonly NvmlProcess[] | null {
    for (const version of ['_v3', '_v2', '']) {
      const found = this.#calls.list(processList, `nvmlDeviceGet${kind}RunningProcesses${version}`, device);
      if (found !== null) return found;
    }
    return null;
  }
}
