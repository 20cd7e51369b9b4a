/**
 * Names of devices as the Container Device Interface writes them (SPEC.md, "Device naming"): `vendor.com/class=name`. The kind is the part before `=`.
 *
 * Whoever reads a command line asks here whether a `--device` is such a name or a file of `/dev`; whoever reads descriptions, whether their names may be.
 */

export interface DeviceName {
  readonly vendor: string;
  readonly class: string;
  readonly name: string;
}

/** Null: it is no qualified name (a path, say). */
export function parseDeviceName(text: string): DeviceName | null {
  const [, vendor = '', ofClass = '', name = ''] = /^([^/=]+)\/([^=]+)=(.+)$/s.exec(text) ?? [];
  return isKindPart(vendor) && isKindPart(ofClass) && isNameInKind(name) ? { vendor, class: ofClass, name } : null;
}

export function isDeviceName(text: string): boolean {
  return parseDeviceName(text) !== null;
}

/** What a vendor and a class may be called: letters, digits, `_`, `-` and `.`, a letter first, a letter or digit last. */
export function isKindPart(text: string): boolean {
  return /^[A-Za-z](?:[\w.-]*[A-Za-z\d])?$/.test(text);
}

/** What a device of a kind may be called: as above and `:`, and a digit may be first. */
export function isNameInKind(text: string): boolean {
  return /^[A-Za-z\d](?:[\w.:-]*[A-Za-z\d])?$/.test(text);
}
