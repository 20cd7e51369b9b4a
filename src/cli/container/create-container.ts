/** Creates, pulling the image first when it is asked for or missing; writes the `--cidfile`. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import { ApiError } from '../../client/api-client.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { fileErrorText } from '../file-error.ts';

const PULL_POLICIES = ['always', 'missing', 'never'];

export async function createContainer(context: CommandContext, body: Record<string, unknown>, image: string): Promise<string> {
  const { flags } = context;
  const policy = flags.string('pull');
  if (!PULL_POLICIES.includes(policy))
    throw new CliError(`invalid pull option: '${policy}': must be one of "always", "missing" or "never"`, 125);
  using idFile = openIdFile(flags.string('cidfile'));
  if (policy === 'always') await pullTold(context, image);
  const created = await createOrPull(context, body, image, policy);
  for (const warning of created.Warnings ?? []) context.printError(`WARNING: ${warning}\n`);
  idFile.write(created.Id);
  return created.Id;
}

async function createOrPull(context: CommandContext, body: Record<string, unknown>, image: string, policy: string) {
  const { client, flags } = context;
  const query = { name: flags.string('name'), platform: flags.string('platform') };
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
    platform: flags.string('platform'),
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
      throw new CliError(`container ID file found, make sure the other container isn't running or delete ${path}`, 125);
    throw new CliError(`failed to create the container ID file: ${fileErrorText(error)}`, 125, {
      cause: error,
    });
  }
}
