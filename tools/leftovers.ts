/** What suites could leave on the machine: compared before and after, so that a leak is a failure. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Leftovers {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly interfaces: readonly string[];
  readonly processes: readonly string[];
}

export function leftovers(): Leftovers {
  return { mounts: mounts(), cgroups: cgroups(), interfaces: list('/sys/class/net'), processes: processes() };
}

function mounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ')[4] ?? '');
}

function cgroups(): string[] {
  const roots = ['/sys/fs/cgroup', ...list('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.flatMap((root) =>
    list(root)
      .filter((name) => name.startsWith('gantry'))
      .flatMap((name) =>
        list(`${root}/${name}`)
          .filter((child) => /^([0-9a-f]{64}|launcher)$/.test(child))
          .map((child) => `${root}/${name}/${child}`),
      ),
  );
}

function processes(): string[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const comm = read(`/proc/${pid}/comm`).trim();
      return /^(gantry|dockerd|containerd)/.test(comm) ? [`${comm} (${pid})`] : [];
    });
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
