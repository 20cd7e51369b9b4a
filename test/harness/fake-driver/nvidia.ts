/** The NVIDIA driver: nodes, /proc/driver/nvidia as nv-procfs.c writes it, MIG capabilities as nv-caps.c does, and what the installer puts on disk. */
import type { NvmlGpu } from '../../../src/devices/nvml/gpu-readings.ts';
import { installLibraries } from './nvidia-files.ts';
import type { FakeDriver, FakeDriverOptions, FakeGpu, FakePart, FakePartOptions } from './options.ts';
import type { FakeTree } from './tree.ts';

const uvmMajor = 511;
const capsMajor = 236;
const imexMajor = 235;
const model = 'NVIDIA H100 80GB HBM3';
const memoryBytes = 81_559 * 1024 * 1024;

type NvidiaFacts = Omit<FakeDriver, 'root' | 'amd' | 'intel'>;

export function fakeNvidia(tree: FakeTree, options: FakeDriverOptions): { readonly majors: string; readonly facts: NvidiaFacts } {
  const driverVersion = options.driverVersion ?? '580.159.04';
  const libraryVersion = options.libraryVersion ?? driverVersion;
  const lacks = (piece: string): boolean => (options.without ?? []).some((each) => each === piece);
  const count = lacks('hardware') ? 0 : (options.gpus ?? 1);
  const loaded = count > 0 && !lacks('module') && !lacks('nouveau');
  const gpus = Array.from({ length: count }, (_, index) => fakeGpu(tree, options, index, loaded));
  const controlNodes = loaded && !lacks('nodes') ? makeControlNodes(tree, options) : [];
  if (loaded) writeProc(tree, options, driverVersion, gpus);
  const files = lacks('libraries') || count === 0 ? { libraries: [], programs: [] } : installLibraries(tree, libraryVersion, options);
  const inventory = gpus.map(inventoryEntry);
  const fabricMajor = options.fabric === true ? `${imexMajor} nvidia-caps-imex-channels\n` : '';
  return {
    majors: loaded ? `195 nvidia\n195 nvidiactl\n195 nvidia-modeset\n${fabricMajor}${capsMajor} nvidia-caps\n${uvmMajor} nvidia-uvm\n` : '',
    facts: { driverVersion, libraryVersion, gpus, controlNodes, ...files, inventory },
  };
}

function inventoryEntry({ index, model, pciAddress, memoryBytes, parts }: FakeGpu): NvmlGpu {
  return {
    index,
    uuid: uuidOf(index),
    model,
    pciAddress,
    minor: index,
    memoryBytes,
    cudaVersion: '12.4',
    parts: parts.map(({ uuid, gpuInstance, computeInstance, profile }, at) => ({
      index: at,
      uuid,
      gpuInstance,
      computeInstance,
      profile,
      memoryBytes: 10 * 1024 ** 3,
    })),
  };
}

const uuidOf = (index: number): string => `GPU-6b2f0d1e-4c55-4a10-9f00-0000000000${index.toString(16).padStart(2, '0')}`;
const addressOf = (index: number): string => `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`;

function fakeGpu(tree: FakeTree, options: FakeDriverOptions, index: number, loaded: boolean): FakeGpu {
  const lacks = (piece: string): boolean => (options.without ?? []).some((each) => each === piece);
  const pciAddress = addressOf(index);
  tree.pci(pciAddress, '0x10de', '0x2330', loaded ? 'nvidia' : lacks('nouveau') ? 'nouveau' : '');
  const uuid = lacks('uuid') ? null : uuidOf(index);
  const gpu = { index, uuid, model, pciAddress, memoryBytes };
  if (!loaded) return { ...gpu, nodes: [], parts: [] };
  writeInformation(tree, options, { ...gpu, nodes: [], parts: [] });
  if (!lacks('nodes')) tree.node(`dev/nvidia${index}`, 195, index);
  const nodes = [...(lacks('nodes') ? [] : [`/dev/nvidia${index}`]), ...(lacks('dri') ? [] : tree.drm(pciAddress))];
  const parts = (options.mig?.[index] ?? []).map((part, at) => fakePart(tree, options, index, at, part));
  return { ...gpu, nodes, parts };
}

/** Of a GPU instance or one of its compute instances; nv-caps.c numbers them all beforehand. */
function capability(gpu: number, gpuInstance: number, computeInstance: number | null): number {
  return 3 + gpu * 135 + gpuInstance * 9 + (computeInstance === null ? 0 : computeInstance + 1);
}

function fakePart(tree: FakeTree, options: FakeDriverOptions, gpu: number, at: number, part: FakePartOptions): FakePart {
  const { gpuInstance = at + 1, computeInstance = 0, profile = '1g.10gb' } = part;
  const base = `proc/driver/nvidia/capabilities/gpu${gpu}/mig/gi${gpuInstance}`;
  const minors = [capability(gpu, gpuInstance, null), capability(gpu, gpuInstance, computeInstance)];
  tree.write(`${base}/access`, capabilityFile(minors[0] ?? 0));
  tree.write(`${base}/ci${computeInstance}/access`, capabilityFile(minors[1] ?? 0));
  if (options.without?.includes('nodes') !== true) for (const minor of minors) capabilityNode(tree, minor);
  const uuid = `MIG-1f0e2d3c-${gpu.toString(16).padStart(4, '0')}-4a10-9f00-0000000000${at.toString(16).padStart(2, '0')}`;
  const nodes = minors.map((minor) => `/dev/nvidia-caps/nvidia-cap${minor}`);
  return { name: `${gpu}:${at}`, uuid, gpuInstance, computeInstance, profile, nodes };
}

const capabilityFile = (minor: number): string => `DeviceFileMinor: ${minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n`;

/** Two parts of one GPU instance share its node. */
function capabilityNode(tree: FakeTree, minor: number): void {
  const path = `dev/nvidia-caps/nvidia-cap${minor}`;
  if (!tree.has(path)) tree.node(path, capsMajor, minor, { mode: 0o444 });
}

function makeControlNodes(tree: FakeTree, options: FakeDriverOptions): string[] {
  const lacks = (piece: string): boolean => (options.without ?? []).some((each) => each === piece);
  const nodes: [string, number, number][] = [['nvidiactl', 195, 255]];
  if (!lacks('modeset')) nodes.push(['nvidia-modeset', 195, 254]);
  if (!lacks('uvm')) nodes.push(['nvidia-uvm', uvmMajor, 0], ['nvidia-uvm-tools', uvmMajor, 1]);
  if (options.fabric === true)
    nodes.push(['nvidia-nvswitchctl', 234, 255], ['nvidia-nvlink', 233, 0], ['nvidia-caps-imex-channels/channel0', imexMajor, 0]);
  for (const [name, major, minor] of nodes) tree.node(`dev/${name}`, major, minor);
  for (const minor of [1, 2]) tree.node(`dev/nvidia-caps/nvidia-cap${minor}`, capsMajor, minor, { mode: 0o400 });
  return nodes.map(([name]) => `/dev/${name}`);
}

function writeProc(tree: FakeTree, options: FakeDriverOptions, version: string, gpus: readonly FakeGpu[]): void {
  const module =
    options.open === false
      ? `NVIDIA UNIX x86_64 Kernel Module  ${version}  Sat Aug 19 01:15:15 UTC 2025`
      : `NVIDIA UNIX Open Kernel Module for x86_64  ${version}  Release Build  (dvs-builder@U22-I3-B17-02-5)  Tue Sep 23 09:55:41 UTC 2025`;
  tree.write('proc/driver/nvidia/version', `NVRM version: ${module}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1) \n`);
  const params = [
    'ResmanDebugLevel: 4294967295',
    'ModifyDeviceFiles: 1',
    'DeviceFileUID: 0',
    'DeviceFileGID: 0',
    'DeviceFileMode: 438',
    'RegistryDwords: ""',
    'EnableStreamMemOPs: 0',
  ];
  tree.write('proc/driver/nvidia/params', `${params.join('\n')}\n`);
  tree.write('sys/module/nvidia/version', `${version}\n`);
  tree.write('proc/driver/nvidia/capabilities/mig/config', capabilityFile(1).replace('292', '256'));
  tree.write('proc/driver/nvidia/capabilities/mig/monitor', capabilityFile(2).replace('292', '256'));
  tree.write('proc/driver/nvidia-caps/mig-minors', migMinors(Math.max(1, gpus.length)));
  tree.write('proc/driver/nvidia-caps/sys-minors', 'fabric-imex-mgmt 4323\n');
}

/** As of each GPU there is (the driver lists 32 of them). */
function migMinors(gpus: number): string {
  const lines = ['config 1', 'monitor 2'];
  for (let gpu = 0; gpu < gpus; gpu++) {
    for (let gi = 0; gi < 15; gi++) {
      lines.push(`gpu${gpu}/gi${gi}/access ${capability(gpu, gi, null)}`);
      for (let ci = 0; ci < 8; ci++) lines.push(`gpu${gpu}/gi${gi}/ci${ci}/access ${capability(gpu, gi, ci)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function writeInformation(tree: FakeTree, options: FakeDriverOptions, gpu: FakeGpu): void {
  const lines = [
    `Model: \t\t ${gpu.model}`,
    `IRQ:   \t\t ${50 + gpu.index}`,
    `GPU UUID: \t ${gpu.uuid ?? 'GPU-????????-????-????-????-????????????'}`,
    `Video BIOS: \t ${gpu.uuid === null ? '??.??.??.??.??' : '96.00.99.00.01'}`,
    'Bus Type: \t PCIe',
    'DMA Size: \t 52 bits',
    'DMA Mask: \t 0xfffffffffffff',
    `Bus Location: \t ${gpu.pciAddress}`,
    `Device Minor: \t ${gpu.index}`,
    `GPU Firmware: \t ${options.driverVersion ?? '580.159.04'}`,
    'GPU Excluded:\t No',
  ];
  tree.write(`proc/driver/nvidia/gpus/${gpu.pciAddress}/information`, `${lines.join('\n')}\n`);
}
