/**
 * Makes, changes and removes the cgroups of containers, in v1, hybrid and v2 hosts.
 *
 *   /sys/fs/cgroup/memory/gantry/<id>      v1: the same path in every hierarchy. The process joins by itself ("0" into `tasks`, by the monitor)
 *   /sys/fs/cgroup/unified/gantry/<id>     hybrid: also here, to be killed and frozen
 *   /sys/fs/cgroup/gantry/<id>             v2: a leaf; `gantry` has no processes itself (the launcher lives in `gantry/launcher`)
 *
 * Invariants: a limit that was asked for is in force, or there is an error that names it, or a warning where Docker goes on without it. When `create` fails, nothing
 * it made is left. Nothing here moves a process: that can take an RCU grace period (5–24 ms).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { conflict, EngineError, errorText, hasErrnoCode, notFound } from '../base/errors.ts';
import { attachDeviceProgram } from './bpf-syscall.ts';
import { devicePolicy, deviceProgram, deviceWrites } from './cgroup-devices.ts';
import { type CgroupFiles, kernelFiles } from './cgroup-files.ts';
import { type CgroupHost, cgroupHost } from './cgroup-host.ts';
import { limitsV1 } from './cgroup-limits-v1.ts';
import { limitsV2 } from './cgroup-limits-v2.ts';
import { type CgroupPlacement, placementIn } from './cgroup-placement.ts';
import type { CgroupController, CgroupDeviceRule, CgroupResources, LimitWrite } from './cgroup-resources.ts';
import { formerValue } from './cgroup-undo.ts';

/** A process in an uninterruptible wait (a dead NFS server) may not end at all. */
const killPatienceMs = 10_000;

export { detectCgroups } from './cgroup-host.ts';
export type { CgroupPlacement } from './cgroup-placement.ts';

export interface CgroupCreation {
  readonly placement: CgroupPlacement;
  /** What Docker discards with a warning on this kernel. */
  readonly warnings: readonly string[];
}

/** What stands behind the functions below; tests give their own. */
export interface CgroupSystem {
  readonly host: CgroupHost;
  readonly files: CgroupFiles;
  readonly attachDeviceProgram: (directory: string, program: Uint8Array<ArrayBuffer>) => void;
}

function thisSystem(): CgroupSystem {
  return { host: cgroupHost(), files: kernelFiles, attachDeviceProgram };
}

/** An empty leftover of the same name is made anew, so that no old limit or counter survives; one with processes is a conflict. */
export async function createCgroup(path: string, resources: CgroupResources, system = thisSystem()): Promise<CgroupCreation> {
  const placement = placementIn(system.host, path);
  const made: string[] = [];
  try {
    for (const [mountPoint, directory] of hierarchiesOf(system.host, placement)) makeLeaf(system, mountPoint, directory, made);
    return { placement, warnings: applyResources(system, placement, resources, 'new') };
  } catch (error) {
    // Parents that somebody else uses by now stay: their rmdir fails.
    for (const directory of made.reverse()) quietly(() => system.files.rmdir(directory));
    throw error;
  }
}

/** The cgroup without limits of its own, made when it is missing: for the launcher. */
export async function ensureCgroup(path: string, system = thisSystem()): Promise<CgroupPlacement> {
  const placement = placementIn(system.host, path);
  for (const [mountPoint, directory] of hierarchiesOf(system.host, placement)) makeDirectories(system, mountPoint, directory, []);
  return placement;
}

export function cgroupPlacement(path: string, system = thisSystem()): CgroupPlacement {
  return placementIn(system.host, path);
}

/**
 * Where a process joins a cgroup that already has the process `member`. Once a v2 cgroup hands controllers down (as systemd or a Docker inside a container makes
 * it do), the kernel lets processes only into those below it (EBUSY): the newcomer goes where `member` is, as with runc.
 */
export function placementBeside(path: string, member: number, system = thisSystem()): CgroupPlacement {
  const placement = placementIn(system.host, path);
  const { v2Directory } = placement;
  if (v2Directory === null || (system.files.read(`${v2Directory}/cgroup.subtree_control`) ?? '').trim() === '') return placement;
  const line = /^0::(.*)$/m.exec(system.files.read(`/proc/${member}/cgroup`) ?? '')?.[1] ?? '';
  // Read as single bytes, whatever the container called it.
  const directory = `${system.host.unified}${Buffer.from(line, 'latin1').toString()}`;
  return directory.startsWith(`${v2Directory}/`) ? { ...placement, v2Directory: directory } : placement;
}

export interface CgroupUpdate {
  readonly warnings: readonly string[];
  /** Puts back what was written, as far as the kernel still takes it. */
  undo(): void;
}

/** Sets what is given and leaves the rest: all of it, or, when the kernel refuses something, nothing. */
export async function updateCgroup(path: string, resources: CgroupResources, system = thisSystem()): Promise<CgroupUpdate> {
  const placement = placementIn(system.host, path);
  const missing = placement.directories.find((directory) => system.files.read(`${directory}/cgroup.procs`) === null);
  if (missing !== undefined) throw notFound(`Cannot change limits: the cgroup ${missing} does not exist.`);
  const undos: (() => void)[] = [];
  const undo = (): void => {
    for (const each of undos.reverse()) quietly(each);
  };
  try {
    return { warnings: applyResources({ ...system, files: remembering(system.files, undos) }, placement, resources, 'existing'), undo };
  } catch (error) {
    undo();
    throw error;
  }
}

/** The same files, where every write leaves what undoes it. */
function remembering(files: CgroupFiles, undos: (() => void)[]): CgroupFiles {
  return {
    ...files,
    read: (path) => files.read(path),
    write(path, value) {
      const text = readable(files, path);
      files.write(path, value);
      const former = text === null ? null : formerValue(path, text, value);
      if (former !== null) undos.push(() => files.write(path, former));
    },
    writeEach: (path, values) => files.writeEach(path, values),
  };
}

/** Some files can only be written. */
function readable(files: CgroupFiles, path: string): string | null {
  try {
    return files.read(path);
  } catch {
    return null;
  }
}

/** With what is below it. A cgroup whose processes are just ending is waited for, one second at most. */
export async function removeCgroup(path: string, system = thisSystem()): Promise<void> {
  const { directories } = placementIn(system.host, path);
  for (let waitedMs = 0; ; ) {
    const left = directories.filter((directory) => !removeTree(system.files, directory));
    const [first] = left;
    if (first === undefined) return;
    if (waitedMs >= 1000) {
      const processes = (system.files.read(`${first}/cgroup.procs`) ?? '').trim().replaceAll('\n', ', ');
      throw conflict(`Cannot remove the cgroup ${first}: ${processes === '' ? 'it is busy' : `it has processes: ${processes}`}.`);
    }
    const pauseMs = Math.max(1, Math.min(100, waitedMs));
    await sleep(pauseMs);
    waitedMs += pauseMs;
  }
}

/** Cgroups between `own` and a container's that hold nothing any more, deepest first: one that is in use stays, with all above it. */
export function removeIdleParents(own: string, below: string, system = thisSystem()): void {
  const names = below.split('/').filter(Boolean);
  for (let depth = names.length; depth > 0; depth -= 1) {
    const { directories } = placementIn(system.host, `${own}/${names.slice(0, depth).join('/')}`);
    for (const directory of directories) quietly(() => system.files.rmdir(directory));
  }
}

/** Ends every process of the cgroup and removes it, for want of a monitor that would. No cgroup is no error. */
export async function killCgroup(path: string, system = thisSystem()): Promise<void> {
  const { killFile, directories } = placementIn(system.host, path);
  const processes = (): number[] => directories.flatMap((directory) => processesIn(system.files, directory));
  const deadline = Date.now() + killPatienceMs;
  while (processes().length > 0 && Date.now() < deadline) {
    if (killFile !== null) quietly(() => system.files.write(killFile, '1'));
    // Before 5.14 there is no such file; and a process may be in the v1 hierarchies only.
    for (const pid of processes()) quietly(() => process.kill(pid, 'SIGKILL'));
    await sleep(5);
  }
  await removeCgroup(path, system);
}

/** Every process of the cgroup and of those below it, in whatever hierarchy it is. */
export function processesOfCgroup(path: string, system = thisSystem()): readonly number[] {
  const { directories } = placementIn(system.host, path);
  return [...new Set(directories.flatMap((directory) => processesIn(system.files, directory)))];
}

/** Those of cgroups below it too. */
function processesIn(files: CgroupFiles, directory: string): number[] {
  const own = files.read(`${directory}/cgroup.procs`);
  if (own === null) return [];
  const below = files.subdirectories(directory).flatMap((name) => processesIn(files, `${directory}/${name}`));
  return [
    ...own
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
    ...below,
  ].filter((pid) => pid > 1);
}

/** How often the kernel's OOM killer ended a process of the cgroup; 0 when the host does not count memory. */
export function readOomKills(path: string, system = thisSystem()): number {
  const { oomFile } = placementIn(system.host, path);
  const text = oomFile === null ? null : system.files.read(oomFile);
  return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
}

/** Mount point and directory of each hierarchy, once. */
function hierarchiesOf(host: CgroupHost, placement: CgroupPlacement): readonly (readonly [string, string])[] {
  const pairs = new Map<string, string>();
  for (const [controller, directory] of Object.entries(placement.paths)) {
    const mountPoint = controller === 'unified' ? host.unified : host.v1.get(controller);
    if (mountPoint !== undefined && mountPoint !== null) pairs.set(directory, mountPoint);
  }
  return [...pairs].map(([directory, mountPoint]) => [mountPoint, directory] as const);
}

function makeLeaf(system: CgroupSystem, mountPoint: string, directory: string, made: string[]): void {
  if (makeDirectories(system, mountPoint, directory, made)) return;
  if (!removeTree(system.files, directory)) throw conflict(`Cannot make the cgroup ${directory}: it exists and has processes.`);
  makeDirectories(system, mountPoint, directory, made);
}

/** Returns false when the directory was there. Missing parents are made on the way. */
function makeDirectories(system: CgroupSystem, mountPoint: string, directory: string, made: string[]): boolean {
  const { files, host } = system;
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  let isNew: boolean;
  try {
    isNew = files.mkdir(directory);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT') || parent === mountPoint) throw cannotMake(directory, error);
    makeParent(system, mountPoint, parent, made);
    isNew = files.mkdir(directory);
  }
  if (isNew) made.push(directory);
  if (mountPoint === host.unified) enableControllers(system, mountPoint, parent);
  else if (mountPoint === host.v1.get('cpuset')) inheritCpuset(files, mountPoint, directory);
  return isNew;
}

function makeParent(system: CgroupSystem, mountPoint: string, directory: string, made: string[]): void {
  makeDirectories(system, mountPoint, directory, made);
  // Children then start with their parent's CPUs and memory nodes instead of none.
  if (mountPoint === system.host.v1.get('cpuset')) system.files.write(`${directory}/cgroup.clone_children`, '1');
}

function cannotMake(directory: string, error: unknown): EngineError {
  return new EngineError(
    'system',
    `Cannot make the cgroup ${directory}: ${errorText(error)}. Is the cgroup file system mounted read-only?`,
    {
      cause: error,
    },
  );
}

/** v1: no process can join a cpuset before it has CPUs and memory nodes. */
function inheritCpuset(files: CgroupFiles, mountPoint: string, directory: string): void {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) inheritValue(files, mountPoint, directory, name);
}

function inheritValue(files: CgroupFiles, mountPoint: string, directory: string, name: string): string {
  const own = files.read(`${directory}/${name}`)?.trim() ?? '';
  if (own !== '' || directory === mountPoint) return own;
  const inherited = inheritValue(files, mountPoint, directory.slice(0, directory.lastIndexOf('/')), name);
  files.write(`${directory}/${name}`, inherited);
  return inherited;
}

/** The controllers of v2 that we limit by; those that v1 has on this host are not among them. */
function unifiedControllers({ host }: CgroupSystem): readonly string[] {
  return ['cpuset', 'cpu', 'io', 'memory', 'pids'].filter(
    (name) => host.unifiedControllers.has(name) && !host.v1.has(name === 'io' ? 'blkio' : name),
  );
}

/** v2: a controller works in a cgroup when every one above it, from the root on, hands it down. */
function enableControllers(system: CgroupSystem, mountPoint: string, directory: string): void {
  const wanted = unifiedControllers(system);
  const file = `${directory}/cgroup.subtree_control`;
  const missing = (): readonly string[] => {
    const enabled = (system.files.read(file) ?? '').trim().split(' ');
    return wanted.filter((name) => !enabled.includes(name));
  };
  if (wanted.length === 0 || missing().length === 0) return;
  if (directory !== mountPoint) enableControllers(system, mountPoint, directory.slice(0, directory.lastIndexOf('/')));
  // One by one: a controller that cannot be had must not keep the others away. A limit that needs it is refused when it is set.
  for (const name of missing()) quietly(() => system.files.write(file, `+${name}`));
}

function applyResources(
  system: CgroupSystem,
  placement: CgroupPlacement,
  resources: CgroupResources,
  state: 'new' | 'existing',
): readonly string[] {
  const isV1 = (controller: CgroupController): boolean => placement.paths[controller] !== undefined;
  const warnings: string[] = [];
  const inV1 = pick(resources, isV1);
  const inV2 = pick(resources, (controller) => !isV1(controller));
  const currentMemory = state === 'new' || inV1.memory === undefined ? null : memoryLimit(system.files, placement);
  for (const write of limitsV1(inV1, currentMemory)) applyLimit(system, write, placement.paths[write.controller] ?? null, warnings);
  if (state === 'existing') refuseKillingLimit(system, placement, inV2.memory?.limit ?? 0);
  const currentMax = state === 'new' || inV2.cpu === undefined ? null : system.files.read(`${placement.v2Directory}/cpu.max`);
  for (const write of limitsV2(inV2, currentMax))
    applyLimit(system, write, unifiedDirectory(system, placement, write.controller), warnings);
  if (resources.devices !== undefined && resources.devices.length > 0) applyDevices(system, placement, resources.devices, state);
  return warnings;
}

/** The part of the resources that is the business of the chosen controllers. */
function pick(resources: CgroupResources, isChosen: (controller: CgroupController) => boolean): CgroupResources {
  const { memory, cpu, pids, blockIO } = resources;
  const { cpus, mems, ...time } = cpu ?? {};
  const chosenCpu = {
    ...(isChosen('cpu') ? time : {}),
    ...(isChosen('cpuset') && cpus !== undefined ? { cpus } : {}),
    ...(isChosen('cpuset') && mems !== undefined ? { mems } : {}),
  };
  return {
    ...(memory !== undefined && isChosen('memory') ? { memory } : {}),
    ...(cpu === undefined ? {} : { cpu: chosenCpu }),
    ...(pids !== undefined && isChosen('pids') ? { pids } : {}),
    ...(blockIO !== undefined && isChosen('blkio') ? { blockIO } : {}),
  };
}

function memoryLimit(files: CgroupFiles, placement: CgroupPlacement): bigint | null {
  const text = files.read(`${placement.paths.memory}/memory.limit_in_bytes`);
  return text === null ? null : BigInt(text.trim());
}

function unifiedDirectory({ host }: CgroupSystem, placement: CgroupPlacement, controller: CgroupController): string | null {
  return host.unifiedControllers.has(controller === 'blkio' ? 'io' : controller) ? placement.v2Directory : null;
}

function applyLimit(system: CgroupSystem, write: LimitWrite, directory: string | null, warnings: string[]): void {
  for (const { name, value } of directory === null ? [] : write.files) {
    try {
      system.files.write(`${directory}/${name}`, value);
      return;
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOENT')) throw limitRefused(system, write, `${directory}/${name}`, value, error);
    }
  }
  if (write.warning !== null) {
    warnings.push(write.warning);
    return;
  }
  const why =
    directory === null
      ? `this host has no ${write.controller} cgroup controller`
      : `${directory} has no ${write.files.map((file) => file.name).join(' or ')}`;
  throw new EngineError('unavailable', `Cannot set ${write.what}: ${why}. Remove the limit, or enable the controller in the kernel.`);
}

/**
 * v1 refuses a memory limit below what is in use; v2 takes it and kills. What neither can be dropped (files) nor has anywhere to go (no swap) must fit.
 */
function refuseKillingLimit(system: CgroupSystem, { v2Directory }: CgroupPlacement, limit: number): void {
  if (limit <= 0) return;
  const stat = system.files.read(`${v2Directory}/memory.stat`) ?? '';
  const bytes = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  const held = bytes('anon') + bytes('shmem');
  const hasSwap = !/^SwapTotal:\s+0 kB$/m.test(system.files.read('/proc/meminfo') ?? '');
  if (held <= limit || hasSwap) return;
  throw conflict(
    `Cannot set the memory limit to ${limit}: ${held} bytes are in use and cannot be reclaimed. Free memory in the container, or choose a higher limit.`,
  );
}

function limitRefused(system: CgroupSystem, write: LimitWrite, file: string, value: string, error: unknown): EngineError {
  const text = `Cannot set ${write.what} to ${value}`;
  if (file.endsWith('memory.limit_in_bytes') && hasErrnoCode(error, 'EBUSY')) {
    const usage = system.files.read(file.replace('limit_in_bytes', 'usage_in_bytes'))?.trim() ?? 'more';
    return conflict(`${text}: ${usage} bytes are in use and cannot be reclaimed. Free memory in the container, or choose a higher limit.`, {
      cause: error,
    });
  }
  const hint = file.endsWith('cpu.rt_runtime_us')
    ? ' Every cgroup above needs a real-time budget of at least that: write it to their cpu.rt_runtime_us.'
    : '';
  const code = hasErrnoCode(error, 'EINVAL', 'ERANGE', 'ENODEV', 'ENXIO', 'ENOSPC') ? 'invalid' : 'system';
  return new EngineError(code, `${text}: the kernel refuses it (${errorText(error)}).${hint}`, { cause: error });
}

function applyDevices(
  system: CgroupSystem,
  placement: CgroupPlacement,
  rules: readonly CgroupDeviceRule[],
  state: 'new' | 'existing',
): void {
  const policy = devicePolicy(rules);
  const directory = placement.paths.devices;
  if (directory === undefined && placement.v2Directory === null) {
    throw new EngineError('unavailable', 'Cannot limit devices: this host has no devices cgroup controller and no cgroup2 mount.');
  }
  try {
    if (directory === undefined) system.attachDeviceProgram(placement.v2Directory ?? '', deviceProgram(policy));
    else
      writeDevices(system.files, directory, deviceWrites(policy, state === 'new' ? null : system.files.read(`${directory}/devices.list`)));
  } catch (error) {
    throw new EngineError('system', `Cannot limit the devices of ${directory ?? placement.v2Directory}: ${errorText(error)}.`, {
      cause: error,
    });
  }
}

/** Runs of writes to the same file go through one descriptor. */
function writeDevices(files: CgroupFiles, directory: string, writes: ReturnType<typeof deviceWrites>): void {
  for (let at = 0; at < writes.length; ) {
    const file = writes[at]?.file;
    const change = writes.findIndex((write, index) => index > at && write.file !== file);
    const end = change === -1 ? writes.length : change;
    files.writeEach(
      `${directory}/${file}`,
      writes.slice(at, end).map((write) => write.value),
    );
    at = end;
  }
}

/** False: something in it is busy. */
function removeTree(files: CgroupFiles, directory: string): boolean {
  try {
    files.rmdir(directory);
    return true;
  } catch (error) {
    if (!hasErrnoCode(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
  // A container that may write to its cgroup has made some of its own.
  const children = files.subdirectories(directory);
  if (children.length === 0 || !children.every((name) => removeTree(files, `${directory}/${name}`))) return false;
  try {
    files.rmdir(directory);
    return true;
  } catch {
    return false;
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The caller says why this may fail.
  }
}
