/** What the NVIDIA Management Library (NVML, nvml.h) says, where it can be loaded. The implementation keeps its calls, which may take seconds, off the event loop. */

export interface GpuReadings {
  /** GPUs and their parts; null: the library cannot be loaded or does not answer. */
  inventory(): Promise<readonly NvmlGpu[] | null>;
  /** What they do now; null as above. Several callers at once share one reading. */
  usage(): Promise<readonly GpuUsage[] | null>;
  close(): Promise<void>;
}

export interface NvmlGpu {
  readonly index: number;
  readonly uuid: string;
  readonly model: string;
  readonly pciAddress: string;
  readonly minor: number;
  readonly memoryBytes: number;
  /** `13.0`, of the driver. */
  readonly cudaVersion: string;
  readonly parts: readonly {
    readonly index: number;
    readonly uuid: string;
    readonly gpuInstance: number;
    readonly computeInstance: number;
    readonly profile: string;
  }[];
}

export interface GpuUsage {
  readonly uuid: string;
  readonly index: number;
  /** 0-100, of the last moment; null: not supported. */
  readonly utilizationPercent: number | null;
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly temperatureCelsius: number | null;
  readonly powerMilliwatts: number | null;
  /** Process ids as this daemon sees them. */
  readonly processes: readonly { readonly pid: number; readonly memoryBytes: number | null; readonly utilizationPercent: number | null }[];
}
