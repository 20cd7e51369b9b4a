/** Commands of `gantry` that need no daemon, in groups (`gantry registry …`, `gantry device …`): what one is, which of a group is meant, and its run. */
import { EngineError, errorText } from '../base/errors.ts';
import { nearest } from '../base/near-miss.ts';
import { exitNow } from '../linux/exit-now.ts';
import { parseToolFlags, type ToolFlag, type ToolFlags, toolFlagHelp } from './tool-flags.ts';

export interface ToolCommand {
  readonly name: string;
  readonly summary: string;
  /** After the name. */
  readonly usage: string;
  readonly flags: readonly ToolFlag[];
  readonly maxArgs?: number;
  /** Below the options, in its help. */
  readonly more?: string;
  /** The exit code. What a person can cause is thrown as an `EngineError`. */
  run(flags: ToolFlags, environment: NodeJS.ProcessEnv): Promise<number>;
}

export interface ToolGroup {
  /** `gantry registry` */
  readonly title: string;
  readonly summary: string;
  /** Loaded when asked for: the command line carries none of them. */
  readonly commands: Readonly<Record<string, () => Promise<ToolCommand>>>;
}

export async function runTool(group: ToolGroup, argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { title, commands } = group;
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    (name === undefined ? process.stderr : process.stdout).write(await groupHelp(group));
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) return unknownCommand(group, name);
  try {
    return await runCommand(await load(), `${title} ${name}`, rest, environment);
  } catch (error) {
    const isKnown = error instanceof EngineError;
    process.stderr.write(`${title} ${name}: ${isKnown || !(error instanceof Error) ? errorText(error) : (error.stack ?? error.message)}\n`);
    return 1;
  } finally {
    // Whatever still holds the event loop after everything was closed must not hold the process.
    process.once('exit', (code) => exitNow(code));
    setTimeout(() => process.exit(), 2000).unref();
  }
}

async function runCommand(command: ToolCommand, title: string, argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const flags = parseToolFlags(argv, command.flags, title, command.maxArgs);
  if (flags !== null) return await command.run(flags, environment);
  process.stdout.write(toolFlagHelp(`${title} ${command.usage}`.trim(), command.summary, command.flags, command.more));
  return 0;
}

async function groupHelp({ title, summary, commands }: ToolGroup): Promise<string> {
  const known = await Promise.all(Object.values(commands).map((load) => load()));
  const rows = known.map((command) => [command.name, command.summary] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  const lines = rows.map(([name, text]) => `  ${name.padEnd(width)}${text}\n`);
  return `Usage:  ${title} COMMAND\n\n${summary}\n\nCommands:\n${lines.join('')}\nRun '${title} COMMAND --help' for more information on a command.\n`;
}

function unknownCommand({ title, commands }: ToolGroup, name: string): number {
  const near = nearest(name, Object.keys(commands));
  const hint = near === null ? '' : `. Did you mean \`${title} ${near}\`?`;
  process.stderr.write(`gantry: unknown command: ${title} ${name}${hint}\n\nRun '${title} --help' for more information\n`);
  return 1;
}
