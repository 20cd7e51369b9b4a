/**
 * A description of devices, from the text of a file to a checked `CdiSpec`. What is checked is what SPEC.md and its library check, and what would otherwise only be found
 * out by a container that does not start: paths that are not absolute or climb, hooks without a program.
 */
import { invalid } from '../../base/errors.ts';
import { isKindPart, isNameInKind } from '../../oci/device-name.ts';
import type { CdiDevice, CdiSpec } from './cdi-spec.ts';
import { type CdiVersion, cdiVersionsText, knownCdiVersion, newestCdiVersion } from './cdi-version.ts';
import { below, Fields, type Place, problemAt, shortened } from './fields.ts';
import { parseAnnotations } from './parse-annotations.ts';
import { parseEdits } from './parse-edits.ts';
import { readDocument } from './read-document.ts';

/** Descriptions of large machines have some hundred KiB. */
export const maximumSpecBytes = 4 * 1024 * 1024;

/** `file` is for messages. Throws an `invalid` that names file and field. */
export async function parseCdiSpec(text: string, file: string): Promise<CdiSpec> {
  if (text.length > maximumSpecBytes) throw invalid(tooLarge(file));
  return checkCdiSpec(await readDocument(text, file), file);
}

export function tooLarge(file: string): string {
  return `${file}: it is larger than ${maximumSpecBytes / 1024 / 1024} MiB: that is no description of devices, or one that has to be divided`;
}

/** Of a value that was read already. */
export function checkCdiSpec(value: unknown, file: string): CdiSpec {
  const place: Place = { file, path: '' };
  const known = ['cdiVersion', 'kind', 'annotations', 'devices', 'containerEdits'];
  const version = versionOf(new Fields(value, place, known, null));
  const fields = new Fields(value, place, known, version);
  const kind = kindOf(fields);
  const annotations = parseAnnotations(fields);
  const edits = fields.raw('containerEdits');
  return {
    cdiVersion: version,
    kind,
    ...(annotations === undefined ? {} : { annotations }),
    devices: devicesOf(fields, version),
    ...(edits === undefined ? {} : { containerEdits: parseEdits(edits, fields.at('containerEdits'), version) }),
  };
}

function versionOf(fields: Fields): CdiVersion {
  const text = fields.required('cdiVersion', `a description says which version of CDI it is written in, ${cdiVersionsText()}`);
  const version = knownCdiVersion(text);
  if (version !== null) return version;
  throw fields.problem(
    'cdiVersion',
    `${JSON.stringify(shortened(text))} is no version that can be read: versions are ${cdiVersionsText()}; a newer description can say ${newestCdiVersion} when it uses nothing newer`,
  );
}

function kindOf(fields: Fields): string {
  const kind = fields.required('kind', 'the kind of the devices, as vendor.com/class');
  const slash = kind.indexOf('/');
  const [vendor, ofClass] = [kind.slice(0, slash), kind.slice(slash + 1)];
  if (slash < 1 || ofClass === '') throw fields.problem('kind', `${JSON.stringify(shortened(kind))} must be vendor.com/class`);
  for (const [what, part] of [
    ['vendor', vendor],
    ['class', ofClass],
  ] as const) {
    if (!isKindPart(part))
      throw fields.problem(
        'kind',
        `the ${what} ${JSON.stringify(shortened(part))} may have letters, digits, "_", "-" and ".", starts with a letter and ends with a letter or digit`,
      );
  }
  if (ofClass.includes('.')) fields.needs('kind', '0.6.0');
  return kind;
}

function devicesOf(fields: Fields, version: CdiVersion): readonly CdiDevice[] {
  const devices = fields.list('devices', (value, place) => deviceOf(value, place, version)) ?? [];
  if (devices.length === 0) throw fields.problem('devices', 'is missing: a description has at least one device');
  const first = new Map<string, number>();
  for (const [index, { name }] of devices.entries()) {
    const other = first.get(name);
    if (other !== undefined)
      throw problemAt(
        below(below(fields.at('devices'), index), 'name'),
        `${JSON.stringify(name)} is devices[${other}] too: give each its own name`,
      );
    first.set(name, index);
  }
  return devices;
}

function deviceOf(value: unknown, place: Place, version: CdiVersion): CdiDevice {
  const fields = new Fields(value, place, ['name', 'annotations', 'containerEdits'], version);
  const name = fields.required('name', 'a device is asked for by its name');
  if (!isNameInKind(name))
    throw fields.problem(
      'name',
      `${JSON.stringify(shortened(name))} may have letters, digits, "_", "-", "." and ":", starts and ends with a letter or digit`,
    );
  if (/^\d/.test(name)) fields.needs('name', '0.5.0');
  const annotations = parseAnnotations(fields);
  const containerEdits = parseEdits(fields.raw('containerEdits') ?? {}, fields.at('containerEdits'), version);
  if (Object.keys(containerEdits).length === 0)
    throw fields.problem('containerEdits', 'is missing or empty: say what a container gets, such as deviceNodes, mounts or env');
  return { name, ...(annotations === undefined ? {} : { annotations }), containerEdits };
}
