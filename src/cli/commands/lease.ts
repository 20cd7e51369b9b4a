/**
 * `gantry lease COMMAND`: runs a program; what it creates (containers, networks, volumes, by whatever client) is removed when it ends, however it ends.
 * The program finds a socket in its environment through which everything belongs to the lease. Nothing but our connection to the daemon holds it, so
 * that a SIGKILL of ours, or of the whole session, releases it as well.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { hasErrnoCode } from '../../base/errors.ts';
import type { HeldLease } from '../../client/lease-api.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, someArguments } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';

const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];
const RECONNECT_MS = 300;

export const lease: Command = {
  usage: '[OPTIONS] COMMAND [ARG...]',
  flags: defineFlags(`
      --grace duration   How long what was created may stay after the command's end (default "10s")
      --name string      Name of the lease: several commands may hold one (default: a random name)
`),
  args: someArguments,
  interspersed: false,
  async run(context) {
    const { flags, client, args, io } = context;
    const query = { grace: flags.string('grace'), ...(flags.has('name') ? { name: flags.string('name') } : {}) };
    const held = await client.leases.hold(query);
    const running = new AbortController();
    const kept = keepHeld(context, held, query.grace, running.signal);
    try {
      return await runProgram(args, { ...io.env, ...leaseEnvironment(context, held) }, io.cwd);
    } finally {
      running.abort();
      client.close();
      await kept;
    }
  },
};

/**
 * Every client looks at DOCKER_HOST; Testcontainers starts a reaper of its own unless it is told that it needs none. A daemon elsewhere has its socket there,
 * where the program cannot reach it: then it is for the clients to say whose lease it is, as gantry and docker (from 27 on) do.
 */
function leaseEnvironment(context: CommandContext, { name, socket }: HeldLease): Record<string, string> {
  if (socket !== null && context.address.startsWith('unix://'))
    return { GANTRY_LEASE: name, GANTRY_HOST: socket, DOCKER_HOST: socket, TESTCONTAINERS_RYUK_DISABLED: 'true' };
  context.printError(
    'gantry: the daemon is not on this machine: what gantry and docker (27 or newer) create is under the lease; other clients have to send X-Gantry-Lease\n',
  );
  return {
    GANTRY_LEASE: name,
    GANTRY_HOST: context.address,
    DOCKER_HOST: context.address,
    DOCKER_CUSTOM_HEADERS: `X-Gantry-Lease=${name}`,
  };
}

/** The daemon may be restarted in the meantime: it waits for its holders to come back. */
async function keepHeld(context: CommandContext, first: HeldLease, grace: string, signal: AbortSignal): Promise<void> {
  let held: HeldLease | null = first;
  while (!signal.aborted) {
    await held?.ended;
    if (signal.aborted) return;
    held = await context.client.leases.hold({ name: first.name, grace }).catch(() => null);
    if (held === null) await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}

function runProgram(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<number> {
  const [program = '', ...rest] = args;
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, { stdio: 'inherit', env, cwd });
    // The terminal sends its own signals to the program as well: it decides what they mean.
    const ignore = (): void => {};
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore);
    for (const signal of PASSED_ON) process.on(signal, pass);
    const done = (): void => {
      for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.off(signal, ignore);
      for (const signal of PASSED_ON) process.off(signal, pass);
    };
    child.on('error', (error) => {
      done();
      const code = hasErrnoCode(error, 'ENOENT') ? 127 : 126;
      reject(new CliError(`cannot run ${program}: ${errorMessage(error)}`, code, { cause: error }));
    });
    child.on('close', (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
