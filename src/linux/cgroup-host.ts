/**
 * Where the host keeps its cgroups.
 *
 *   v1       each controller, or several together (`cpu,cpuacct`), in a mount of its own
 *   hybrid   the same, and a cgroup2 mount beside them, which has no or few controllers: used for killing and freezing
 *   v2       one cgroup2 mount for all
 */
import { readFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';

export type CgroupMode = 'v1' | 'hybrid' | 'v2';

export interface CgroupHost {
  readonly mode: CgroupMode;
  /** Controller → mount point of its hierarchy. Controllers mounted together have the same one. */
  readonly v1: ReadonlyMap<string, string>;
  /** The cgroup2 mount point. */
  readonly unified: string | null;
  /** Controllers that the cgroup2 mount offers: `memory`, `io`, … */
  readonly unifiedControllers: ReadonlySet<string>;
}

let cached: CgroupHost | undefined;

/** Read once: a host does not move its controllers while it runs containers. */
export function cgroupHost(): CgroupHost {
  cached ??= parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'), (mountPoint) =>
    readFileSync(`${mountPoint}/cgroup.controllers`, 'utf8'),
  );
  return cached;
}

export function detectCgroups(): CgroupMode {
  return cgroupHost().mode;
}

/** `readControllers` gives the text of `cgroup.controllers` at a cgroup2 mount point. */
export function parseCgroupMounts(mountinfo: string, readControllers: (mountPoint: string) => string): CgroupHost {
  const v1 = new Map<string, string>();
  let unified: string | null = null;
  for (const mount of mountinfo.split('\n').flatMap(parseLine)) {
    if (mount.type === 'cgroup2') unified ??= mount.mountPoint;
    else for (const controller of mount.controllers) if (!v1.has(controller)) v1.set(controller, mount.mountPoint);
  }
  if (unified === null && v1.size === 0) {
    throw new EngineError(
      'unavailable',
      'No cgroup is mounted on this host, so containers cannot be limited. Mount cgroup2 on /sys/fs/cgroup.',
    );
  }
  const unifiedControllers = new Set(unified === null ? [] : readControllers(unified).split(/\s+/).filter(Boolean));
  return { mode: unified === null ? 'v1' : v1.size === 0 ? 'v2' : 'hybrid', v1, unified, unifiedControllers };
}

interface CgroupMount {
  readonly type: 'cgroup' | 'cgroup2';
  readonly mountPoint: string;
  readonly controllers: readonly string[];
}

/** Words of a super block's options that are not controllers. A named hierarchy (`name=systemd`) has none. */
const otherOptions = new Set(['rw', 'ro', 'xattr', 'noprefix', 'clone_children', 'none', 'all', 'cpuset_v2_mode', 'favordynmods']);

/** `36 31 0:32 ROOT MOUNTPOINT options [optional fields] - TYPE SOURCE superoptions`, proc_pid_mountinfo(5). */
function parseLine(line: string): CgroupMount[] {
  const [before = '', after = ''] = line.split(' - ');
  const mountPoint = unescapePath(before.split(' ')[4] ?? '');
  const [type, , options = ''] = after.split(' ');
  if (type === 'cgroup2') return [{ type, mountPoint, controllers: [] }];
  if (type !== 'cgroup') return [];
  return [{ type, mountPoint, controllers: options.split(',').filter((option) => !otherOptions.has(option) && !option.includes('=')) }];
}

function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
