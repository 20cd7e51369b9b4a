/** Layers of an image as what devices look for in it: links are followed inside, and no more of a directory is read than was asked for. */
import { opendirSync } from 'node:fs';
import type { ImageFiles } from '../devices/nvidia/cuda-compat.ts';
import { hostPath, type LayerStack } from '../store/layer-stack.ts';

export function filesOfImage(stack: LayerStack): ImageFiles {
  return {
    file(path) {
      const found = stack.resolve(path);
      return found?.stats.isFile() === true ? (found.resolved.at(-1) ?? null) : null;
    },
    names: (path, most) => [...new Set((stack.resolve(path)?.merged ?? []).flatMap((part) => firstNames(part, most)))].slice(0, most),
  };
}

function firstNames(directory: string, most: number): readonly string[] {
  const names: string[] = [];
  using opened = opendirSync(hostPath(directory));
  for (let entry = opened.readSync(); entry !== null && names.length < most; entry = opened.readSync()) names.push(entry.name);
  return names;
}
