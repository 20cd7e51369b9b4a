/** What the host's cgroups can limit, for `docker info`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type CgroupHost, type CgroupMode, cgroupHost } from './cgroup-host.ts';

export interface CgroupFacts {
  /** As Docker says it: a hybrid host is '1'. */
  readonly version: '1' | '2';
  readonly mode: CgroupMode;
  readonly memoryLimit: boolean;
  readonly swapLimit: boolean;
  readonly cpuCfsPeriod: boolean;
  readonly cpuCfsQuota: boolean;
  readonly cpuShares: boolean;
  readonly cpuSet: boolean;
  readonly pidsLimit: boolean;
  readonly oomKillDisable: boolean;
  /** In Docker's words, which people search for. */
  readonly warnings: readonly string[];
}

/** Which limits can be asked of this kernel at all. */
export interface LimitSupport {
  readonly memory: boolean;
  readonly swap: boolean;
  readonly reservation: boolean;
  readonly swappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly pids: boolean;
  readonly cpuShares: boolean;
  /** Quota and period. */
  readonly cpuTime: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  readonly blockWeight: boolean;
  readonly blockWeightDevice: boolean;
  readonly blockThrottle: boolean;
}

export function limitSupport(host: CgroupHost = cgroupHost()): LimitSupport {
  const facts = cgroupFacts(host);
  const { memoryLimit: memory, swapLimit: swap, oomKillDisable, pidsLimit: pids, cpuShares, cpuSet: cpuset } = facts;
  const v1 = (controller: string, file: string): boolean => existsSync(`${host.v1.get(controller) ?? '/nonexistent'}/${file}`);
  const blkio = host.v1.get('blkio') ?? null;
  const io = host.unified !== null && host.unifiedControllers.has('io') && blkio === null ? host.unified : null;
  const weighs = (suffix: string): boolean =>
    blkio === null
      ? io !== null && (isInAChild(io, 'io.weight') || (isInAChild(io, 'io.bfq.weight') && isBfqInUse()))
      : isInAChild(blkio, `blkio.weight${suffix}`) || (isInAChild(blkio, `blkio.bfq.weight${suffix}`) && isBfqInUse());
  return {
    ...{ memory, swap, oomKillDisable, pids, cpuShares, cpuset },
    cpuTime: facts.cpuCfsPeriod && facts.cpuCfsQuota,
    reservation: facts.mode === 'v2' ? memory : v1('memory', 'memory.soft_limit_in_bytes'),
    swappiness: v1('memory', 'memory.swappiness'),
    cpuRealtime: v1('cpu', 'cpu.rt_runtime_us'),
    blockWeight: weighs(''),
    blockWeightDevice: weighs('_device'),
    blockThrottle: io !== null || v1('blkio', 'blkio.throttle.read_bps_device'),
  };
}

/** BFQ's weights can be set, and do nothing, where no disk is scheduled by it. */
function isBfqInUse(): boolean {
  try {
    return readdirSync('/sys/block').some((disk) => readFileSync(`/sys/block/${disk}/queue/scheduler`, 'utf8').includes('[bfq]'));
  } catch {
    return false;
  }
}

/** Some files are in every cgroup but the root. A host without any cgroup does not tell; a limit that fails then is an error that says so. */
function isInAChild(mountPoint: string, file: string): boolean {
  const children = readdirSync(mountPoint, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return children.length === 0 || children.some(({ name }) => existsSync(`${mountPoint}/${name}/${file}`));
}

export function cgroupFacts(host: CgroupHost = cgroupHost()): CgroupFacts {
  const facts = host.mode === 'v2' ? factsOfV2(host) : factsOfV1(host);
  return { ...facts, warnings: warningsFor(facts, host) };
}

type Facts = Omit<CgroupFacts, 'warnings'>;

function factsOfV1(host: CgroupHost): Facts {
  const has = (controller: string, file: string): boolean => {
    const mountPoint = host.v1.get(controller);
    return mountPoint !== undefined && existsSync(`${mountPoint}/${file}`);
  };
  return {
    version: '1',
    mode: host.mode,
    memoryLimit: has('memory', 'memory.limit_in_bytes') || host.unifiedControllers.has('memory'),
    swapLimit: has('memory', 'memory.memsw.limit_in_bytes'),
    cpuCfsPeriod: has('cpu', 'cpu.cfs_period_us') || host.unifiedControllers.has('cpu'),
    cpuCfsQuota: has('cpu', 'cpu.cfs_quota_us') || host.unifiedControllers.has('cpu'),
    cpuShares: has('cpu', 'cpu.shares') || host.unifiedControllers.has('cpu'),
    cpuSet: has('cpuset', 'cpuset.cpus') || host.unifiedControllers.has('cpuset'),
    // The file is in every cgroup but the root.
    pidsLimit: host.v1.has('pids') || host.unifiedControllers.has('pids'),
    oomKillDisable: has('memory', 'memory.oom_control'),
  };
}

function factsOfV2({ unified, unifiedControllers, mode }: CgroupHost): Facts {
  const cpu = unifiedControllers.has('cpu');
  const memory = unifiedControllers.has('memory');
  return {
    version: '2',
    mode,
    memoryLimit: memory,
    swapLimit: memory && unified !== null && hasInChild(unified, 'memory.swap.max'),
    cpuCfsPeriod: cpu,
    cpuCfsQuota: cpu,
    cpuShares: cpu,
    cpuSet: unifiedControllers.has('cpuset'),
    pidsLimit: unifiedControllers.has('pids'),
    oomKillDisable: false,
  };
}

/** The root has no limits to look at. A host without any cgroup tells nothing; its kernel has the file unless it was built without. */
function hasInChild(unified: string, file: string): boolean {
  const children = readdirSync(unified, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const limited = children.filter(({ name }) => existsSync(`${unified}/${name}/memory.max`));
  return limited.length === 0 || limited.some(({ name }) => existsSync(`${unified}/${name}/${file}`));
}

function warningsFor(facts: Facts, host: CgroupHost): readonly string[] {
  const absent: readonly (readonly [boolean, string])[] = [
    [facts.memoryLimit, 'memory limit'],
    [facts.swapLimit, 'swap limit'],
    [facts.oomKillDisable || facts.version === '2', 'oom kill disable'],
    [facts.cpuCfsQuota, 'cpu cfs quota'],
    [facts.cpuCfsPeriod, 'cpu cfs period'],
    [facts.cpuShares, 'cpu shares'],
    [facts.cpuSet, 'cpuset'],
    [facts.pidsLimit, 'pids limit'],
    ...blockFacts(host),
  ];
  return absent.filter(([there]) => !there).map(([, what]) => `WARNING: No ${what} support`);
}

function blockFacts({ mode, v1, unifiedControllers }: CgroupHost): readonly (readonly [boolean, string])[] {
  if (mode === 'v2') return ['io.weight', 'io.max'].map((name) => [unifiedControllers.has('io'), name] as const);
  const mountPoint = v1.get('blkio');
  return ['read_bps', 'write_bps', 'read_iops', 'write_iops'].map((kind) => {
    const there = mountPoint !== undefined && existsSync(`${mountPoint}/blkio.throttle.${kind}_device`);
    return [there, `blkio throttle.${kind}_device`] as const;
  });
}
