/** Where one cgroup of ours is in each hierarchy. Pure. */
import { invalid } from '../base/errors.ts';
import type { CgroupHost } from './cgroup-host.ts';

export interface CgroupPlacement {
  /** v1: a process writes "0" into each to join. */
  readonly joinFiles: readonly string[];
  /** The directory in the cgroup2 mount to be born into; in a hybrid host too. */
  readonly v2Directory: string | null;
  /** All of them, each once. */
  readonly directories: readonly string[];
  /** Has a line `oom_kill N`. */
  readonly oomFile: string | null;
  /** Writing "1" kills every process of the cgroup. */
  readonly killFile: string | null;
  /** With `cgroup.freeze` when it is `v2Directory`, else with v1's `freezer.state`. */
  readonly freezerDirectory: string | null;
  /** Controller → directory. cgroup2 itself is `unified`. */
  readonly paths: Readonly<Record<string, string>>;
}

/** The v1 controllers that containers are put into. Others (net_cls, perf_event, hugetlb, rdma, systemd's) stay with the daemon's. */
export const joinedControllers: readonly string[] = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids'];

/** `path` is absolute below each hierarchy: `/gantry/<container id>`. */
export function placementIn(host: CgroupHost, path: string): CgroupPlacement {
  checkPath(path);
  const paths: Record<string, string> = {};
  for (const controller of joinedControllers) {
    const mountPoint = host.v1.get(controller);
    if (mountPoint !== undefined) paths[controller] = mountPoint + path;
  }
  const v1Directories = [...new Set(Object.values(paths))];
  const v2Directory = host.unified === null ? null : host.unified + path;
  if (v2Directory !== null) paths.unified = v2Directory;
  return {
    joinFiles: v1Directories.map((directory) => `${directory}/tasks`),
    v2Directory,
    directories: v2Directory === null ? v1Directories : [...v1Directories, v2Directory],
    oomFile: paths.memory === undefined ? v2File(v2Directory, 'memory.events') : `${paths.memory}/memory.oom_control`,
    killFile: v2File(v2Directory, 'cgroup.kill'),
    freezerDirectory: v2Directory ?? paths.freezer ?? null,
    paths,
  };
}

function v2File(directory: string | null, name: string): string | null {
  return directory === null ? null : `${directory}/${name}`;
}

function checkPath(path: string): void {
  const parts = path.split('/').slice(1);
  const isPlain = path.startsWith('/') && parts.every((part) => part !== '' && part !== '.' && part !== '..') && !path.includes('\0');
  if (!isPlain) throw invalid(`Invalid cgroup path ${JSON.stringify(path)}: it must be absolute and plain, like "/gantry/name".`);
}
