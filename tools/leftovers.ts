/** What suites could leave on the machine: compared before and after, so that a leak is a failure. */
import { readFileSync } from 'node:fs';
import { networkNamespaces, nftTables } from '../test/harness/network-traces.ts';
import { listOrEmpty, readOrEmpty } from '../test/harness/tolerant-read.ts';

export interface Leftovers {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly interfaces: readonly string[];
  readonly nftTables: readonly string[];
  readonly networkNamespaces: readonly string[];
  readonly processes: readonly string[];
}

export function leftovers(): Leftovers {
  return {
    mounts: mounts(),
    cgroups: cgroups(),
    interfaces: listOrEmpty('/sys/class/net'),
    nftTables: nftTables('gantry'),
    networkNamespaces: networkNamespaces(),
    processes: processes(),
  };
}

function mounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ')[4] ?? '');
}

function cgroups(): string[] {
  const roots = ['/sys/fs/cgroup', ...listOrEmpty('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.flatMap((root) =>
    listOrEmpty(root)
      .filter((name) => name.startsWith('gantry'))
      .flatMap((name) =>
        listOrEmpty(`${root}/${name}`)
          .filter((child) => /^([0-9a-f]{64}|launcher)$/.test(child))
          .map((child) => `${root}/${name}/${child}`),
      ),
  );
}

function processes(): string[] {
  return listOrEmpty('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const comm = readOrEmpty(`/proc/${pid}/comm`).trim();
      return /^(gantry|dockerd|containerd)/.test(comm) ? [`${comm} (${pid})`] : [];
    });
}
