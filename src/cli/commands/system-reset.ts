/**
 * `gantry system reset`: everything that a daemon of this machine has goes: containers, networks, volumes, images, its data root. Beyond Docker.
 *
 * The daemon takes down what lies in the kernel, ends, and only then its files are removed. Without a daemon nobody would know what runs, so one has to answer.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress } from '../../client/address.ts';
import { ApiError } from '../../client/api-client.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { confirm } from '../terminal/confirm.ts';
import { stopDaemon } from './system-stop.ts';

export const systemReset: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -f, --force            Do not prompt for confirmation
      --pidfile string   The daemon's pid file (default: gantry.pid beside its socket)
  -t, --timeout int      Seconds to wait for the daemon to end (default 30)
`),
  args: noArguments,
  async run(context) {
    if (parseAddress(context.address).kind !== 'unix')
      throw new CliError(`the daemon at ${context.address} may run on another machine: reset it there`);
    const root = await dataRootOf(context);
    if (!context.flags.bool('force') && !(await confirm(context, await warningOf(context, root)))) return 0;
    await removeObjects(context);
    await stopDaemon(context);
    await removeFiles(root);
    context.print(`Removed everything below ${root}\n`);
    return 0;
  },
};

async function dataRootOf({ client }: CommandContext): Promise<string> {
  const { DockerRootDir, ServerVersion } = JSON.parse(await client.system.infoRaw()) as { DockerRootDir: string; ServerVersion: string };
  // Other engines answer here too, and their data is not ours to remove.
  if (!['engine-id', 'gantry.db'].every((name) => existsSync(join(DockerRootDir, name))))
    throw new CliError(
      `${DockerRootDir} is no data root of Gantry on this machine (the daemon's version is ${ServerVersion}): nothing was removed`,
    );
  return DockerRootDir;
}

async function warningOf({ client }: CommandContext, root: string): Promise<string> {
  const [containers, images, volumes] = await Promise.all([
    client.containers.list({ all: true }),
    client.images.list({}),
    client.volumes.list({}),
  ]);
  const counts = [`${containers.length} containers`, `${images.length} images`, `${volumes.volumes.length} volumes with their data`];
  return `WARNING! This will remove ${counts.join(', ')} and everything else below ${root}.\nAre you sure you want to continue?`;
}

/** What would stay in the kernel without its files: running containers, mounts of volumes. The rest goes with the files. */
async function removeObjects({ client }: CommandContext): Promise<void> {
  for (const { Id } of await client.containers.list({ all: true }))
    await client.containers.remove(Id, { force: true, volumes: true, link: false }).catch((error: unknown) => {
      // One that removes itself was quicker.
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    });
}

/** Mounts below it are left alone, and told. */
async function removeFiles(root: string): Promise<void> {
  const entries = readdirSync(root).map((name) => join(root, name));
  const code = await runRm(entries);
  if (code !== 0) throw new CliError(`not everything below ${root} could be removed: something may be mounted there`);
}

function runRm(paths: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('rm', ['-rf', '--one-file-system', '--', ...paths], { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}
