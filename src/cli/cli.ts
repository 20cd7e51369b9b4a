/**
 * The command line: global flags, the command's name, its flags, its run, its errors. Gives the exit code; ends no process.
 * Commands are loaded one at a time (`command-table.ts`), because start-up time is what a person feels first.
 */

import { nearest } from '../base/near-miss.ts';
import { parseAddress, type TlsMaterial } from '../client/address.ts';
import { configDirectory, DockerConfig } from '../client/credentials/docker-config.ts';
import { GantryClient } from '../client/gantry-client.ts';
import { buildName, versionName } from './build-name.ts';
import { CliError, ExitWithCode, UsageError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import type { Command, CommandContext } from './command.ts';
import { type CommandEntry, commandTable, groups, missingCommands } from './command-table.ts';
import { chooseAddress } from './config/daemon-address.ts';
import { errorMessage } from './error-message.ts';
import { parseFlags } from './flags/flag-parser.ts';
import { defineFlags } from './flags/flag-spec.ts';
import type { FlagValues } from './flags/flag-values.ts';
import { OutputClosed, WatchedIo, writeText } from './output.ts';

const globalFlags = defineFlags(`
      --config string      Directory of the client's configuration (default: ~/.docker)
  -c, --context string     Name of the context to use
  -D, --debug              Show where an error comes from
  -H, --host list          Daemon socket to connect to: unix:///path/to/socket or tcp://HOST:PORT
  -l, --log-level string   Accepted for Docker's sake; this client logs nothing
      --tls                Use TLS; implied by --tlsverify
      --tlscacert string   Trust certs signed only by this CA (default: ca.pem of DOCKER_CERT_PATH or --config)
      --tlscert string     Path to TLS certificate file (default: cert.pem there)
      --tlskey string      Path to TLS key file (default: key.pem there)
      --tlsverify          Use TLS and verify the remote
  -v, --version            Print version information and quit
`);

const SIGPIPE_EXIT_CODE = 141;

export async function runCli(argv: readonly string[], processIo: CliIo): Promise<number> {
  const io = new WatchedIo(processIo);
  try {
    const code = await dispatch(argv, io);
    await io.flush();
    return code;
  } catch (error) {
    if (error instanceof OutputClosed) return SIGPIPE_EXIT_CODE;
    throw error;
  }
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<number> {
  let globals: ReturnType<typeof parseFlags>;
  try {
    globals = parseFlags(argv, globalFlags, false);
  } catch (error) {
    return report(error, io, { title: 'gantry', usage: '[OPTIONS] COMMAND', runLike: false });
  }
  const { flags, args, helpWanted } = globals;
  if (flags.bool('version')) return printVersion(io);
  const found = findCommand(args);
  if (found === null || helpWanted) return help(args, found, io);
  return runCommand(found, flags, io);
}

/** For the scripts of `completion` alone: in no list of commands. */
const complete: CommandEntry = {
  paths: ['__complete'],
  summary: 'Print the words that may follow',
  load: async () => (await import('./completion/complete.ts')).completeCommand(globalFlags),
};

interface Found {
  readonly entry: CommandEntry;
  readonly path: string;
  readonly rest: readonly string[];
}

function findCommand(args: readonly string[]): Found | null {
  if (args[0] === '__complete') return { entry: complete, path: '__complete', rest: args.slice(1) };
  for (const words of [3, 2, 1]) {
    const path = args.slice(0, words).join(' ');
    const entry = args.length >= words ? commandTable.find((candidate) => candidate.paths.includes(path)) : undefined;
    if (entry !== undefined) return { entry, path, rest: args.slice(words) };
  }
  return null;
}

async function runCommand({ entry, path, rest }: Found, globals: FlagValues, io: CliIo): Promise<number> {
  const title = `gantry ${path}`;
  const command = await entry.load();
  const place = { title, usage: command.usage, runLike: command.runLike ?? false };
  let context: Context | null = null;
  try {
    const { flags, args, helpWanted } = parseFlags(rest, command.flags, command.interspersed ?? true);
    if (helpWanted) {
      const { commandHelp } = await import('./help.ts');
      writeText(io.stdout, commandHelp(command, entry, title));
      return 0;
    }
    checkArguments(command, args, title);
    const config = new DockerConfig(globals.string('config') || configDirectory(io.env));
    const choice = { hosts: globals.list('host'), context: globals.string('context'), env: io.env, config };
    const address = await chooseAddress(choice);
    // Loaded only for TCP: nearly every command talks to a socket of this machine.
    const tls = address.startsWith('unix://') ? null : await (await import('./config/tls-material.ts')).chooseTls(choice, globals);
    context = new Context({ io, flags, args, title, config, address, tls });
    const code = (await command.run(context)) ?? 0;
    warnOfOtherBuild(context, io);
    return code;
  } catch (error) {
    if (globals.bool('debug') && error instanceof Error) writeText(io.stderr, `${error.stack}\n`);
    return report(error, io, place);
  } finally {
    context?.close();
  }
}

function checkArguments(command: Command, args: readonly string[], title: string): void {
  const { min, max } = command.args;
  const plural = (count: number): string => `${count} argument${count === 1 ? '' : 's'}`;
  if (args.length >= min && args.length <= max) return;
  const needs =
    max === 0
      ? 'accepts no arguments'
      : min === max
        ? `requires ${plural(min)}`
        : min > 0 && max < Number.POSITIVE_INFINITY
          ? `requires at least ${min} and at most ${plural(max)}`
          : args.length < min
            ? `requires at least ${plural(min)}`
            : `requires at most ${plural(max)}`;
  throw new UsageError(`'${title}' ${needs}`, 1, true);
}

class Context implements CommandContext {
  readonly io: CliIo;
  readonly flags: FlagValues;
  readonly args: readonly string[];
  readonly title: string;
  readonly config: DockerConfig;
  readonly address: string;
  readonly build: string;
  readonly #tls: TlsMaterial | null;
  #client: GantryClient | null = null;

  constructor(parts: Pick<CommandContext, 'io' | 'flags' | 'args' | 'title' | 'config' | 'address'> & { tls: TlsMaterial | null }) {
    this.io = parts.io;
    this.flags = parts.flags;
    this.args = parts.args;
    this.title = parts.title;
    this.config = parts.config;
    this.address = parts.address;
    this.#tls = parts.tls;
    this.build = buildName;
  }

  get client(): GantryClient {
    this.#client ??= new GantryClient({
      address: parseAddress(this.address, this.#tls),
      userAgent: this.build === '' ? 'gantry' : `gantry/${this.build}`,
      // Set by `gantry lease` for its program: what we create belongs to the lease.
      ...(this.io.env.GANTRY_LEASE ? { headers: { 'X-Gantry-Lease': this.io.env.GANTRY_LEASE } } : {}),
    });
    return this.#client;
  }

  get daemonBuild(): string | null {
    return this.#client?.api.daemonBuild ?? null;
  }

  print(text: string): void {
    writeText(this.io.stdout, text);
  }

  printError(text: string): void {
    writeText(this.io.stderr, text);
  }

  close(): void {
    this.#client?.close();
  }
}

function warnOfOtherBuild(context: Context, io: CliIo): void {
  const daemon = context.daemonBuild;
  if (daemon === null || context.build === '' || daemon === context.build) return;
  writeText(
    io.stderr,
    `gantry: the daemon at ${context.address} is another build (${daemon}) than this command (${context.build}): restart it with \`gantry system stop\`\n`,
  );
}

interface ReportPlace {
  readonly title: string;
  readonly usage: string;
  readonly runLike: boolean;
}

function report(error: unknown, io: CliIo, { title, usage, runLike }: ReportPlace): number {
  if (error instanceof OutputClosed) throw error;
  if (error instanceof ExitWithCode) return error.exitCode;
  if (error instanceof UsageError) {
    writeText(
      io.stderr,
      `${error.prefixed ? 'gantry: ' : ''}${error.message}\n\nUsage:  ${`${title} ${usage}`.trim()}\n\nRun '${title} --help' for more information\n`,
    );
    return error.exitCode;
  }
  const message = errorMessage(error);
  if (runLike && !(error instanceof CliError && error.plain))
    writeText(io.stderr, `gantry: ${message}\n\nRun '${title} --help' for more information\n`);
  else writeText(io.stderr, `${message}\n`);
  if (error instanceof CliError) return error.exitCode;
  return runLike ? 125 : 1;
}

async function help(args: readonly string[], found: Found | null, io: CliIo): Promise<number> {
  const texts = await import('./help.ts');
  const [first, second] = args;
  if (found !== null) writeText(io.stdout, texts.commandHelp(await found.entry.load(), found.entry, `gantry ${found.path}`));
  else if (first === undefined) writeText(io.stdout, texts.topHelp(globalFlags));
  else if (first === 'help') return help(args.slice(1), findCommand(args.slice(1)), io);
  else if (first in groups && (second === undefined || second.startsWith('-')))
    writeText(args.length > 1 ? io.stdout : io.stderr, texts.groupHelp(first));
  else return unknownCommand(args, io);
  return 0;
}

function unknownCommand(args: readonly string[], io: CliIo): number {
  const group = (args[0] ?? '') in groups ? `${args[0]} ` : '';
  const word = group === '' ? (args[0] ?? '') : (args[1] ?? '');
  const path = group + word;
  if (missingCommands.includes(path)) {
    writeText(io.stderr, `gantry: \`gantry ${path}\` is not supported yet\n`);
    return 1;
  }
  const names = [...commandTable.flatMap((entry) => entry.paths), ...(group === '' ? Object.keys(groups) : [])];
  const siblings = names
    .filter((name) => name.startsWith(group) && !name.slice(group.length).includes(' '))
    .map((name) => name.slice(group.length));
  const near = nearest(word, siblings);
  writeText(
    io.stderr,
    `gantry: unknown command: gantry ${path}${near === null ? '' : `. Did you mean \`gantry ${group}${near}\`?`}${group === '' ? '' : `\n\nUsage:  gantry ${group.trim()}`}\n\nRun 'gantry ${group}--help' for more information\n`,
  );
  return 1;
}

function printVersion(io: CliIo): number {
  writeText(io.stdout, `Gantry version ${versionName}${buildName === '' ? '' : `, build ${buildName}`}\n`);
  return 0;
}
