/**
 * Real-time budgets of cgroup v1. A cgroup may spend on real-time processes what it is given, and the kernel gives it no more than every cgroup above it has: new
 * ones have none. v2 has no such thing.
 */
import { EngineError, errorText } from '../base/errors.ts';
import { type CgroupFiles, kernelFiles } from './cgroup-files.ts';
import { type CgroupHost, cgroupHost } from './cgroup-host.ts';
import { ensureCgroup } from './cgroups.ts';

export interface RealtimeBudget {
  /** Microseconds. */
  readonly period: number;
  readonly runtime: number;
}

interface RealtimeSystem {
  readonly host: CgroupHost;
  readonly files: Pick<CgroupFiles, 'write'>;
  readonly ensure: (path: string) => Promise<unknown>;
}

/** Gives the budget to the cgroup and to all above it but the root, which has the machine's. */
export async function giveRealtimeBudget(
  path: string,
  { period, runtime }: RealtimeBudget,
  system: RealtimeSystem = { host: cgroupHost(), files: kernelFiles, ensure: (made) => ensureCgroup(made) },
): Promise<void> {
  const mountPoint = system.host.v1.get('cpu');
  if (mountPoint === undefined || runtime === 0) return;
  const names = path.split('/').filter(Boolean);
  if (names.length === 0) return;
  await system.ensure(`/${names.join('/')}`);
  for (let depth = 1; depth <= names.length; depth += 1) {
    const directory = `${mountPoint}/${names.slice(0, depth).join('/')}`;
    try {
      if (period !== 0) system.files.write(`${directory}/cpu.rt_period_us`, String(period));
      system.files.write(`${directory}/cpu.rt_runtime_us`, String(runtime));
    } catch (error) {
      const text = `cannot give the cgroup ${directory} ${runtime} microseconds of real time: ${errorText(error)}`;
      throw new EngineError('system', `${text}. The cgroups beside it may have it all; see --cpu-rt-runtime of the daemon`, {
        cause: error,
      });
    }
  }
}
