/** The answer of `GET /containers/ID/stats`, as far as percentages and totals need it. Counters may be rounded by JSON: differences of them stay meaningful. */
export interface CpuStats {
  readonly cpu_usage?: { readonly total_usage?: number; readonly percpu_usage?: readonly number[] | null };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

export interface StatsAnswer {
  readonly id: string;
  /** With a leading `/`. */
  readonly name: string;
  readonly read: string;
  readonly cpu_stats?: CpuStats;
  readonly precpu_stats?: CpuStats;
  readonly memory_stats?: { readonly usage?: number; readonly limit?: number; readonly stats?: Readonly<Record<string, number>> };
  readonly pids_stats?: { readonly current?: number };
  readonly blkio_stats?: { readonly io_service_bytes_recursive?: readonly { readonly op: string; readonly value: number }[] | null };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>>;
  /** Beyond Docker: of the GPUs that it holds. */
  readonly gpu_stats?: readonly GpuStats[];
}

/** Null: not known. */
export interface GpuStats {
  /** Of the GPU or of a part of one. */
  readonly uuid: string;
  readonly index: number | null;
  /** Bytes. */
  readonly memory_used: number | null;
  readonly memory_total: number | null;
  /** 0-100 */
  readonly utilization: number | null;
}
