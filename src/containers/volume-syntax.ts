/** The text of `-v`: `[SOURCE:]DESTINATION[:MODE]`, as Docker's linux parser reads it. Pure. */
import { invalid } from '../base/errors.ts';

export interface VolumeText {
  /** A host path or a volume's name; empty for an anonymous volume. */
  readonly source: string;
  readonly destination: string;
  readonly mode: string;
  readonly readOnly: boolean;
  readonly propagation: string;
}

/** Options of one group exclude each other. */
const modeGroups: readonly ReadonlySet<string>[] = [
  new Set(['rw', 'ro']),
  new Set(['z', 'Z']),
  new Set(['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared']),
  new Set(['nocopy']),
  new Set(['consistent', 'cached', 'delegated']),
];

export function parseVolume(raw: string): VolumeText {
  const parts = raw.split(':');
  const [first = '', second, mode = ''] = parts;
  if (first === '' || parts.length > 3) throw invalidSpecification(raw);
  if (second === undefined) return { source: '', destination: first, mode: '', readOnly: false, propagation: '' };
  // `/path:ro` would be an anonymous volume with a mode, which Docker has not.
  if (parts.length === 2 && isMode(second)) throw invalidSpecification(raw);
  if (second === '') throw invalidSpecification(raw);
  if (!isMode(mode)) throw invalid(`invalid mode: ${mode}`);
  const options = mode.split(',');
  const propagation = options.find((option) => modeGroups[2]?.has(option)) ?? '';
  return { source: first, destination: second, mode, readOnly: options.includes('ro'), propagation };
}

function isMode(text: string): boolean {
  if (text === '') return true;
  const groups = text.split(',').map((option) => modeGroups.findIndex((group) => group.has(option)));
  return !groups.includes(-1) && new Set(groups).size === groups.length;
}

function invalidSpecification(raw: string): Error {
  return invalid(`invalid volume specification: '${raw}'`);
}
