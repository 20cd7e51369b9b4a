/** Where an entry of a layer goes, and what its name means: Docker's whiteouts (OCI image spec, layer.md) are names of their own. */
import { printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { componentsOf } from './layer-stack.ts';

export type EntryPlace =
  | { readonly kind: 'root' }
  | { readonly kind: 'entry'; readonly parent: readonly string[]; readonly name: string }
  /** `.wh.NAME`: NAME of the layers below is gone. */
  | { readonly kind: 'whiteout'; readonly parent: readonly string[]; readonly name: string }
  /** `.wh..wh..opq`: all that layers below have in the directory is gone. */
  | { readonly kind: 'opaque'; readonly parent: readonly string[] }
  /** Other `.wh..wh.` names are bookkeeping of AUFS. */
  | { readonly kind: 'ignored' };

const WHITEOUT = '.wh.';
const META = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

export function placeOf(path: string): EntryPlace {
  const components = normalise(path);
  const name = components.pop();
  if (name === undefined) return { kind: 'root' };
  if (components.some((component) => component.startsWith(META))) return { kind: 'ignored' };
  if (components.some((component) => component.startsWith(WHITEOUT))) {
    throw invalid(`the layer has an entry below a whiteout, which means nothing: ${printableName(path)}`);
  }
  if (name === OPAQUE) return { kind: 'opaque', parent: components };
  if (name.startsWith(META)) return { kind: 'ignored' };
  if (!name.startsWith(WHITEOUT)) return { kind: 'entry', parent: components, name };
  const hidden = name.slice(WHITEOUT.length);
  if (hidden === '' || hidden === '.' || hidden === '..') throw invalid(`the layer has a whiteout of nothing: ${printableName(path)}`);
  return { kind: 'whiteout', parent: components, name: hidden };
}

/** Absolute paths start at the layer's root; `..` is taken back by its text, as Docker does, and refused where it leads out. */
function normalise(path: string): string[] {
  const result: string[] = [];
  for (const name of componentsOf(path)) {
    if (name !== '..') result.push(name);
    else if (result.pop() === undefined) throw invalid(`the layer has an entry that leads out of it: ${printableName(path)}`);
  }
  return result;
}
