/** Extended attributes of an open file, or of a path whose last part is never followed. Values are bytes. */
import { encodeCString } from '../base/byte-name.ts';
import { bind, checked, isErrno } from './ffi.ts';

const native = {
  fgetxattr: bind('fgetxattr', 'long', ['int', 'void *', 'void *', 'size_t']),
  flistxattr: bind('flistxattr', 'long', ['int', 'void *', 'size_t']),
  fsetxattr: bind('fsetxattr', 'int', ['int', 'void *', 'void *', 'size_t', 'int']),
  lsetxattr: bind('lsetxattr', 'int', ['void *', 'void *', 'void *', 'size_t', 'int']),
  lgetxattr: bind('lgetxattr', 'long', ['void *', 'void *', 'void *', 'size_t']),
  llistxattr: bind('llistxattr', 'long', ['void *', 'void *', 'size_t']),
  fremovexattr: bind('fremovexattr', 'int', ['int', 'void *']),
  lremovexattr: bind('lremovexattr', 'int', ['void *', 'void *']),
};

/** The kernel's own limit for a value and for a list of names. */
const MAXIMUM_BYTES = 65_536;
const scratch = Buffer.alloc(MAXIMUM_BYTES);

export function setAttribute(file: number, name: string, value: Uint8Array): void {
  checked(native.fsetxattr(file, encodeCString(name), value, value.length, 0), 'fsetxattr', name);
}

export function setAttributeOfPath(path: string | Uint8Array, name: string, value: Uint8Array): void {
  checked(native.lsetxattr(cPath(path), encodeCString(name), value, value.length, 0), 'lsetxattr', name);
}

export function removeAttribute(file: number, name: string): void {
  checked(native.fremovexattr(file, encodeCString(name)), 'fremovexattr', name);
}

export function removeAttributeOfPath(path: string | Uint8Array, name: string): void {
  checked(native.lremovexattr(cPath(path), encodeCString(name)), 'lremovexattr', name);
}

/** Names of all attributes of an open file. */
export function listAttributes(file: number): readonly string[] {
  return namesOf(() => checked(native.flistxattr(file, scratch, scratch.length), 'flistxattr', `fd ${file}`));
}

/** Null when there is none, or when the file system has no attributes. */
export function getAttributeOfPath(path: string | Uint8Array, name: string): Buffer | null {
  try {
    const length = checked(native.lgetxattr(cPath(path), encodeCString(name), scratch, scratch.length), 'lgetxattr', name);
    return Buffer.from(scratch.subarray(0, length));
  } catch (error) {
    if (isErrno(error, 'ENODATA', 'EOPNOTSUPP')) return null;
    throw error;
  }
}

export function listAttributesOfPath(path: string | Uint8Array): readonly string[] {
  return namesOf(() => checked(native.llistxattr(cPath(path), scratch, scratch.length), 'llistxattr', String(path)));
}

/** All attributes of an open file that `keep` wants. */
export function readAttributes(file: number, keep: (name: string) => boolean): ReadonlyMap<string, Buffer> {
  return valuesOf(listAttributes(file).filter(keep), (name) =>
    checked(native.fgetxattr(file, encodeCString(name), scratch, scratch.length), 'fgetxattr', name),
  );
}

/** The same of a path whose last part is not followed: for symbolic links and devices, which are not opened. */
export function readAttributesOfPath(path: string | Uint8Array, keep: (name: string) => boolean): ReadonlyMap<string, Buffer> {
  const names = listAttributesOfPath(path).filter(keep);
  return valuesOf(names, (name) => checked(native.lgetxattr(cPath(path), encodeCString(name), scratch, scratch.length), 'lgetxattr', name));
}

function namesOf(list: () => number): readonly string[] {
  try {
    const length = list();
    if (length === 0) return [];
    return scratch
      .toString('utf8', 0, length)
      .split('\0')
      .filter((name) => name !== '');
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP')) return [];
    throw error;
  }
}

function valuesOf(names: readonly string[], read: (name: string) => number): ReadonlyMap<string, Buffer> {
  const values = new Map<string, Buffer>();
  for (const name of names) {
    try {
      const length = read(name);
      values.set(name, Buffer.from(scratch.subarray(0, length)));
    } catch (error) {
      // Taken away since the list was read, or known to the list only.
      if (!isErrno(error, 'ENODATA', 'EOPNOTSUPP')) throw error;
    }
  }
  return values;
}

function cPath(path: string | Uint8Array): Uint8Array {
  return typeof path === 'string' ? encodeCString(path) : Buffer.concat([path, Buffer.of(0)]);
}
