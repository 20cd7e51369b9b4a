/**
 * The `git` program, by a list of arguments, never a shell. It sees nothing of the machine's configuration, asks nobody anything, runs no hooks, and speaks only the protocols that
 * addresses may have. Credentials go by its environment; they are in no argument and in no file of a context.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EngineError, hasErrnoCode, invalid } from '../../base/errors.ts';

export interface GitProgram {
  /** Standard output as text. `what` is for messages: "fetch https://…". */
  run(what: string, args: readonly string[]): Promise<string>;
}

export interface GitSettings {
  /** Private, empty, and gone with the context. */
  readonly home: string;
  /** Of the daemon; only proxies and PATH reach git. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `https://host` → value of its Authorization header. */
  readonly headers: ReadonlyMap<string, string>;
  /** Of an agent of the client; null: none. */
  readonly agentSocket: string | null;
  readonly signal: AbortSignal;
}

const OUTPUT_BYTES = 256 * 1024 * 1024;
const ERROR_BYTES = 16 * 1024;
const passedOn = ['PATH', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'];
const passedOnFiles = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO'];

const configuration: readonly (readonly [string, string])[] = [
  ['protocol.allow', 'never'],
  ['protocol.https.allow', 'always'],
  ['protocol.http.allow', 'always'],
  ['protocol.ssh.allow', 'always'],
  ['protocol.git.allow', 'always'],
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.autocrlf', 'false'],
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['advice.detachedHead', 'false'],
  ['init.defaultBranch', 'main'],
  ['credential.helper', ''],
  ['http.lowSpeedLimit', '100'],
  ['http.lowSpeedTime', '60'],
  ['safe.directory', '*'],
];

export function gitProgram(settings: GitSettings): GitProgram {
  const environment = environmentOf(settings);
  return { run: (what, args) => runOnce(what, args, environment, settings) };
}

function environmentOf({ home, environment, headers, agentSocket }: GitSettings): Record<string, string> {
  const settings = [...configuration];
  for (const [origin, value] of headers) settings.push([`http.${origin}/.extraHeader`, `Authorization: ${value}`]);
  // What was meant for one host is not to follow a redirection to another one.
  if (headers.size > 0) settings.push(['http.followRedirects', 'false']);
  const variables: Record<string, string> = {
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: sshCommand(home),
    GIT_CONFIG_COUNT: String(settings.length),
  };
  for (const [index, [key, value]] of settings.entries()) {
    variables[`GIT_CONFIG_KEY_${index}`] = key;
    variables[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  for (const name of [...passedOn, ...passedOnFiles]) {
    const value = environment[name];
    if (value !== undefined) variables[name] = value;
  }
  if (agentSocket !== null) variables.SSH_AUTH_SOCK = agentSocket;
  return variables;
}

/** Hosts that the machine knows must be who they were; others are believed, as nobody is there to ask. `home` holds no blanks or quotes: we made it. */
function sshCommand(home: string): string {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=accept-new', `UserKnownHostsFile=${home}/known_hosts`, 'ConnectTimeout=30'];
  return `ssh -F /dev/null ${options.map((option) => `-o ${option}`).join(' ')}`;
}

/** Its own process group: what git starts ends with it. */
async function runOnce(what: string, args: readonly string[], env: Record<string, string>, { home, signal }: GitSettings): Promise<string> {
  signal.throwIfAborted();
  const child = spawn('git', args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const kill = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  signal.addEventListener('abort', kill, { once: true });
  const output: Buffer[] = [];
  let [outputBytes, complaint] = [0, ''];
  child.stdout.on('data', (chunk: Buffer) => {
    outputBytes += chunk.length;
    if (outputBytes > OUTPUT_BYTES) kill();
    else output.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(-ERROR_BYTES);
  });
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    signal.throwIfAborted();
    if (outputBytes > OUTPUT_BYTES) throw invalid(`git ${what}: it printed more than ${OUTPUT_BYTES} bytes, the limit`);
    if (code !== 0) throw new GitError(what, complaint);
    return Buffer.concat(output).toString('utf8');
  } catch (error) {
    signal.throwIfAborted();
    if (!hasErrnoCode(error, 'ENOENT', 'EACCES')) throw error;
    throw new EngineError('unavailable', 'git is not installed on the machine of the daemon: install it (apt-get install git)', {
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** What git said, in its words. */
export class GitError extends EngineError {
  constructor(what: string, complaint: string) {
    super('invalid', `git ${what} failed: ${linesOf(complaint)}`);
  }
}

function linesOf(complaint: string): string {
  const lines = complaint
    .replace(/[\0-\x09\x0b-\x1f\x7f]/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return lines.slice(-6).join('; ') || 'it did not say why';
}

export function isGitError(error: unknown): error is GitError {
  return error instanceof GitError;
}
