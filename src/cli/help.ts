/** The text of `--help`. */
import type { Command } from './command.ts';
import { type CommandEntry, commandTable, groups } from './command-table.ts';
import type { FlagSpec, FlagSpecs } from './flags/flag-spec.ts';

const WIDTH = 100;

export function commandHelp(command: Command, entry: CommandEntry, title: string): string {
  const aliases = entry.paths.length > 1 ? `\nAliases:\n  ${entry.paths.map((path) => `gantry ${path}`).join(', ')}\n` : '';
  const groups = command.flagGroups ?? [{ title: 'Options', flags: command.flags }];
  const options = groups.map((group) => {
    const visible = group.flags.filter((flag) => !flag.hidden);
    return visible.length > 0 ? `\n${group.title}:\n${optionLines(visible)}` : '';
  });
  const examples = command.examples === undefined ? '' : `\nExamples:\n${command.examples}`;
  return `Usage:  ${`${title} ${command.usage}`.trim()}\n\n${entry.summary}\n${aliases}${options.join('')}${examples}`;
}

export function groupHelp(group: string): string {
  const lines = commandTable.flatMap(({ paths, summary }) => {
    const path = paths.find((each) => each.startsWith(`${group} `));
    return path === undefined ? [] : [[path.slice(group.length + 1), summary] as const];
  });
  lines.push(...(elsewhereIn[group] ?? []));
  lines.sort(([a], [b]) => (a < b ? -1 : 1));
  return `Usage:  gantry ${group} COMMAND\n\n${groups[group]}\n\nCommands:\n${columns(lines)}\nRun 'gantry ${group} COMMAND --help' for more information on a command.\n`;
}

/** Commands that this program does not run itself: the daemon is another one, and the script `gantry` installs. */
const elsewhere = [
  ['daemon', 'Run the daemon in the foreground'],
  ['registry', 'Run a registry, or work on one: serve, gc, check, …'],
  ['install', 'Run the daemon at every boot, by systemd, and put gantry in the PATH'],
  ['uninstall', 'Take back what install did'],
] as const;

/** The same of groups (src/main/main.ts): they look at this machine and ask no daemon. */
export const elsewhereIn: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  device: [
    ['generate', 'Describe the GPUs of this machine for other engines, as CDI has it (beyond Docker)'],
    ['hook', 'Do in a container of another engine what a description asks for (beyond Docker)'],
  ],
};

export function topHelp(globalFlags: FlagSpecs): string {
  const top = commandTable.flatMap((entry) => {
    const path = entry.paths.find((candidate) => !candidate.includes(' '));
    return path === undefined ? [] : [[path, entry.summary] as const];
  });
  const sorted = [...top, ...elsewhere].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    'Usage:  gantry [OPTIONS] COMMAND\n\nBuild, run and ship containers\n',
    `Management Commands:\n${columns(Object.entries(groups))}`,
    `Commands:\n${columns(sorted)}`,
    `Global Options:\n${optionLines(globalFlags.filter((flag) => !flag.hidden))}`,
    "Run 'gantry COMMAND --help' for more information on a command.\n",
  ].join('\n');
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length), 9) + 3;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${text}\n`).join('');
}

function optionLines(flags: FlagSpecs): string {
  const titles = flags.map(optionTitle);
  const width = Math.max(...titles.map((title) => title.length)) + 3;
  return flags.map((flag, at) => `${(titles[at] ?? '').padEnd(width)}${wrap(flag.help, width)}\n`).join('');
}

function optionTitle(flag: FlagSpec): string {
  return `  ${flag.short === '' ? '    ' : `-${flag.short}, `}--${flag.name}${flag.type === 'bool' ? '' : ` ${flag.type}`}`;
}

function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - indent) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}
