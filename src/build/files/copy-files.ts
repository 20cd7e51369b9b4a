/** COPY and ADD: sources are found, planned on top of the tree, and written. For worker threads. */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from '../../linux/file-calls.ts';
import type { UserFiles } from '../../oci/users.ts';
import { LayerStack, readFileInLayers } from '../../store/layer-stack.ts';
import type { ModeChange } from '../plan/operation.ts';
import { resolveOwner } from './file-owner.ts';
import { finishLayer } from './finish-layer.ts';
import type { LayerContent } from './layer-tar.ts';
import { FilePlanner } from './plan-files.ts';
import { type PlannedDirectory, PlannedTree } from './planned-tree.ts';
import { findSources, type Match, type SourceRequest, type SourceRoot } from './source-files.ts';
import { isArchive, planArchive, unpackArchive } from './unpack-source.ts';
import { writePlanned } from './write-planned.ts';

export interface CopyJob {
  /** Of the work. */
  readonly directory: string;
  /** Host paths of the layers below, topmost first. */
  readonly lowers: readonly string[];
  /** `COPY` or `ADD`, for messages. */
  readonly instruction: string;
  readonly destination: string;
  /** As `--chown` says it. */
  readonly owner: string | null;
  readonly mode: ModeChange | null;
  readonly epoch: number;
  readonly sources: readonly CopySource[];
}

export type CopySource =
  | { readonly kind: 'path'; readonly root: SourceRoot; readonly request: SourceRequest; readonly unpacks: boolean }
  | { readonly kind: 'body'; readonly name: string; readonly body: string }
  /** What an address answered: one file of that name, or what was in an archive. */
  | {
      readonly kind: 'fetched';
      readonly root: SourceRoot;
      readonly name: string;
      readonly unpacks: boolean;
      readonly excludes: readonly string[];
    };

type FoundSource =
  | { readonly kind: 'match'; readonly match: Match; readonly unpacks: boolean; readonly keepsOwner: boolean }
  | Extract<CopySource, { kind: 'body' }>;

const maximumUserFileBytes = 16 * 1024 * 1024;

export async function copyFiles(job: CopyJob, checkpoint: () => void): Promise<LayerContent> {
  const owner = job.owner === null ? null : resolveOwner(job.owner, userFilesOf(job.lowers), `--chown=${job.owner}`);
  const planner = new FilePlanner(new PlannedTree(new LayerStack(job.lowers)), { ...job, owner, checkpoint });
  const found = job.sources.flatMap(findSource);
  if (found.length > 1 && found.some(isFile)) planner.requireDirectory(job.instruction);
  for (const [index, source] of found.entries()) {
    if (source.kind === 'body') planner.body(source.name, source.body);
    else if (source.unpacks && source.match.found.stats.isFile() && (await isArchive(source.match.found.path))) {
      const unpacked = await unpackArchive(source.match.found.path, join(job.directory, `unpacked-${index}`), checkpoint);
      planArchive(unpacked, planner, { owner, epoch: job.epoch, filter: source.match.filter, checkpoint });
    } else planner.copy(source.match, source.keepsOwner);
  }
  return writeLayer(job.directory, planner.tree.root, job.epoch, checkpoint);
}

/** `directory` gets the layer and its tar. */
export function writeLayer(directory: string, root: PlannedDirectory, epoch: number, checkpoint: () => void): LayerContent {
  const upper = join(directory, 'upper');
  mkdirSync(upper);
  // Whatever the umask is.
  chmodSync(upper, 0o755);
  return finishLayer(directory, upper, checkpoint, (tar) => {
    const descriptor = openAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      writePlanned(root, { upper: descriptor, tar, epoch, checkpoint });
    } finally {
      closeDescriptor(descriptor);
    }
  });
}

export function userFilesOf(lowers: readonly string[]): UserFiles {
  const text = (path: string) => readFileInLayers('/', lowers, path, maximumUserFileBytes)?.toString() ?? null;
  return { passwd: text('/etc/passwd'), group: text('/etc/group') };
}

function findSource(source: CopySource): readonly FoundSource[] {
  if (source.kind === 'body') return [source];
  const request = source.kind === 'path' ? source.request : fetchedRequest(source);
  const unpacks = source.kind === 'path' && source.unpacks;
  return findSources(source.root, request).map((match) => ({ kind: 'match', match, unpacks, keepsOwner: !source.root.isContext }));
}

/** An archive that held one file of the archive's own name is the one case where this is wrong. */
function fetchedRequest({ root, name, unpacks, excludes }: Extract<CopySource, { kind: 'fetched' }>): SourceRequest {
  const names = root.directories.flatMap((directory) => readdirSync(directory));
  const [only] = names;
  const isFile = names.length === 1 && only !== undefined && (!unpacks || only === posix.basename(name));
  return { pattern: isFile ? only : '', excludes, parents: false, literal: true };
}

function isFile(source: FoundSource): boolean {
  return source.kind === 'body' || !source.match.found.stats.isDirectory();
}
