/** Intel's drivers (i915, xe): DRM nodes only. */
import type { FakeGpu } from './options.ts';
import type { FakeTree } from './tree.ts';

export function fakeIntel(tree: FakeTree, count: number): { readonly gpus: readonly FakeGpu[] } {
  return {
    gpus: Array.from({ length: count }, (_, index) => {
      const pciAddress = `0000:${(0x40 + index).toString(16)}:00.0`;
      tree.pci(pciAddress, '0x8086', '0x56c0', 'xe');
      return { index, uuid: null, model: 'Intel 0x56c0', pciAddress, memoryBytes: 0, nodes: tree.drm(pciAddress), parts: [] };
    }),
  };
}
