/** `cp`: between this machine and a container, and, beyond Docker, between two containers. */
import { lstat, realpath, stat } from 'node:fs/promises';
import { posix, resolve } from 'node:path';
import { hasErrnoCode } from '../../base/errors.ts';
import { ApiError } from '../../client/api-client.ts';
import type { GantryClient } from '../../client/gantry-client.ts';
import { isDirectoryMode, isLinkMode } from '../../wire/path-stat.ts';
import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import {
  asksForDirectory,
  type CopyDestination,
  type CopyPlace,
  type CopySource,
  nameInArchive,
  parseCopyPlace,
  planCopy,
  renamed,
} from '../copy/copy-paths.ts';
import { packLocal } from '../copy/pack-local.ts';
import { renameArchive } from '../copy/rename-archive.ts';
import { unpackLocal } from '../copy/unpack-local.ts';
import { fileErrorText } from '../file-error.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { humanSize } from '../format/size-text.ts';
import { writeBytes } from '../output.ts';

export const cp: Command = {
  usage:
    'CONTAINER:SRC_PATH DEST_PATH|-\n\tgantry cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\tgantry cp [OPTIONS] CONTAINER:SRC_PATH CONTAINER:DEST_PATH',
  flags: defineFlags(`
  -a, --archive       Archive mode (copy all uid/gid information)
  -L, --follow-link   Always follow symbol link in SRC_PATH
  -q, --quiet         Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
`),
  args: { min: 2, max: 2 },
  async run(context) {
    const [from = '', to = ''] = context.args;
    if (from === '') throw new CliError('source can not be empty');
    if (to === '') throw new CliError('destination can not be empty');
    const [source, destination] = [parseCopyPlace(from), parseCopyPlace(to)];
    if (source.container === null && destination.container === null) throw new CliError('must specify at least one container source');
    if (source.container === '' || destination.container === '')
      throw new CliError('a container is named before the colon: CONTAINER:PATH');
    const bytes = await copy(context, source, destination);
    if (to !== '-' && !quiet(context)) context.printError(`Successfully copied ${humanSize(bytes, 3)} to ${to}\n`);
    return 0;
  },
};

function quiet({ flags, io }: CommandContext): boolean {
  return flags.bool('quiet') || io.stdout.isTTY !== true;
}

/** How many bytes of archive went by. */
async function copy(context: CommandContext, source: CopyPlace, destination: CopyPlace): Promise<number> {
  const counter = new ByteCounter();
  if (destination.container === null) await copyOut(context, source, destination.path, counter);
  else if (source.container === null) await copyIn(context, source.path, { ...destination, container: destination.container }, counter);
  else await copyAcross(context, source, { ...destination, container: destination.container }, counter);
  return counter.bytes;
}

class ByteCounter {
  bytes = 0;

  async *count(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of tar) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }
}

async function copyOut(context: CommandContext, from: CopyPlace, to: string, counter: ByteCounter): Promise<void> {
  const target = to === '-' ? '-' : absolute(context, to);
  if (target !== '-') await requireParent(target);
  const opened = await openSource(context, from);
  try {
    if (target === '-') {
      for await (const chunk of counter.count(opened.tar)) await writeBytes(context.io.stdout, chunk);
      return;
    }
    const { directory, rename } = planCopy(opened.source, await localDestination(target));
    const top = rename ?? opened.top;
    await unpackLocal(counter.count(opened.tar), directory, {
      owners: context.flags.bool('archive') && process.getuid?.() === 0,
      rename: (path) => (top === null ? path : renamed(path, opened.source.name, top)),
      warn: (text) => context.printError(`${text}\n`),
    });
  } catch (error) {
    opened.tar.destroy();
    throw isSystemError(error) ? new CliError(fileErrorText(error), 1, { cause: error }) : error;
  }
}

async function copyIn(context: CommandContext, from: string, to: Inside, counter: ByteCounter): Promise<void> {
  const destination = await insideDestination(context.client, to);
  if (from === '-') {
    if (destination.kind !== 'directory') throw new CliError(`destination "${to.container}:${to.path}" must be a directory`);
    await context.client.containers.writePath(
      to.container,
      destination.path,
      counter.count(context.io.stdin),
      context.flags.bool('archive'),
    );
    return;
  }
  const { source, path } = await localSource(context, from);
  const { directory, rename } = planCopy(source, destination);
  const tar = packLocal(path, rename ?? source.name);
  await context.client.containers.writePath(to.container, directory, counter.count(tar), context.flags.bool('archive'));
}

async function copyAcross(context: CommandContext, from: CopyPlace, to: Inside, counter: ByteCounter): Promise<void> {
  const opened = await openSource(context, from);
  try {
    const { directory, rename } = planCopy(opened.source, await insideDestination(context.client, to));
    const name = rename ?? opened.top;
    const counted = counter.count(opened.tar);
    const tar = name === null ? counted : renameArchive(counted, opened.source.name, name);
    await context.client.containers.writePath(to.container, directory, tar, context.flags.bool('archive'));
  } catch (error) {
    opened.tar.destroy();
    throw error;
  }
}

interface Inside {
  readonly container: string;
  readonly path: string;
}

/** `top`: a link was followed, and its own name is to be the archive's top; else null. */
async function openSource({ client, flags }: CommandContext, { container, path: asked }: CopyPlace) {
  const name = container ?? '';
  const followed = flags.bool('follow-link') ? await followLink(client, { container: name, path: asked }) : asked;
  const { stat: found, tar } = await client.containers.readPath(name, followed);
  const source: CopySource = { path: followed, isDirectory: isDirectoryMode(found.mode), name: found.name };
  const wanted = nameInArchive(inContainer(asked));
  return { tar, source, top: followed !== asked && wanted !== found.name ? wanted : null };
}

async function followLink(client: GantryClient, { container, path }: Inside): Promise<string> {
  const found = await client.containers.statPath(container, path);
  if (found === null || !isLinkMode(found.mode)) return path;
  const ending = path.endsWith('/.') ? '/.' : path.endsWith('/') ? '/' : '';
  return linkTargetOf(path, found.linkTarget) + ending;
}

function linkTargetOf(path: string, target: string): string {
  return target.startsWith('/') ? target : posix.join(posix.dirname(inContainer(path)), target);
}

function inContainer(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

/** What can't be looked at is taken for missing: its parent tells more when the copy is tried. */
async function insideDestination(client: GantryClient, { container, path: given }: Inside): Promise<CopyDestination> {
  const path = inContainer(given);
  const found = await lookAt(client, container, path);
  if (found === null) return { path, kind: 'missing' };
  if (!isLinkMode(found.mode)) return { path, kind: isDirectoryMode(found.mode) ? 'directory' : 'other' };
  const target = linkTargetOf(path, found.linkTarget);
  const behind = await lookAt(client, container, target);
  if (behind === null) return { path: target, kind: 'missing' };
  return { path: target, kind: isDirectoryMode(behind.mode) ? 'directory' : 'other' };
}

/** The answer to a HEAD has no words: whatever is wrong, the copy itself will tell. */
async function lookAt(client: GantryClient, container: string, path: string) {
  try {
    return await client.containers.statPath(container, path);
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

function absolute({ io }: CommandContext, path: string): string {
  const ending = path === '.' || path.endsWith('/.') ? '/.' : path.endsWith('/') ? '/' : '';
  const clean = resolve(io.cwd, path);
  return clean === '/' ? clean : clean + ending;
}

async function requireParent(path: string): Promise<void> {
  const parent = posix.dirname(path.replace(/\/\.?$/, '') || '/');
  if (!(await isDirectory(parent))) throw new CliError(`invalid output path: directory "${parent}" does not exist`);
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** Links are followed: the copy lands where they lead. */
async function localDestination(path: string): Promise<CopyDestination> {
  try {
    const real = await realpath(path.replace(/(.)\/\.?$/, '$1'));
    const stats = await stat(real);
    if (!stats.isDirectory() && asksForDirectory(path)) throw new CliError(`not a directory: ${path}`);
    return { path: real, kind: stats.isDirectory() ? 'directory' : 'other' };
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return { path, kind: 'missing' };
    throw error;
  }
}

async function localSource(context: CommandContext, given: string): Promise<{ readonly source: CopySource; readonly path: string }> {
  const asked = absolute(context, given);
  const bare = asked.replace(/(.)\/\.?$/, '$1');
  const follows = context.flags.bool('follow-link') || asksForDirectory(asked);
  try {
    const path = follows ? await realpath(bare) : bare;
    const stats = await lstat(path);
    if (!stats.isDirectory() && asksForDirectory(asked)) throw new CliError(`lstat ${given}: not a directory`);
    return { path, source: { path: asked, isDirectory: stats.isDirectory(), name: nameInArchive(asked) } };
  } catch (error) {
    if (isSystemError(error)) throw new CliError(`lstat ${bare}: no such file or directory`, 1, { cause: error });
    throw error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
