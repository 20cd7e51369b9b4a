/** The text of `-v`: `[SOURCE:]DESTINATION[:MODE]`, as Docker's linux parser reads it, and that of `--volumes-from`. Pure. */
import { invalid } from '../base/errors.ts';

export interface VolumeText {
  /** A host path or a volume's name; empty for an anonymous volume. */
  readonly source: string;
  readonly destination: string;
  readonly mode: string;
  readonly readOnly: boolean;
  readonly propagation: string;
  readonly noCopy: boolean;
}

/** Options of one group exclude each other. */
const modeGroups = {
  access: new Set(['rw', 'ro']),
  label: new Set(['z', 'Z']),
  propagation: new Set(['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']),
  copy: new Set(['nocopy']),
  consistency: new Set(['consistent', 'cached', 'delegated']),
} as const satisfies Record<string, ReadonlySet<string>>;

export function parseVolume(raw: string): VolumeText {
  const parts = raw.split(':');
  const [first = '', second, mode = ''] = parts;
  if (first === '' || parts.length > 3) throw invalidSpecification(raw);
  if (second === undefined) return { source: '', destination: first, mode: '', readOnly: false, propagation: '', noCopy: false };
  // `/path:ro` would be an anonymous volume with a mode, which Docker has not.
  if (parts.length === 2 && isMode(second)) throw invalidSpecification(raw);
  if (second === '') throw invalidSpecification(raw);
  if (!isMode(mode)) throw invalid(`invalid mode: ${mode}`);
  const options = mode.split(',');
  const propagation = options.find((option) => modeGroups.propagation.has(option)) ?? '';
  return {
    source: first,
    destination: second,
    mode,
    readOnly: options.includes('ro'),
    propagation,
    noCopy: options.includes('nocopy'),
  };
}

export interface VolumesFromText {
  /** A container. */
  readonly reference: string;
  readonly readOnly: boolean;
}

/** `CONTAINER[:MODE]`. Propagation and copying are what they were made with. */
export function parseVolumesFrom(raw: string): VolumesFromText {
  if (raw === '') throw invalid('volumes-from specification cannot be an empty string');
  const colon = raw.indexOf(':');
  const [reference, mode] = colon === -1 ? [raw, 'rw'] : [raw.slice(0, colon), raw.slice(colon + 1)];
  const options = mode.split(',');
  const foreign = options.some((option) => modeGroups.propagation.has(option) || modeGroups.copy.has(option));
  if (!isMode(mode) || foreign) throw invalid(`invalid mode: ${mode}`);
  return { reference, readOnly: options.includes('ro') };
}

function isMode(text: string): boolean {
  if (text === '') return true;
  const groups = text.split(',').map((option) => Object.values(modeGroups).findIndex((group) => group.has(option)));
  return !groups.includes(-1) && new Set(groups).size === groups.length;
}

function invalidSpecification(raw: string): Error {
  return invalid(`invalid volume specification: '${raw}'`);
}
