/** What the host is and has, read once when the daemon starts, so that everything decided from it is a pure function. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, hostname, release } from 'node:os';
import { notImplemented } from '../base/errors.ts';
import { type LimitSupport, limitSupport } from '../linux/cgroup-facts.ts';
import { capabilitiesOf } from '../linux/constants.ts';
import type { Profile } from '../runtime/seccomp/profile.ts';
import { type KernelVersion, parseKernelVersion } from '../runtime/seccomp/resolve-profile.ts';
import type { Architecture } from '../runtime/seccomp/syscall-table.ts';

export interface HostFacts {
  readonly hostname: string;
  readonly architecture: Architecture;
  readonly kernel: KernelVersion;
  readonly cgroupVersion: 1 | 2;
  readonly limits: LimitSupport;
  /** Names with `CAP_` that this process may hand on. */
  readonly capabilities: ReadonlySet<string>;
  readonly cpus: number;
  /** CPU and memory node numbers that exist, in cpuset syntax (`0-3`); empty: unknown. */
  readonly onlineCpus: string;
  readonly onlineMemoryNodes: string;
  /** Hard limits of this process by ulimit name; `Infinity` for unlimited. */
  readonly hardLimits: Readonly<Record<string, number>>;
  /** `--seccomp-profile` of the daemon: what containers get that say nothing. Absent: our own. */
  readonly seccomp?: Profile | 'unconfined';
  /** Absent: the kernel has none. `defaultProfile` null: ours could not be loaded. */
  readonly appArmor?: { readonly defaultProfile: string | null };
  /** `thermal_throttle` directories of the CPUs there are: one can tell apart what other tenants do by them. */
  readonly thermalThrottlePaths: readonly string[];
}

export function readHostFacts(): HostFacts {
  const status = read('/proc/self/status');
  return {
    hostname: hostname(),
    architecture: architectureOf(arch()),
    kernel: parseKernelVersion(release()) ?? { major: 0, minor: 0 },
    cgroupVersion: existsSync('/sys/fs/cgroup/cgroup.controllers') ? 2 : 1,
    limits: limitSupport(),
    capabilities: new Set(capabilitiesOf(BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`))),
    cpus: availableParallelism(),
    onlineCpus: read('/sys/devices/system/cpu/online').trim(),
    onlineMemoryNodes: read('/sys/devices/system/node/online').trim(),
    hardLimits: parseLimits(read('/proc/self/limits')),
    thermalThrottlePaths: thermalThrottlePaths(),
  };
}

function architectureOf(name: string): Architecture {
  if (name === 'x64') return 'amd64';
  if (name === 'arm64') return 'arm64';
  throw notImplemented(`Containers on ${name} are not supported: only x64 and arm64 are`);
}

const limitTitles: Readonly<Record<string, string>> = {
  'Max cpu time': 'cpu',
  'Max file size': 'fsize',
  'Max data size': 'data',
  'Max stack size': 'stack',
  'Max core file size': 'core',
  'Max resident set': 'rss',
  'Max processes': 'nproc',
  'Max open files': 'nofile',
  'Max locked memory': 'memlock',
  'Max address space': 'as',
  'Max file locks': 'locks',
  'Max pending signals': 'sigpending',
  'Max msgqueue size': 'msgqueue',
  'Max nice priority': 'nice',
  'Max realtime priority': 'rtprio',
  'Max realtime timeout': 'rttime',
};

/** The table of /proc/PID/limits: title, soft, hard, unit. */
export function parseLimits(text: string): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const row = /^(\S.*?\S)\s{2,}(\d+|unlimited)\s+(\d+|unlimited)/.exec(line);
    const name = row === null ? undefined : limitTitles[row[1] ?? ''];
    if (name !== undefined) limits[name] = row?.[3] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(row?.[3]);
  }
  return limits;
}

function thermalThrottlePaths(): string[] {
  const base = '/sys/devices/system/cpu';
  try {
    const cpus = readdirSync(base).filter((name) => /^cpu\d+$/.test(name));
    return cpus.map((name) => `${base}/${name}/thermal_throttle`).filter((path) => existsSync(path));
  } catch {
    return [];
  }
}

/** Files that some kernels lack (no NUMA, no sysfs) read as empty. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
