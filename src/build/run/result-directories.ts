/** Where the files of a result are on the host: its layers' directories, or the directory of a context. */
import { isAbsolute, join } from 'node:path';
import type { LayerStore } from '../../store/layer-store.ts';
import type { OperationResult } from '../result.ts';

/** Topmost first; none: scratch. */
export function directoriesOf(result: OperationResult, layers: Pick<LayerStore, 'mountOrder'>): readonly string[] {
  if (result.kind === 'files') return [result.directory];
  const { base, lowers } = layers.mountOrder(result.layers);
  return lowers.map((lower) => (isAbsolute(lower) ? lower : join(base, lower)));
}
