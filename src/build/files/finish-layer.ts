/** Around whatever makes a layer's directory: its tar beside it, its record in it, everything on the disk, ready to be taken by the stores. For worker threads. */
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { commitLayer } from '../../store/commit-layer.ts';
import { type LayerContent, LayerTar } from './layer-tar.ts';

/** Below a work's directory. */
export const tarName = 'layer.tar';
export const layerName = 'layer';

/** `make` fills or settles `upper`, which becomes `layer/fs`, and writes the tar. */
export function finishLayer(directory: string, upper: string, checkpoint: () => void, make: (tar: LayerTar) => void): LayerContent {
  const content = writeTar(join(directory, tarName), checkpoint, make);
  const layer = join(directory, layerName);
  mkdirSync(layer, { mode: 0o700 });
  renameSync(upper, join(layer, 'fs'));
  checkpoint();
  commitLayer(layer, content.record);
  return content;
}

function writeTar(path: string, checkpoint: () => void, make: (tar: LayerTar) => void): LayerContent {
  using tar = new LayerTar(path, checkpoint);
  make(tar);
  return tar.finish();
}
