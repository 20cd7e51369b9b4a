/** One line of `GET /system/top` (beyond Docker). Times of processors are nanoseconds, sizes bytes, all since the beginning. */
export interface UsageTableAnswer {
  readonly Read: string;
  readonly MemTotal: number;
  readonly Containers: readonly ContainerUsageAnswer[];
}

export interface ContainerUsageAnswer {
  readonly Id: string;
  readonly Name: string;
  readonly Paused: boolean;
  readonly CPU: number;
  /** Of the whole machine, read beside it. */
  readonly SystemCPU: number;
  readonly OnlineCPUs: number;
  readonly Memory: number;
  readonly MemoryLimit: number;
  readonly Processes: readonly ProcessUsageAnswer[];
  /** Those that it holds; null: not known. */
  readonly GPUs?: readonly GpuUsageAnswer[];
}

export interface GpuUsageAnswer {
  readonly Uuid: string;
  readonly Index: number | null;
  readonly Memory: number | null;
  readonly MemoryTotal: number | null;
  readonly Utilization: number | null;
}

export interface ProcessUsageAnswer {
  readonly Pid: number;
  readonly Uid: number;
  readonly Name: string;
  readonly State: string;
  readonly CPU: number;
  readonly Memory: number;
  /** Of a process that uses GPUs; null: not known. */
  readonly GPUMemory?: number | null;
  readonly GPUUtilization?: number | null;
}
