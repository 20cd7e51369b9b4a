/** `gantry build` in a test: a folder of its own, output as text, and a daemon's session that does what the test says. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { DockerConfig } from '../../../client/credentials/docker-config.ts';
import { GantryClient } from '../../../client/gantry-client.ts';
import { ExitWithCode } from '../../cli-error.ts';
import type { CliOutput } from '../../cli-io.ts';
import type { CommandContext } from '../../command.ts';
import { parseFlags } from '../../flags/flag-parser.ts';
import type { StartBuild } from '../build-session.ts';
import { buildFlags } from '../options/build-flags.ts';
import { runBuild } from '../run-build.ts';

export interface BuildFolder extends Disposable {
  readonly path: string;
  write(files: Readonly<Record<string, string>>): void;
  /** `line`: what stands behind `gantry build`, words split at blanks. */
  context(line: string | readonly string[], options?: ContextOptions): BuildCommand;
}

export interface ContextOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly address?: string;
}

export interface BuildCommand {
  readonly context: CommandContext;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The exit code. */
  run(start: StartBuild): Promise<number>;
}

export function buildFolder(files: Readonly<Record<string, string>> = {}): BuildFolder {
  const path = mkdtempSync(join(tmpdir(), 'gantry-build-'));
  const write = (more: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(more)) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), text);
    }
  };
  write(files);
  return {
    path,
    write,
    context: (line, options = {}) => command(path, typeof line === 'string' ? line.split(' ') : line, options),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

function command(
  cwd: string,
  words: readonly string[],
  { env = {}, stdin = '', address = 'unix:///nobody' }: ContextOptions,
): BuildCommand {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  input.end(stdin);
  const [stdout, stderr] = [collected(output), collected(errors)];
  const { flags, args } = parseFlags(words, buildFlags, true);
  const context: CommandContext = {
    io: { stdin: input, stdout: output, stderr: errors, env, cwd },
    flags,
    args,
    title: 'gantry build',
    config: new DockerConfig(join(cwd, '.docker')),
    address,
    client: new GantryClient({ address }),
    build: '',
    print: (text) => void output.write(text),
    printError: (text) => void errors.write(text),
  };
  return { context, stdout, stderr, run: (start) => exitCode(runBuild(context, start)) };
}

function collected(stream: CliOutput & PassThrough): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

async function exitCode(run: Promise<number>): Promise<number> {
  try {
    return await run;
  } catch (error) {
    if (error instanceof ExitWithCode) return error.exitCode;
    throw error;
  }
}
