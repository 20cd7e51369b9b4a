/** Which extended attributes are part of a layer: those of files' own (capabilities, `user.*`), none that speak to the kernel or to overlay. */
import { EngineError } from '../../base/errors.ts';
import {
  getAttributeOfPath,
  listAttributes,
  listAttributesOfPath,
  readAttributes,
  readAttributesOfPath,
  removeAttribute,
  removeAttributeOfPath,
} from '../../linux/extended-attributes.ts';

export type ExtendedAttributes = ReadonlyMap<string, Uint8Array>;

export const OPAQUE_ATTRIBUTE = 'trusted.overlay.opaque';

const none: ReadonlyMap<string, Buffer> = new Map();

export function isKeptAttribute(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}

/** Of what a container wrote: what is no part of the layer is taken away. `opaque`: the directory says that nothing below it shows; that stays, for the caller to judge. */
export function reduceAttributes(file: number): { readonly kept: ReadonlyMap<string, Buffer>; readonly opaque: boolean } {
  const names = listAttributes(file);
  if (names.length === 0) return { kept: none, opaque: false };
  const all = readAttributes(file, (name) => isKeptAttribute(name) || name === OPAQUE_ATTRIBUTE);
  for (const name of names) if (!all.has(name) && !isOfTheHost(name)) removeAttribute(file, name);
  const opaque = all.get(OPAQUE_ATTRIBUTE)?.toString() === 'y';
  if (all.has(OPAQUE_ATTRIBUTE) && !opaque) removeAttribute(file, OPAQUE_ATTRIBUTE);
  return { kept: new Map([...all].filter(([name]) => isKeptAttribute(name))), opaque };
}

/** The same by path, for what can't be opened. */
export function reduceAttributesOfPath(path: string | Buffer): ReadonlyMap<string, Buffer> {
  const names = listAttributesOfPath(path);
  if (names.length === 0) return none;
  for (const name of names) if (!isKeptAttribute(name) && !isOfTheHost(name)) removeAttributeOfPath(path, name);
  return readAttributesOfPath(path, isKeptAttribute);
}

export function keptAttributesOfPath(path: string | Buffer): ReadonlyMap<string, Buffer> {
  const names = listAttributesOfPath(path).filter(isKeptAttribute);
  if (names.length === 0) return none;
  return new Map(names.map((name) => [name, getAttributeOfPath(path, name) ?? vanished(name)]));
}

export function areSameAttributes(one: ExtendedAttributes, other: ExtendedAttributes): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([name, value]) => {
    const there = other.get(name);
    return there !== undefined && Buffer.compare(value, there) === 0;
  });
}

/** Labels that the host's policy gives every file. */
function isOfTheHost(name: string): boolean {
  return name === 'security.selinux' || name === 'security.ima' || name === 'security.evm';
}

function vanished(name: string): never {
  throw new EngineError('system', `the attribute ${name} vanished while it was read`);
}
