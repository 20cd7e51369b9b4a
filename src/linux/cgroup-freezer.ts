/**
 * Stops every process of a cgroup where it is, and lets it go on.
 *
 *   v2, and beside v1 in a hybrid host   `cgroup.freeze`: 1 | 0; `cgroup.events` tells `frozen 1` when all have stopped. SIGKILL ends a frozen process
 *   v1                                   `freezer.state`: FROZEN | THAWED, FREEZING on the way. SIGKILL waits for the thaw
 *
 * Invariants: after `freezeCgroup` resolves no process of the cgroup runs; when it rejects, none is left frozen. Nothing blocks: the kernel is asked again
 * until it is done.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { conflict, EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import { type CgroupFiles, kernelFiles } from './cgroup-files.ts';
import { type CgroupHost, cgroupHost } from './cgroup-host.ts';
import { placementIn } from './cgroup-placement.ts';

/** A process in an uninterruptible wait (a disk, a file server) stops only after it. */
const freezePatienceMs = 10_000;

export interface FreezerSystem {
  readonly host: CgroupHost;
  readonly files: CgroupFiles;
  readonly patienceMs: number;
}

function thisSystem(): FreezerSystem {
  return { host: cgroupHost(), files: kernelFiles, patienceMs: freezePatienceMs };
}

export async function freezeCgroup(path: string, system = thisSystem()): Promise<void> {
  const freezer = requireFreezer(path, system);
  try {
    freezer.set(true);
    if (await untilFrozen(freezer, system.patienceMs)) return;
  } catch (error) {
    quietly(() => freezer.set(false));
    if (hasErrnoCode(error, 'ENOENT', 'ENODEV')) throw gone(path);
    throw new EngineError('system', `cannot freeze the cgroup ${path}: ${errorText(error)}`, { cause: error });
  }
  quietly(() => freezer.set(false));
  const seconds = system.patienceMs / 1000;
  throw new EngineError('system', `unable to freeze the cgroup ${path} within ${seconds} s: one of its processes waits in the kernel`);
}

/** A cgroup that is gone has nothing to thaw. */
export function thawCgroup(path: string, system = thisSystem()): void {
  const freezer = freezerOf(path, system);
  if (freezer === null) return;
  try {
    freezer.set(false);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENODEV')) return;
    throw new EngineError('system', `cannot thaw the cgroup ${path}: ${errorText(error)}`, { cause: error });
  }
}

/** Whether somebody asked for the freeze, in the kernel's own memory: it outlives whoever asked. */
export function isFrozen(path: string, system = thisSystem()): boolean {
  return freezerOf(path, system)?.asked() ?? false;
}

interface Freezer {
  set(frozen: boolean): void;
  asked(): boolean;
  reached(): boolean;
}

function freezerOf(path: string, { host, files }: FreezerSystem): Freezer | null {
  const { v2Directory, paths } = placementIn(host, path);
  const isPopulated = (directory: string): boolean => /^populated 1$/m.test(files.read(`${directory}/cgroup.events`) ?? '');
  // In a hybrid host a runtime may have put its processes into the v1 hierarchies alone.
  if (v2Directory !== null && (paths.freezer === undefined || isPopulated(v2Directory))) return v2Freezer(files, v2Directory);
  return paths.freezer === undefined ? null : v1Freezer(files, paths.freezer);
}

function requireFreezer(path: string, system: FreezerSystem): Freezer {
  const freezer = freezerOf(path, system);
  if (freezer !== null) return freezer;
  throw new EngineError('unavailable', 'Your kernel has neither the freezer cgroup controller nor cgroup2 mounted: nothing can be paused');
}

function v2Freezer(files: CgroupFiles, directory: string): Freezer {
  return {
    set: (frozen) => files.write(`${directory}/cgroup.freeze`, frozen ? '1' : '0'),
    asked: () => files.read(`${directory}/cgroup.freeze`)?.trim() === '1',
    reached: () => /^frozen 1$/m.test(existing(files, `${directory}/cgroup.events`)),
  };
}

function v1Freezer(files: CgroupFiles, directory: string): Freezer {
  const file = `${directory}/freezer.state`;
  return {
    set: (frozen) => files.write(file, frozen ? 'FROZEN' : 'THAWED'),
    asked: () => ['FROZEN', 'FREEZING'].includes(files.read(file)?.trim() ?? ''),
    // Processes that were being born when it was written are caught by the next read only.
    reached: () => existing(files, file).trim() === 'FROZEN',
  };
}

function existing(files: CgroupFiles, path: string): string {
  const text = files.read(path);
  if (text === null) throw Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT' });
  return text;
}

async function untilFrozen(freezer: Freezer, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 1; !freezer.reached(); pauseMs = Math.min(50, pauseMs * 2)) {
    if (performance.now() > deadline) return false;
    await sleep(pauseMs);
  }
  return true;
}

function gone(path: string): EngineError {
  return conflict(`the cgroup ${path} is gone: its processes have ended`);
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // It is gone, or nothing was frozen.
  }
}
