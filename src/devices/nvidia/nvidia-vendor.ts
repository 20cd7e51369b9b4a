/**
 * NVIDIA's GPUs on this machine, found without any tool of NVIDIA: the kernel module says in /proc what it serves, the driver root has the libraries, and NVML, where it
 * can be loaded, knows what /proc does not (memory, UUIDs of parts). Small files are read anew at every look; folders of libraries only when they changed.
 */

import { drmEdits, drmNodesOf, noDrmNodes } from '../drm-nodes.ts';
import type { Gpu, GpuLook, GpuPart, GpuVendor } from '../gpu-vendor.ts';
import { HostTree } from '../host-tree.ts';
import type { GpuReadings, NvmlGpu } from '../nvml/gpu-readings.ts';
import { installedProgram } from '../own-hooks.ts';
import { type DescribedGpu, describeNvidia, mismatch, type NvidiaFacts, nvidiaKind } from './describe-nvidia.ts';
import { type DriverFile, findFiles, findSockets, programFolders } from './driver-files.ts';
import { type FoundLibraries, findLibraries, libraryFolders } from './driver-libraries.ts';
import { type ControlNodes, capabilityNode, controlNodes, gpuNode } from './driver-nodes.ts';
import { type MigPart, migParts } from './mig-parts.ts';
import { lacksDriver, whyNoDriver, whyNoGpus } from './no-driver.ts';
import { moduleVersion, type NodeMajors, nodeMajors, type ProcGpu, pciAddressOf, procGpus } from './proc-facts.ts';

export interface NvidiaOptions {
  /** Where /dev, /proc and /sys are. */
  readonly deviceRoot: string;
  /** Where libraries and programs are. */
  readonly driverRoot: string;
  readonly readings: Pick<GpuReadings, 'inventory'>;
  /** In hooks of descriptions that are written down; else where it is installed. */
  readonly program?: string;
}

export function nvidiaVendor(options: NvidiaOptions): GpuVendor {
  const disk = remembered(filesOnDisk);
  // What could not be asked now may be the next time.
  const inventory = remembered(
    async (readings: NvidiaOptions['readings']) => await readings.inventory(),
    (answer) => answer !== null,
  );
  return { maker: 'nvidia', kind: nvidiaKind, look: async () => await look(options, disk, inventory) };
}

interface FilesOnDisk {
  readonly libraries: FoundLibraries;
  readonly files: readonly DriverFile[];
}

type Disk = Remembered<[HostTree, readonly string[], string], FilesOnDisk>;
type Inventory = Remembered<[NvidiaOptions['readings']], readonly NvmlGpu[] | null>;

async function look(options: NvidiaOptions, disk: Disk, inventory: Inventory): Promise<GpuLook> {
  const program = options.program ?? installedProgram;
  const [devices, driver] = [new HostTree(options.deviceRoot), new HostTree(options.driverRoot)];
  const running = (await fromProc(devices)) ?? (await fromNvml(devices, driver, options.readings));
  if (running === null) return await absent(devices, await whyNoDriver(devices));
  const { version, gpus: procs } = running;
  if (procs.length === 0) return await absent(devices, await whyNoGpus(devices, version));
  const folders = await libraryFolders(driver);
  const [onDisk, sockets, majors, parts] = await Promise.all([
    fingerprint(driver, folders, version).then(async (key) => await disk(key, driver, folders, version)),
    findSockets([driver, devices]),
    nodeMajors(devices),
    Promise.all(procs.map(async ({ minor }) => await migParts(devices, minor))),
  ]);
  const loadable = onDisk.libraries.versions.includes(version);
  const known = loadable ? await inventory(JSON.stringify([version, procs, parts]), options.readings) : null;
  const gpus = procs
    .map((proc, index) => foundGpu(proc, parts[index] ?? [], known, index))
    .sort((one, other) => one.gpu.index - other.gpu.index);
  const control = await controlNodes(devices, majors);
  const forwardCompatible = gpus.every(({ gpu }) => !wantsItsOwnCuda(gpu));
  const facts: NvidiaFacts = {
    version,
    forwardCompatible,
    gpus: await Promise.all(gpus.map(async (gpu) => await describedGpu(devices, majors, gpu, program))),
    control: control.nodes,
    libraries: onDisk.libraries,
    files: [...onDisk.files, ...sockets],
    driver,
    program,
  };
  return {
    present: true,
    driverVersion: version,
    forwardCompatible,
    gpus: gpus.map(({ gpu }) => gpu),
    problems: problemsOf(facts, control, gpus),
    describe: (capabilities) => describeNvidia(facts, capabilities),
  };
}

/** GPUs for players refuse CUDA libraries of another driver with an error (804), where those of the driver would have done for programs of the same CUDA major. */
function wantsItsOwnCuda({ model }: Gpu): boolean {
  return /\b(GeForce|TITAN)\b/i.test(model);
}

interface RunningDriver {
  readonly version: string;
  readonly gpus: readonly ProcGpu[];
}

async function fromProc(devices: HostTree): Promise<RunningDriver | null> {
  const version = await moduleVersion(devices);
  return version === null ? null : { version, gpus: await procGpus(devices) };
}

/** Where somebody gave us the nodes but not the module's part of /proc, as sandboxes do. The libraries that they chose are then those that fit. */
async function fromNvml(devices: HostTree, driver: HostTree, readings: NvidiaOptions['readings']): Promise<RunningDriver | null> {
  if (!(await devices.exists('/dev/nvidiactl'))) return null;
  const { versions } = await findLibraries(driver, await libraryFolders(driver), null);
  const [version] = versions;
  const known = version === undefined ? null : await readings.inventory();
  if (version === undefined || known === null || known.length === 0) return null;
  return {
    version,
    gpus: known.map(({ minor, pciAddress, model, uuid }) => ({ minor, pciAddress: pciAddressOf(pciAddress), model, uuid })),
  };
}

async function absent(devices: HostTree, why: string): Promise<GpuLook> {
  return { present: false, why, ...((await lacksDriver(devices)) ? { lacksDriver: true } : {}) };
}

interface FoundGpu {
  readonly gpu: Gpu;
  readonly minor: number;
  /** In the order of `gpu.parts`. */
  readonly parts: readonly MigPart[];
}

/** Numbered as NVML does, which is by PCI address. */
function foundGpu(proc: ProcGpu, parts: readonly MigPart[], inventory: readonly NvmlGpu[] | null, position: number): FoundGpu {
  const known = inventory?.find(({ pciAddress }) => pciAddressOf(pciAddress) === proc.pciAddress);
  const index = known?.index ?? position;
  const uuid = proc.uuid ?? known?.uuid ?? null;
  const numbered = parts.map((part, at) => ({ part, ...partOf(part, at, index, known) })).sort((one, other) => one.number - other.number);
  const gpu: Gpu = {
    index,
    uuid,
    model: known?.model ?? proc.model,
    pciAddress: proc.pciAddress,
    memoryBytes: known?.memoryBytes ?? null,
    parts: numbered.map(({ described }) => described),
    names: [String(index), ...(uuid === null ? [] : [uuid])],
  };
  return { gpu, minor: proc.minor, parts: numbered.map(({ part }) => part) };
}

/** NVML says which number a part has; without it they are counted by their instances. */
function partOf(
  part: MigPart,
  position: number,
  gpu: number,
  known: NvmlGpu | undefined,
): { readonly number: number; readonly described: GpuPart } {
  const its = known?.parts.find(
    ({ gpuInstance, computeInstance }) => gpuInstance === part.gpuInstance && computeInstance === part.computeInstance,
  );
  const number = its?.index ?? position;
  const name = `${gpu}:${number}`;
  const uuid = its?.uuid ?? null;
  return { number, described: { name, uuid, profile: its?.profile ?? '', names: [name, ...(uuid === null ? [] : [uuid])] } };
}

async function describedGpu(
  devices: HostTree,
  majors: NodeMajors,
  { gpu, minor, parts }: FoundGpu,
  program: string,
): Promise<DescribedGpu> {
  const drm = parts.length > 0 ? noDrmNodes : await drmNodesOf(devices, `/sys/bus/pci/devices/${gpu.pciAddress}`, gpu.pciAddress);
  const partNodes = parts.map(async ({ minors }, at) => {
    const nodes = await Promise.all(minors.map(async (each) => await capabilityNode(devices, majors, each)));
    return { names: gpu.parts[at]?.names ?? [], nodes: nodes.filter((node) => node !== null) };
  });
  return {
    names: gpu.names,
    node: await gpuNode(devices, majors, minor),
    drm: drmEdits(devices, drm, program),
    parts: await Promise.all(partNodes),
  };
}

function problemsOf({ version, libraries }: NvidiaFacts, control: ControlNodes, gpus: readonly FoundGpu[]): readonly string[] {
  const [newest] = libraries.versions;
  const other = newest !== undefined && !libraries.versions.includes(version) ? [mismatch(version, newest)] : [];
  const absent = newest === undefined ? [`libcuda.so.${version} is not found: looked in ${libraries.folders.join(', ')}`] : [];
  const unnamed = gpus.filter(({ gpu }) => gpu.parts.some(({ uuid }) => uuid === null)).map(({ gpu }) => gpu.index);
  const unknown = unnamed.map(
    (index) =>
      `the UUIDs of the parts of GPU ${index} are not known (libnvidia-ml.so.1 cannot be asked): name them ${index}:0, ${index}:1, …`,
  );
  return [...other, ...absent, ...control.problems, ...unknown];
}

async function filesOnDisk(driver: HostTree, folders: readonly string[], version: string): Promise<FilesOnDisk> {
  const [libraries, files] = await Promise.all([findLibraries(driver, folders, version), findFiles(driver, version)]);
  return { libraries, files };
}

/** What says that nothing was installed or removed: the times of the folders that are looked through. */
async function fingerprint(driver: HostTree, folders: readonly string[], version: string): Promise<string> {
  const others = [
    ...programFolders,
    '/etc/ld.so.cache',
    '/etc/vulkan/icd.d',
    '/usr/share/vulkan/icd.d',
    '/usr/share/glvnd/egl_vendor.d',
    `/lib/firmware/nvidia/${version}`,
  ];
  const stats = await Promise.all([...folders, ...others].map(async (path) => await driver.stat(path)));
  return JSON.stringify([version, folders, stats.map((each) => (each === null ? 0 : [each.ino, each.mtimeMs, each.ctimeMs]))]);
}

/** Asked again when the key changes; who asks meanwhile with the same key waits for the same answer. Failures, and what is not worth it, are not kept. */
type Remembered<Arguments extends unknown[], Result> = (key: string, ...args: Arguments) => Promise<Result>;

function remembered<Arguments extends unknown[], Result>(
  ask: (...args: Arguments) => Promise<Result>,
  isWorthKeeping: (result: Result) => boolean = () => true,
): Remembered<Arguments, Result> {
  let last: { readonly key: string; readonly answer: Promise<Result> } | null = null;
  return (key, ...args) => {
    if (last?.key === key) return last.answer;
    const mine = { key, answer: ask(...args) };
    last = mine;
    const forget = (): void => {
      if (last === mine) last = null;
    };
    mine.answer.then((result) => (isWorthKeeping(result) ? undefined : forget()), forget);
    return mine.answer;
  };
}
