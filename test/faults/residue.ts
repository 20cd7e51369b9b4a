/** What a daemon of a test has outside its containers' records: directories, sockets, mounts, cgroups, interfaces and processes. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fsckFindings } from '../harness/fsck.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { markedInterfaces } from '../harness/network-traces.ts';
import { listOrEmpty, readOrEmpty } from '../harness/tolerant-read.ts';

/** Of a daemon that has no containers: empty, or what was left behind, as seen from outside and by `system fsck`. Monitors leave a moment after their exit was stored. */
export async function residueOf(daemon: GantryDaemon, patienceMs = 5000): Promise<readonly string[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const left = residueNow(daemon);
    if (left.length === 0) return await fsckFindings(daemon.host);
    if (Date.now() > deadline) return left;
    await delay(50);
  }
}

function residueNow(daemon: GantryDaemon): readonly string[] {
  const places = [`${daemon.dataRoot}/containers`, `${daemon.execRoot}/m`, `${daemon.execRoot}/c`];
  const directories = places.flatMap((place) => listOrEmpty(place).map((name) => `${place}/${name}`));
  const mounts = mountinfo().filter((line) => line.includes(daemon.directory));
  const monitors = processesOf(daemon).filter(({ name }) => name === 'gantry-monitor');
  return [
    ...directories,
    ...mounts,
    ...containerCgroups(daemon),
    ...containerInterfaces(daemon).map((name) => `interface ${name}`),
    ...monitors.map(({ pid }) => `monitor ${pid}`),
  ];
}

export function mountinfo(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
}

/** In every hierarchy; the launcher's own is not among them. */
export function containerCgroups(daemon: GantryDaemon): readonly string[] {
  return ownCgroups(daemon).flatMap((parent) =>
    listOrEmpty(parent)
      .filter((child) => /^[0-9a-f]{64}$/.test(child))
      .map((child) => `${parent}/${child}`),
  );
}

/** Host ends of containers' interfaces; bridges stay as long as their networks. */
export function containerInterfaces(daemon: GantryDaemon): readonly string[] {
  return markedInterfaces(globalNameOf(daemon)).filter((name) => existsSync(`/sys/class/net/${name}/brport`));
}

/** What its bridge, table, cgroup and marks are called by. */
export function globalNameOf({ dataRoot }: GantryDaemon): string {
  return `gantry-${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}

/** The daemon's own directory in each hierarchy where it has one. */
export function ownCgroups(daemon: GantryDaemon): readonly string[] {
  const name = globalNameOf(daemon);
  const roots = ['/sys/fs/cgroup', ...listOrEmpty('/sys/fs/cgroup').map((controller) => `/sys/fs/cgroup/${controller}`)];
  return roots.map((root) => `${root}/${name}`).filter(existsSync);
}

export interface NativeProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
}

/** Launchers and monitors of its exec root. */
export function processesOf(daemon: GantryDaemon): readonly NativeProcess[] {
  return listOrEmpty('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry) || !readOrEmpty(`/proc/${entry}/cmdline`).includes(`\0--exec-root\0${daemon.execRoot}\0`)) return [];
    const status = readOrEmpty(`/proc/${entry}/status`);
    const field = (key: string): string => new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
    return [{ pid: Number(entry), parent: Number(field('PPid')), name: field('Name') }];
  });
}

export function launcherOf(daemon: GantryDaemon): number {
  const all = processesOf(daemon).filter(({ name }) => name === 'gantry-launcher');
  // A monitor that was forked this moment is called like the launcher still.
  const [launcher, ...more] = all.filter(({ parent }) => !all.some(({ pid }) => pid === parent));
  if (launcher === undefined || more.length > 0) throw new Error(`${more.length + (launcher ? 1 : 0)} launchers serve ${daemon.execRoot}`);
  return launcher.pid;
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)$/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1]);
}

/** A zombie waits for its parent only. */
export function isAlive(pid: number): boolean {
  return /^State:\s*[^ZX\s]/m.test(readOrEmpty(`/proc/${pid}/status`));
}

export interface Footprint {
  readonly descriptors: number;
  readonly threads: number;
  readonly residentKb: number;
}

export function footprintOf(pid: number): Footprint {
  const status = readOrEmpty(`/proc/${pid}/status`);
  const number = (key: string): number => Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(status)?.[1]);
  return { descriptors: listOrEmpty(`/proc/${pid}/fd`).length, threads: number('Threads'), residentKb: number('VmRSS') };
}

/** For the message when descriptors were lost. */
export function descriptorTargets(pid: number): readonly string[] {
  return listOrEmpty(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return 'gone';
    }
  });
}
