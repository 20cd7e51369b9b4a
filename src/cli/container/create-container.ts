/** Creates, pulling the image first when it is asked for or missing; writes the `--cidfile`. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import { ApiError } from '../../client/api-client.ts';
import { parseAnyReference } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { fileErrorText } from '../file-error.ts';
import { isLocalhostDns } from '../parse/host-options.ts';
import { parsePlatformOption, wantedPlatform } from '../parse/platform-option.ts';

const PULL_POLICIES = ['always', 'missing', 'never'];

export async function createContainer(context: CommandContext, body: Record<string, unknown>, image: string): Promise<string> {
  const { flags } = context;
  const policy = flags.string('pull') || 'missing';
  if (!PULL_POLICIES.includes(policy))
    throw new CliError(`invalid pull option: '${policy}': must be one of "always", "missing" or "never"`, 125);
  warnOfLocalhostDns(context);
  using idFile = openIdFile(flags.string('cidfile'));
  parseAnyReference(image);
  const query = { name: flags.string('name'), platform: parsePlatformOption(wantedPlatform(flags, context.io.env)) };
  if (policy === 'always') await pullTold(context, image);
  // Loaded only here: few runs ask for it.
  const socket = flags.bool('use-api-socket') ? await import('./api-socket.ts') : null;
  const plan = socket === null ? { body, config: null } : await socket.planApiSocket(context, body);
  const created = await createOrPull(context, plan.body, query, image, policy);
  for (const warning of created.Warnings ?? []) context.printError(`WARNING: ${warning}\n`);
  idFile.write(created.Id);
  if (socket !== null && plan.config !== null) await socket.writeApiSocketConfig(context, created.Id, plan.config);
  return created.Id;
}

function warnOfLocalhostDns(context: CommandContext): void {
  const local = context.flags.list('dns').find((address) => isLocalhostDns(address.trim()));
  if (local !== undefined) context.printError(`WARNING: Localhost DNS (${local}) may fail in containers.\n`);
}

interface CreateQuery {
  readonly name: string;
  readonly platform: string;
}

async function createOrPull(context: CommandContext, body: Record<string, unknown>, query: CreateQuery, image: string, policy: string) {
  const { client, flags } = context;
  try {
    return await client.containers.create(body, query);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404 || policy !== 'missing') throw error;
    if (!flags.bool('quiet')) context.printError(`Unable to find image '${withTag(image)}' locally\n`);
    await pullTold(context, image);
    return client.containers.create(body, query);
  }
}

async function pullTold(context: CommandContext, image: string): Promise<void> {
  const { flags, io } = context;
  // Loaded only here: most runs have their image.
  const { pullImage } = await import('../image/pull-image.ts');
  await pullImage(context, image, {
    platform: wantedPlatform(flags, io.env),
    allTags: false,
    tellsTag: false,
    quiet: flags.bool('quiet'),
    output: () => io.stderr,
  });
}

function withTag(image: string): string {
  return image.includes('@') || /:[^/]*$/.test(image) ? image : `${image}:latest`;
}

interface IdFile extends Disposable {
  write(id: string): void;
}

/** Claimed before the container exists, so that two runs never share a file; removed again when nothing was created. */
function openIdFile(path: string): IdFile {
  if (path === '') return { write() {}, [Symbol.dispose]() {} };
  const fd = claim(path);
  let written = false;
  return {
    write(id) {
      writeSync(fd, id);
      written = true;
    },
    [Symbol.dispose]() {
      closeSync(fd);
      if (!written) rmSync(path, { force: true });
    },
  };
}

function claim(path: string): number {
  try {
    return openSync(path, 'wx', 0o644);
  } catch (error) {
    if (hasErrnoCode(error, 'EEXIST'))
      throw new Error(`container ID file found, make sure the other container isn't running or delete ${path}`);
    throw new Error(`failed to create the container ID file: ${fileErrorText(error)}`, { cause: error });
  }
}
