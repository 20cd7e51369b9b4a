/** Trees by their layers: their identity is that of the content, so equal stacks are one tree, however they came to be. */
import { chainIds } from '../oci/digest.ts';
import type { LayerRef } from '../store/layer-store.ts';
import type { Tree } from './result.ts';

export const scratchTree: Tree = { kind: 'tree', layers: [], identity: '' };

/** Bottom first. */
export function treeOf(layers: readonly LayerRef[]): Tree {
  return { kind: 'tree', layers, identity: chainIds(layers.map(({ diffId }) => diffId)).at(-1) ?? '' };
}

export function withLayer(below: Tree, layer: LayerRef): Tree {
  return treeOf([...below.layers, layer]);
}
