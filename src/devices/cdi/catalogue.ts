/**
 * Everything that can be named: descriptions in files over those that discovery makes. Where a name is described more than once, the higher priority wins; twice within
 * one priority, nobody can say which is meant, and the name cannot be used.
 *
 *     /etc/cdi/a.json      priority 0 ┐
 *     /etc/cdi/b.yaml      priority 0 ├─▶ name ─▶ description, device      names ─▶ edits, in the order asked,
 *     /var/run/cdi/c.json  priority 1 │                                             a description's own once, first
 *     discovered           below all  ┘
 */
import { invalid } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import type { DeviceProblem } from '../devices.ts';
import type { CdiDevice, CdiEdits, CdiSpec } from './cdi-spec.ts';
import type { SpecFiles } from './spec-directories.ts';

export interface DescribedDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  /** Null: discovered. */
  readonly file: string | null;
  readonly spec: CdiSpec;
  readonly device: CdiDevice;
  /** Why it cannot be used: a sentence; null: it can. */
  readonly problem: string | null;
}

/** A part of a description, with where it stands for messages. */
export interface SourcedEdits {
  /** Null: discovered. */
  readonly file: string | null;
  readonly kind: string;
  readonly edits: CdiEdits;
}

export interface Catalogue {
  /** By qualified name, in the order of their names. */
  readonly devices: ReadonlyMap<string, DescribedDevice>;
  /** Of files, and of names that are described twice. */
  readonly problems: readonly DeviceProblem[];
  readonly directories: readonly string[];
}

export function catalogueOf(directories: readonly string[], { files, problems }: SpecFiles, discovered: readonly CdiSpec[]): Catalogue {
  const found = new Map<string, { readonly priority: number; readonly rivals: DescribedDevice[] }>();
  const sources = [...discovered.map((spec) => ({ spec, file: null, priority: -1 })), ...files];
  for (const { spec, file, priority } of sources) {
    for (const device of spec.devices) {
      const name = `${spec.kind}=${device.name}`;
      const described = { name, file, spec, device, problem: null };
      const before = found.get(name);
      if (before === undefined || before.priority < priority) found.set(name, { priority, rivals: [described] });
      else if (before.priority === priority) before.rivals.push(described);
    }
  }
  const devices = [...found.values()].map(({ rivals }) => oneOf(rivals)).sort((a, b) => compareNames(a.name, b.name));
  const conflicts = devices.flatMap(({ file, problem }) => (problem === null ? [] : [{ source: file ?? 'discovery', text: problem }]));
  return { devices: new Map(devices.map((device) => [device.name, device])), problems: [...problems, ...conflicts], directories };
}

function oneOf(rivals: readonly DescribedDevice[]): DescribedDevice {
  const [first, ...others] = rivals as readonly [DescribedDevice, ...DescribedDevice[]];
  if (others.length === 0) return first;
  const files = rivals.map(({ file }) => file ?? 'discovery');
  return { ...first, problem: `${first.name} is described by ${files.join(' and ')}: leave it in one of them` };
}

/** `gpu=2` before `gpu=10`, without regard to the language of the machine. */
function compareNames(a: string, b: string): number {
  const [left, right] = [a, b].map((name) => name.replace(/\d{1,15}/g, (digits) => digits.padStart(15, '0')));
  if (left === right) return a < b ? -1 : 1;
  return (left ?? '') < (right ?? '') ? -1 : 1;
}

/**
 * What whoever gets these devices gets: for each description its own edits, once and before those of its first device, then the devices' in the order asked; a name that is asked
 * twice counts once. Throws with Docker's words when one cannot be had.
 */
export function editsOf(catalogue: Catalogue, names: readonly string[]): readonly SourcedEdits[] {
  const asked = [...new Set(names)];
  const missing = asked.filter((name) => (catalogue.devices.get(name)?.problem ?? null) !== null || !catalogue.devices.has(name));
  if (missing.length > 0) throw unresolvable(catalogue, missing);
  const seen = new Set<CdiSpec>();
  return asked.flatMap((name) => {
    const described = catalogue.devices.get(name);
    if (described === undefined) return [];
    const { spec, file, device } = described;
    const isFirst = !seen.has(spec);
    seen.add(spec);
    const own = isFirst && spec.containerEdits !== undefined ? [{ file, kind: spec.kind, edits: spec.containerEdits }] : [];
    return [...own, { file, kind: spec.kind, edits: device.containerEdits }];
  });
}

/** A reason takes a look at every name there is. */
const mostReasons = 16;

function unresolvable(catalogue: Catalogue, names: readonly string[]): Error {
  const why = names
    .slice(0, mostReasons)
    .map((name) => whyNot(catalogue, name))
    .filter((text) => text !== '');
  return invalid(
    [`CDI device injection failed: unresolvable CDI devices ${names.join(', ')}`, ...why, ...whereLooked(catalogue)].join('; '),
  );
}

/** `did you mean …`, and what else tells somebody where the name went. */
export function whyNot({ devices }: Catalogue, name: string): string {
  const known = devices.get(name);
  if (known !== undefined) return known.problem ?? '';
  const kind = name.split('=', 1)[0] ?? '';
  const ofKind = [...devices.keys()].filter((other) => other.startsWith(`${kind}=`));
  const near = nearest(name, ofKind.length > 0 ? ofKind : devices.keys());
  if (near !== null) return `did you mean ${near}?`;
  return ofKind.length === 0 ? '' : `of ${kind} there is ${someOf(ofKind.map((other) => other.slice(kind.length + 1)))}`;
}

/** Where descriptions are looked for, and the first one that cannot be used. */
export function whereLooked({ devices, directories, problems }: Catalogue): readonly string[] {
  const [problem, ...others] = problems;
  const places =
    directories.length === 0 ? 'no directory of descriptions is configured' : `descriptions are read from ${directories.join(' and ')}`;
  const broken = problem === undefined ? [] : [others.length === 0 ? problem.text : `${problem.text} (and ${others.length} more problems)`];
  return [devices.size === 0 ? `${places}, where there is none that can be used` : places, ...broken];
}

function someOf(words: readonly string[]): string {
  return words.length > 8 ? `${words.slice(0, 8).join(', ')}, …` : words.join(', ');
}
