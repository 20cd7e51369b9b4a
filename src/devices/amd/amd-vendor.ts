/**
 * AMD's GPUs on this machine: /dev/kfd for all who compute, and the DRM nodes of each GPU. Libraries (ROCm) are in the image: only the kernel's part is the host's.
 * Without KFD (a kernel without it, GPUs that it does not know) GPUs are listed by their DRM nodes: they draw and decode, but do not compute.
 */
import { release } from 'node:os';
import type { CdiEdits, CdiSpec } from '../cdi/cdi-spec.ts';
import { describedNode, drmDevicesOf, drmEdits, drmNodesOf, groupOf, mergeEdits } from '../drm-nodes.ts';
import type { Gpu, GpuLook, GpuVendor } from '../gpu-vendor.ts';
import { HostTree } from '../host-tree.ts';
import { installedProgram } from '../own-hooks.ts';
import { whyNoDrmGpu } from '../pci-displays.ts';
import { kfdGpus } from './kfd-topology.ts';

export interface AmdOptions {
  /** Where /dev, /proc and /sys are. */
  readonly deviceRoot: string;
  /** In hooks of descriptions that are written down; else where it is installed. */
  readonly program?: string;
}

const kind = 'amd.com/gpu';
const vendor = '0x1002';

export function amdVendor(options: AmdOptions): GpuVendor {
  return { maker: 'amd', kind, look: async () => await look(new HostTree(options.deviceRoot), options.program ?? installedProgram) };
}

async function look(devices: HostTree, program: string): Promise<GpuLook> {
  const [places, kfd] = await Promise.all([gpuPlaces(devices), devices.stat('/dev/kfd')]);
  if (places.length === 0) return { present: false, why: await whyNoDrmGpu(devices, { vendor, name: 'AMD', drivers: ['amdgpu'] }) };
  const found = await Promise.all(places.map(async (place, index) => await foundGpu(devices, place, index, program)));
  const common = kfd === null ? {} : mergeEdits([{ deviceNodes: [describedNode(devices, '/dev/kfd')] }, groups(groupOf(kfd))]);
  const problems =
    kfd === null
      ? ['there is no /dev/kfd, by which programs compute: load the module amdgpu of a kernel that has KFD (CONFIG_HSA_AMD)']
      : [];
  return {
    present: true,
    driverVersion: (await devices.text('/sys/module/amdgpu/version'))?.trim() ?? release(),
    gpus: found.map(({ gpu }) => gpu),
    problems: [...problems, ...found.flatMap(({ problem }) => problem ?? [])],
    describe: () => describeAmd(found, common),
  };
}

interface Place {
  /** Its directory in sysfs. */
  readonly device: string;
  readonly pciAddress: string;
  readonly uuid: string | null;
}

/** Partitions of one GPU (MI300) share its UUID, which then says nothing. */
async function gpuPlaces(devices: HostTree): Promise<readonly Place[]> {
  const known = await kfdGpus(devices);
  if (known.length === 0)
    return (await drmDevicesOf(devices, vendor)).map(({ path, pciAddress }) => ({ device: path, pciAddress, uuid: null }));
  const isShared = (uuid: string | null): boolean => known.filter((each) => each.uuid === uuid).length > 1;
  return known.map(({ renderMinor, pciAddress, uuid }) => ({
    device: `/sys/class/drm/renderD${renderMinor}/device`,
    pciAddress,
    uuid: isShared(uuid) ? null : uuid,
  }));
}

interface FoundGpu {
  readonly gpu: Gpu;
  readonly edits: CdiEdits;
  readonly problem: string | null;
}

async function foundGpu(devices: HostTree, { device, pciAddress, uuid }: Place, index: number, program: string): Promise<FoundGpu> {
  const [nodes, memory, product] = await Promise.all([
    drmNodesOf(devices, device, pciAddress),
    devices.text(`${device}/mem_info_vram_total`),
    devices.text(`${device}/product_name`),
  ]);
  const deviceId = (await devices.text(`${device}/device`))?.trim() ?? '';
  const names = [String(index), ...(uuid === null ? [] : [uuid])];
  const model = product?.trim() || `AMD GPU ${deviceId}`.trim();
  const memoryBytes = memory === null ? null : Number(memory);
  const missing = nodes.paths.some((path) => path.includes('renderD'))
    ? null
    : `GPU ${index} (${pciAddress}) has no node /dev/dri/renderD… on this machine`;
  return {
    gpu: { index, uuid, model, pciAddress, memoryBytes, parts: [], names },
    edits: drmEdits(devices, nodes, program),
    problem: missing,
  };
}

function describeAmd(found: readonly FoundGpu[], common: CdiEdits): CdiSpec {
  const devices = found.flatMap(({ gpu, edits }) => gpu.names.map((name) => ({ name, containerEdits: edits })));
  return {
    cdiVersion: '0.7.0',
    kind,
    devices: [...devices, { name: 'all', containerEdits: mergeEdits(found.map(({ edits }) => edits)) }],
    containerEdits: common,
  };
}

const groups = (gids: readonly number[]): CdiEdits => (gids.length === 0 ? {} : { additionalGids: gids });
