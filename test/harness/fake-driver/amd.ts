/** AMD's driver (amdgpu with KFD): /dev/kfd, DRM nodes, and the topology in sysfs that says which DRM node is which GPU. */
import type { FakeGpu } from './options.ts';
import type { FakeTree } from './tree.ts';

const kfdMajor = 510;
const memoryBytes = 206_141_652_992;

export function fakeAmd(tree: FakeTree, count: number): { readonly majors: string; readonly gpus: readonly FakeGpu[] } {
  if (count === 0) return { majors: '', gpus: [] };
  tree.node('dev/kfd', kfdMajor, 0, { mode: 0o660, gid: 105 });
  tree.write('sys/module/amdgpu/version', '6.12.12\n');
  topologyNode(tree, 0, 0, '', [
    'cpu_cores_count 192',
    'simd_count 0',
    'vendor_id 0',
    'device_id 0',
    'location_id 0',
    'domain 0',
    'drm_render_minor 0',
  ]);
  return { majors: `${kfdMajor} kfd\n`, gpus: Array.from({ length: count }, (_, index) => fakeGpu(tree, index)) };
}

function fakeGpu(tree: FakeTree, index: number): FakeGpu {
  const bus = 0x83 + index;
  const pciAddress = `0000:${bus.toString(16)}:00.0`;
  tree.pci(pciAddress, '0x1002', '0x74a1', 'amdgpu');
  const drm = tree.drm(pciAddress);
  const uniqueId = 0x4fd3d0e445b92000n + BigInt(index);
  const device = `sys/devices/pci0000:00/${pciAddress}`;
  tree.write(`${device}/unique_id`, `${uniqueId.toString(16)}\n`);
  tree.write(`${device}/mem_info_vram_total`, `${memoryBytes}\n`);
  tree.write(`${device}/product_name`, 'AMD Instinct MI300X\n');
  topologyNode(tree, index + 1, 28_851 + index, 'ip discovery', [
    'cpu_cores_count 0',
    'simd_count 1216',
    'gfx_target_version 90402',
    'vendor_id 4098',
    'device_id 29857',
    `location_id ${bus << 8}`,
    'domain 0',
    `drm_render_minor ${drm[1]?.replace(/\D+/, '')}`,
    `unique_id ${uniqueId}`,
  ]);
  const uuid = `GPU-${uniqueId.toString(16)}`;
  return { index, uuid, model: 'AMD Instinct MI300X', pciAddress, memoryBytes, nodes: drm, parts: [] };
}

function topologyNode(tree: FakeTree, node: number, gpuId: number, name: string, properties: readonly string[]): void {
  const base = `sys/devices/virtual/kfd/kfd/topology/nodes/${node}`;
  tree.write(`${base}/gpu_id`, `${gpuId}\n`);
  tree.write(`${base}/name`, `${name}\n`);
  tree.write(`${base}/properties`, `${properties.join('\n')}\n`);
  if (node === 0) tree.link('sys/class/kfd/kfd', '/sys/devices/virtual/kfd/kfd');
}
