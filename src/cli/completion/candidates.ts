/**
 * What may stand where the cursor is: commands, flags of the command, or names of what it works on. Pure but for `names`, which asks the daemon.
 * An empty answer leaves the word to the shell (file names).
 */
import type { Command } from '../command.ts';
import { commandTable, groups } from '../command-table.ts';
import type { FlagSpecs } from '../flags/flag-spec.ts';
import { elsewhereIn } from '../help.ts';

/** What a command's arguments name. */
export type NameKind = 'container' | 'running' | 'image' | 'network' | 'volume' | 'device' | 'any';

/** By the first of a command's paths; the last kind goes for all further arguments. */
const ARGUMENTS: Readonly<Record<string, readonly (NameKind | null)[]>> = {
  'container run': ['image', null],
  'container create': ['image', null],
  'container start': ['container'],
  'container attach': ['running'],
  'container exec': ['running', null],
  'container logs': ['container'],
  'container inspect': ['container'],
  'container stop': ['running'],
  'container restart': ['container'],
  'container kill': ['running'],
  'container rm': ['container'],
  'container rename': ['container', null],
  'container wait': ['container'],
  'container pause': ['running'],
  'container unpause': ['running'],
  'container top': ['running', null],
  'container stats': ['running'],
  'container port': ['running', null],
  'container update': ['container'],
  'container diff': ['container'],
  'container export': ['container'],
  'container commit': ['container', null],
  'container cp': ['container'],
  debug: ['running', null],
  'image inspect': ['image'],
  'image rm': ['image'],
  'image history': ['image'],
  'image tag': ['image'],
  'image save': ['image'],
  'image push': ['image'],
  'image pull': ['image'],
  'image verify': ['image'],
  'image diff': ['image'],
  'image ls': ['image', null],
  'network inspect': ['network'],
  'network rm': ['network'],
  'network connect': ['network', 'container'],
  'network disconnect': ['network', 'container'],
  'volume inspect': ['volume'],
  'volume rm': ['volume'],
  'device inspect': ['device'],
  inspect: ['any'],
};

/** The words of `gantry registry`, which is run elsewhere (src/main/main.ts) and may not be loaded from here. */
export const registryCommands: readonly string[] = [
  'check',
  'copy',
  'export',
  'gc',
  'htpasswd',
  'import',
  'retention',
  'rotate-keys',
  'serve',
];

/** Flags whose values are names of the same kinds. */
const FLAG_VALUES: Readonly<Record<string, NameKind>> = {
  network: 'network',
  net: 'network',
  'volumes-from': 'container',
  image: 'image',
  device: 'device',
};

export type Names = (kind: NameKind) => Promise<readonly string[]>;

/** `words`: what stands after the program's name, the last one up to the cursor (perhaps empty). */
export async function candidates(words: readonly string[], globalFlags: FlagSpecs, names: Names): Promise<readonly string[]> {
  const found = await all(words, globalFlags, names);
  const last = words.at(-1) ?? '';
  return [...new Set(found)].filter((candidate) => candidate.startsWith(last)).sort();
}

async function all(words: readonly string[], globalFlags: FlagSpecs, names: Names): Promise<readonly string[]> {
  const last = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const start = skipFlags(before, globalFlags);
  const place = commandAt(before.slice(start));
  if (place === null) {
    if (last.startsWith('-')) return flagNames(globalFlags);
    return commandNames(before.slice(start));
  }
  const below = commandNames(before.slice(start));
  if (below.length > 0 && !last.startsWith('-')) return below;
  const command = await place.entry.load();
  const rest = before.slice(start + place.length);
  const { args, pending } = readArguments(rest, command);
  if (pending !== null) return FLAG_VALUES[pending] === undefined ? [] : names(FLAG_VALUES[pending]);
  if (last.startsWith('-') && (command.interspersed !== false || args === 0)) return flagNames(command.flags);
  const kinds = ARGUMENTS[place.entry.paths[0] ?? ''] ?? [];
  const kind = kinds[Math.min(args, kinds.length - 1)] ?? null;
  return kind === null ? [] : names(kind);
}

function commandAt(words: readonly string[]) {
  for (const length of [3, 2, 1]) {
    const path = words.slice(0, length).join(' ');
    const entry = words.length >= length ? commandTable.find((candidate) => candidate.paths.includes(path)) : undefined;
    if (entry !== undefined) return { entry, length };
  }
  return null;
}

/** What may follow these words as part of a command's name. */
function commandNames(words: readonly string[]): readonly string[] {
  const paths = commandTable.flatMap((entry) => entry.paths);
  if (words.length === 0) return [...paths.filter((path) => !path.includes(' ')), ...Object.keys(groups), 'daemon', 'help', 'registry'];
  if (words[0] === 'registry') return registryCommands;
  const start = `${words.join(' ')} `;
  const here = paths.filter((path) => path.startsWith(start)).map((path) => path.slice(start.length).split(' ')[0] ?? '');
  return [...here, ...(elsewhereIn[words.join(' ')] ?? []).map(([name]) => name)];
}

function flagNames(flags: FlagSpecs): readonly string[] {
  return [...flags.filter(({ hidden }) => !hidden).map(({ name }) => `--${name}`), '--help'];
}

/** How many words belong to flags in front of the command. */
function skipFlags(words: readonly string[], flags: FlagSpecs): number {
  let at = 0;
  while (words[at]?.startsWith('-')) at += takesNext(words[at] ?? '', flags) === null ? 1 : 2;
  return Math.min(at, words.length);
}

/** How many arguments stand there, and the flag whose value comes next. */
function readArguments(words: readonly string[], command: Command): { readonly args: number; readonly pending: string | null } {
  let args = 0;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || (command.interspersed === false && args > 0)) {
      args += 1;
      continue;
    }
    const flag = takesNext(word, command.flags);
    if (flag === null) continue;
    at += 1;
    if (at >= words.length) return { args, pending: flag };
  }
  return { args, pending: null };
}

/** The flag that this word leaves without its value; null: it has it, or needs none. */
function takesNext(word: string, flags: FlagSpecs): string | null {
  if (word.includes('=')) return null;
  const spec = word.startsWith('--')
    ? flags.find(({ name }) => name === word.slice(2))
    : flags.find(({ short }) => short !== '' && short === word.at(-1));
  return spec === undefined || spec.type === 'bool' ? null : spec.name;
}
