/** A table of usage as `GET /system/top` shows it; `client/usage-table-types.ts` is the other side. */
import { totalmem } from 'node:os';
import type { GpuShare, ProcessGpuUse, UsageSample, UsageTable } from '../containers/containers.ts';
import { formatTime } from '../wire/timestamps.ts';

export function usageTableJson({ at, containers }: UsageTable): object {
  const memory = totalmem();
  return {
    Read: formatTime(at),
    MemTotal: memory,
    Containers: containers.map(({ id, name, isPaused, sample, gpus, gpuProcesses }) => ({
      Id: id,
      Name: name,
      Paused: isPaused,
      CPU: Number(sample.cgroup.cpu.total),
      SystemCPU: Number(sample.machine.total),
      OnlineCPUs: sample.machine.onlineCpus,
      ...memoryJson(sample, memory),
      Processes: sample.processes.map((process) => ({
        Pid: process.pid,
        Uid: process.uid,
        Name: process.name,
        State: process.state,
        CPU: Math.round(process.cpuSeconds * 1e9),
        Memory: process.residentBytes,
        ...processGpuJson(gpuProcesses.get(process.pid)),
      })),
      ...(gpus.length === 0 ? {} : { GPUs: gpus.map(gpuJson) }),
    })),
  };
}

/** In use as `stats` counts it: without file pages that were not touched lately. */
function memoryJson({ cgroup: { memory } }: UsageSample, machine: number): object {
  if (memory === null) return { Memory: 0, MemoryLimit: machine };
  const cache = memory.stat.get('total_inactive_file') ?? memory.stat.get('inactive_file') ?? 0n;
  const limit = memory.limit === 'max' ? machine : Math.min(Number(memory.limit), machine);
  return { Memory: Number(cache < memory.usage ? memory.usage - cache : memory.usage), MemoryLimit: limit };
}

function gpuJson({ uuid, index, memoryUsedBytes, memoryTotalBytes, utilizationPercent }: GpuShare): object {
  return { Uuid: uuid, Index: index, Memory: memoryUsedBytes, MemoryTotal: memoryTotalBytes, Utilization: utilizationPercent };
}

function processGpuJson(use: ProcessGpuUse | undefined): object {
  return use === undefined ? {} : { GPUMemory: use.memoryBytes, GPUUtilization: use.utilizationPercent };
}
