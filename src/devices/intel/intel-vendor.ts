/** Intel's GPUs on this machine (drivers i915 and xe): their DRM nodes. Libraries (Level Zero, VA-API) are in the image. */
import { release } from 'node:os';
import { posix } from 'node:path';
import type { CdiEdits } from '../cdi/cdi-spec.ts';
import { type DrmDevice, drmDevicesOf, drmEdits, drmNodesOf, mergeEdits } from '../drm-nodes.ts';
import type { Gpu, GpuLook, GpuVendor } from '../gpu-vendor.ts';
import { HostTree } from '../host-tree.ts';
import { installedProgram } from '../own-hooks.ts';
import { whyNoDrmGpu } from '../pci-displays.ts';

export interface IntelOptions {
  /** Where /dev, /proc and /sys are. */
  readonly deviceRoot: string;
  /** In hooks of descriptions that are written down; else where it is installed. */
  readonly program?: string;
}

const kind = 'intel.com/gpu';
const vendor = '0x8086';

export function intelVendor(options: IntelOptions): GpuVendor {
  return { maker: 'intel', kind, look: async () => await look(new HostTree(options.deviceRoot), options.program ?? installedProgram) };
}

async function look(devices: HostTree, program: string): Promise<GpuLook> {
  const places = await drmDevicesOf(devices, vendor);
  const [first] = places;
  if (first === undefined) return { present: false, why: await whyNoDrmGpu(devices, { vendor, name: 'Intel', drivers: ['xe', 'i915'] }) };
  const found = await Promise.all(places.map(async (place, index) => await foundGpu(devices, place, index, program)));
  const driver = posix.basename((await devices.linkText(`${first.path}/driver`)) ?? '');
  const described = found.flatMap(({ gpu, edits }) => gpu.names.map((name) => ({ name, containerEdits: edits })));
  const all = { name: 'all', containerEdits: mergeEdits(found.map(({ edits }) => edits)) };
  return {
    present: true,
    // It is part of the kernel.
    driverVersion: `${driver} ${release()}`.trim(),
    gpus: found.map(({ gpu }) => gpu),
    problems: [],
    describe: () => ({ cdiVersion: '0.7.0', kind, devices: [...described, all] }),
  };
}

/** Without a UUID, the PCI address is the name that stays. */
async function foundGpu(
  devices: HostTree,
  { path, pciAddress }: DrmDevice,
  index: number,
  program: string,
): Promise<{ readonly gpu: Gpu; readonly edits: CdiEdits }> {
  const [nodes, id] = await Promise.all([drmNodesOf(devices, path, pciAddress), devices.text(`${path}/device`)]);
  const model = `Intel GPU ${id?.trim() ?? ''}`.trim();
  const gpu: Gpu = { index, uuid: null, model, pciAddress, memoryBytes: null, parts: [], names: [String(index), pciAddress] };
  return { gpu, edits: drmEdits(devices, nodes, program) };
}
