/** A restart of the machine, as the daemon sees it: every process of it and of its containers is gone, and the exec root, which is on a tmpfs, is empty. */
import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GantryDaemon } from './gantry.ts';
import { listOrEmpty, readOrEmpty } from './tolerant-read.ts';

/** `cgroups`: the daemon's directories, one in each hierarchy. Resolves before the next daemon is started. */
export async function endMachine(daemon: GantryDaemon, cgroups: readonly string[]): Promise<void> {
  await daemon.crash();
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(20)) {
    const alive = cgroups.flatMap(processesIn);
    for (const pid of alive) endProcess(pid);
    if (alive.length === 0) break;
  }
  for (const cgroup of cgroups) removeCgroups(cgroup);
  for (const entry of readdirSync(daemon.execRoot)) rmSync(join(daemon.execRoot, entry), { recursive: true, force: true });
}

function processesIn(cgroup: string): readonly number[] {
  const own = readOrEmpty(`${cgroup}/cgroup.procs`).split('\n').filter(Boolean).map(Number);
  return [...own, ...childrenOf(cgroup).flatMap(processesIn)];
}

function childrenOf(cgroup: string): readonly string[] {
  return listOrEmpty(cgroup)
    .map((name) => `${cgroup}/${name}`)
    .filter((path) => listOrEmpty(path).length > 0);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
}

function removeCgroups(cgroup: string): void {
  for (const child of childrenOf(cgroup)) removeCgroups(child);
  try {
    rmdirSync(cgroup);
  } catch {
    // Still being emptied by the kernel: the daemon copes with what is there.
  }
}
