/** `gantry registry …`: which subcommand, and its run. Loaded when asked for (src/main/main.ts): the command line carries none of the server. */
import { EngineError, errorText } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import { exitNow } from '../../linux/exit-now.ts';
import { parseRegistryFlags, registryFlagHelp } from './registry-flags.ts';
import type { RegistrySubcommand } from './registry-subcommand.ts';

const subcommands: Readonly<Record<string, () => Promise<RegistrySubcommand>>> = {
  serve: async () => (await import('./serve-command.ts')).serveCommand,
  gc: async () => (await import('./work-commands.ts')).gcCommand,
  check: async () => (await import('./work-commands.ts')).checkCommand,
  retention: async () => (await import('./work-commands.ts')).retentionCommand,
  'rotate-keys': async () => (await import('./work-commands.ts')).rotateKeysCommand,
  copy: async () => (await import('../registry-copy/copy-command.ts')).copyCommand,
  export: async () => (await import('../registry-copy/copy-command.ts')).exportCommand,
  import: async () => (await import('../registry-copy/copy-command.ts')).importCommand,
  htpasswd: async () => (await import('./htpasswd-command.ts')).htpasswdCommand,
};

export async function runRegistryCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    (name === undefined ? process.stderr : process.stdout).write(await groupHelp());
    return 0;
  }
  const load = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (load === undefined) return unknownCommand(name);
  try {
    const command = await load();
    const title = `gantry registry ${name}`;
    const flags = parseRegistryFlags(rest, command.flags, title, command.maxArgs);
    if (flags !== null) return await command.run(flags, environment);
    process.stdout.write(registryFlagHelp(`${title} ${command.usage}`.trim(), command.summary, command.flags, command.more));
    return 0;
  } catch (error) {
    const isKnown = error instanceof EngineError;
    process.stderr.write(
      `gantry registry ${name}: ${isKnown || !(error instanceof Error) ? errorText(error) : (error.stack ?? error.message)}\n`,
    );
    return 1;
  } finally {
    // Whatever still holds the event loop after everything was closed must not hold the process.
    process.once('exit', (code) => exitNow(code));
    setTimeout(() => process.exit(), 2000).unref();
  }
}

async function groupHelp(): Promise<string> {
  const known = await Promise.all(Object.values(subcommands).map((load) => load()));
  const rows = known.map(({ name, summary }) => [name, summary] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  const lines = rows.map(([name, summary]) => `  ${name.padEnd(width)}${summary}\n`);
  return `Usage:  gantry registry COMMAND\n\nRun a registry, or work on one\n\nCommands:\n${lines.join('')}\nRun 'gantry registry COMMAND --help' for more information on a command.\n`;
}

function unknownCommand(name: string): number {
  const near = nearest(name, Object.keys(subcommands));
  const hint = near === null ? '' : `. Did you mean \`gantry registry ${near}\`?`;
  process.stderr.write(`gantry: unknown command: gantry registry ${name}${hint}\n\nRun 'gantry registry --help' for more information\n`);
  return 1;
}
