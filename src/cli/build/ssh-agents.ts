/** What `--ssh` names, as connections to agents: one that runs, or one of the user's own program with the keys that were named, for as long as the build takes. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { errorText } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { fileErrorText } from '../file-error.ts';
import type { SshOption } from './options/ssh-option.ts';

const AGENT_PATIENCE_MS = 5000;
const LOOK_AGAIN_MS = 20;

type Agent = { readonly kind: 'socket'; readonly path: string } | { readonly kind: 'keys'; readonly paths: readonly string[] };

export class SshAgents implements Disposable {
  readonly #agents: ReadonlyMap<string, Agent>;
  readonly #io: CliIo;
  readonly #started = new Map<string, Promise<StartedAgent>>();

  /** Throws where a socket or key is not there. */
  constructor(options: ReadonlyMap<string, SshOption>, io: CliIo) {
    this.#agents = new Map([...options].map(([id, option]) => [id, agentOf(option, io)]));
    this.#io = io;
  }

  has(id: string): boolean {
    return this.#agents.has(id);
  }

  async connect(id: string): Promise<Duplex> {
    const agent = this.#agents.get(id);
    if (agent === undefined) throw new CliError(`no SSH agent ${id}: give --ssh ${id}`);
    return await connectTo(agent.kind === 'socket' ? agent.path : await this.#startOnce(id, agent.paths));
  }

  [Symbol.dispose](): void {
    for (const agent of this.#started.values()) agent.then((started) => started[Symbol.dispose]()).catch(() => {});
  }

  async #startOnce(id: string, keys: readonly string[]): Promise<string> {
    const started = this.#started.get(id) ?? StartedAgent.start(keys, this.#io.env);
    this.#started.set(id, started);
    return (await started).socket;
  }
}

function agentOf({ id, paths }: SshOption, { env, cwd }: CliIo): Agent {
  const [first] = paths;
  if (first === undefined) {
    const socket = env.SSH_AUTH_SOCK ?? '';
    if (socket === '')
      throw new CliError(`--ssh ${id}: SSH_AUTH_SOCK is not set: start ssh-agent, or name a socket or a key with --ssh ${id}=PATH`);
    return { kind: 'socket', path: socket };
  }
  const kinds = paths.map((path) => kindOf(id, resolve(cwd, path)));
  if (kinds.length === 1 && kinds[0] === 'socket') return { kind: 'socket', path: resolve(cwd, first) };
  if (kinds.includes('socket')) throw new CliError(`--ssh ${id}: name one socket, or one or more keys`);
  return { kind: 'keys', paths: paths.map((path) => resolve(cwd, path)) };
}

function kindOf(id: string, path: string): 'socket' | 'file' {
  try {
    const stats = statSync(path);
    if (stats.isSocket()) return 'socket';
    if (stats.isFile()) return 'file';
  } catch (error) {
    throw new CliError(`--ssh ${id}: ${fileErrorText(error)}`, 1, { cause: error });
  }
  throw new CliError(`--ssh ${id}: ${path} is neither a socket nor a key`);
}

function connectTo(path: string): Promise<Duplex> {
  return new Promise((done, fail) => {
    const socket = createConnection({ path });
    socket.once('error', (error) => fail(new CliError(`cannot reach the SSH agent at ${path}: ${errorText(error)}`, 1, { cause: error })));
    socket.once('connect', () => done(socket));
  });
}

class StartedAgent implements Disposable {
  readonly socket: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(folder: string, socket: string, child: ChildProcess) {
    this.#folder = folder;
    this.socket = socket;
    this.#process = child;
    // Also when this process ends in the middle of a build.
    process.once('exit', this.#end);
  }

  static async start(keys: readonly string[], env: CliIo['env']): Promise<StartedAgent> {
    const folder = mkdtempSync(join(tmpdir(), `gantry-ssh-${process.pid}-`));
    const socket = join(folder, 'agent');
    const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore', env: env as NodeJS.ProcessEnv });
    const agent = new StartedAgent(folder, socket, child);
    try {
      await listening(child, socket);
      // Asks for a passphrase at the terminal where a key has one.
      await promisify(execFile)('ssh-add', ['-q', ...keys], { env: { ...env, SSH_AUTH_SOCK: socket } as NodeJS.ProcessEnv });
      return agent;
    } catch (error) {
      agent[Symbol.dispose]();
      throw new CliError(
        `cannot serve SSH keys: ${errorText(error)}. ssh-agent and ssh-add are needed for keys; a socket needs neither`,
        1,
        { cause: error },
      );
    }
  }

  readonly #end = (): void => {
    this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  };

  [Symbol.dispose](): void {
    process.off('exit', this.#end);
    this.#end();
  }
}

async function listening(child: ChildProcess, socket: string): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`ssh-agent ended with ${code}`)));
  });
  failed.catch(() => {});
  const until = Date.now() + AGENT_PATIENCE_MS;
  while (statSync(socket, { throwIfNoEntry: false }) === undefined) {
    if (Date.now() > until) throw new Error('ssh-agent does not listen');
    await Promise.race([failed, new Promise((wake) => setTimeout(wake, LOOK_AGAIN_MS))]);
  }
}
