/** AMD's GPUs as the kernel's compute part (KFD) lists them, beside the processors: /sys/class/kfd/kfd/topology/nodes/N. */
import type { HostTree } from '../host-tree.ts';

export interface KfdGpu {
  /** Of its DRM node: 128 of /dev/dri/renderD128. */
  readonly renderMinor: number;
  /** `0000:83:00.0` */
  readonly pciAddress: string;
  /** As ROCm writes it, `GPU-4fd3d0e445b92000`; null: the GPU has none. */
  readonly uuid: string | null;
}

const topology = '/sys/class/kfd/kfd/topology/nodes';

/** In the order of ROCm's tools. */
export async function kfdGpus(devices: HostTree): Promise<readonly KfdGpu[]> {
  const nodes = (await devices.names(topology)).filter((name) => /^\d+$/.test(name)).sort((one, other) => Number(one) - Number(other));
  const texts = await Promise.all(nodes.map(async (node) => await devices.text(`${topology}/${node}/properties`)));
  return texts.flatMap((text) => (text === null ? [] : gpuOf(text)));
}

function gpuOf(text: string): readonly KfdGpu[] {
  const values = new Map(text.split('\n').map((line) => [line.split(' ')[0] ?? '', line.split(' ')[1] ?? '']));
  const number = (name: string): number => Number(values.get(name) ?? 0);
  // Processors have no such units, and no node of their own.
  if (number('simd_count') === 0 || number('drm_render_minor') === 0) return [];
  const uniqueId = /^\d+$/.test(values.get('unique_id') ?? '') ? BigInt(values.get('unique_id') ?? 0) : 0n;
  return [
    {
      renderMinor: number('drm_render_minor'),
      pciAddress: pciAddressOf(number('domain'), number('location_id')),
      uuid: uniqueId === 0n ? null : `GPU-${uniqueId.toString(16).padStart(16, '0')}`,
    },
  ];
}

function pciAddressOf(domain: number, location: number): string {
  const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0');
  return `${hex(domain, 4)}:${hex((location >> 8) & 0xff, 2)}:${hex((location >> 3) & 0x1f, 2)}.${location & 7}`;
}
