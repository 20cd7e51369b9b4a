/** What the NVIDIA Management Library (NVML, nvml.h) says, where it can be loaded. Its calls, which may take seconds, are made in a process of their own. */

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
  /** Null: it has none of its own. */
  readonly memoryBytes: number | null;
  /** `13.0`, of the driver; null: not told. */
  readonly cudaVersion: string | null;
  readonly parts: readonly {
    readonly index: number;
    readonly uuid: string;
    readonly gpuInstance: number;
    readonly computeInstance: number;
    /** `1g.10gb`; '': not told. */
    readonly profile: string;
    readonly memoryBytes: number | null;
  }[];
}

/** Null, wherever it may be: not told by this GPU. */
export interface GpuUsage {
  readonly uuid: string;
  readonly index: number;
  /** 0-100, of the last moment. */
  readonly utilizationPercent: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
  readonly temperatureCelsius: number | null;
  readonly powerMilliwatts: number | null;
  readonly processes: readonly GpuProcess[];
  /** Of a GPU that is divided; else empty. */
  readonly parts: readonly GpuPartUsage[];
}

export interface GpuProcess {
  /** As this daemon sees it. */
  readonly pid: number;
  /** Of the part that it uses; null: the GPU is not divided. */
  readonly part: string | null;
  readonly memoryBytes: number | null;
  readonly utilizationPercent: number | null;
}

export interface GpuPartUsage {
  readonly uuid: string;
  readonly index: number;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
}
