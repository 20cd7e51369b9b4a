/** Entry of a worker thread of build contexts; `context-job.ts` has the jobs. One at a time. */
import { closeSync, lstatSync, mkdirSync, openSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type JobControl, serveJobs } from '../../base/job-thread.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_PATH, openAt } from '../../linux/file-calls.ts';
import { removeTree } from '../../linux/remove-tree.ts';
import { readContextIndex, writeContextIndex } from './context-index.ts';
import type { ContextJob, ContextPlaces, WrittenContext } from './context-job.ts';
import { ContextTree } from './context-tree.ts';
import { indexFiles } from './index-files.ts';
import { adjust, fill, indexIn, isUnchanged, readList, tellWanted, unchangedContext } from './sync-context.ts';
import { isArchive, unpackContext } from './unpack-context.ts';
import { withhold } from './withhold.ts';

serveJobs(run);

async function run(job: ContextJob, { checkpoint }: JobControl): Promise<unknown> {
  switch (job.kind) {
    case 'unpack':
      return await unpack(job, checkpoint);
    case 'unpack-file':
      return await unpackFile(job, checkpoint);
    case 'sync':
      return await sync(job, checkpoint);
    case 'index':
      return indexFiles(job, checkpoint);
    case 'newest':
      return newestTime(job.index);
    case 'remove':
      return remove(job.parent, job.names);
  }
}

async function unpack({ places, readEnd, dockerfiles = [], limits }: Extract<ContextJob, { kind: 'unpack' }>, checkpoint: () => void) {
  try {
    return await within(places, (root, trash) =>
      written(places, new ContextTree(root, trash, limits), async (tree) => {
        await unpackContext(readEnd, tree, limits, checkpoint);
        return dockerfiles.length === 0 ? {} : { withheld: withhold(tree, dockerfiles) };
      }),
    );
  } finally {
    closeDescriptor(readEnd);
  }
}

async function unpackFile({ places, path, limits }: Extract<ContextJob, { kind: 'unpack-file' }>, checkpoint: () => void) {
  const look = openSync(path, 'r');
  try {
    if (!(await isArchive(look))) return null;
  } finally {
    closeSync(look);
  }
  return await unpack({ kind: 'unpack', places, readEnd: openAt(AT_FDCWD, path, O_NOFOLLOW), limits }, checkpoint);
}

async function sync(job: Extract<ContextJob, { kind: 'sync' }>, checkpoint: () => void): Promise<WrittenContext> {
  const { places, limits } = job;
  let told = false;
  try {
    const plan = readList(job.list, limits.entries);
    const old = indexIn(places.index);
    if (isUnchanged(plan, old)) {
      told = true;
      tellWanted(job.writeEnd, []);
      return unchangedContext(old);
    }
    rmSync(places.index, { force: true });
    return await within(places, (root, trash) =>
      written(places, new ContextTree(root, trash, limits, old), (tree) => {
        const wanted = adjust(tree, plan, old, checkpoint);
        told = true;
        tellWanted(job.writeEnd, wanted);
        fill(job.readEnd, tree, plan, wanted, checkpoint);
      }),
    );
  } finally {
    if (!told) closeDescriptor(job.writeEnd);
    closeDescriptor(job.readEnd);
  }
}

async function within<T>(places: ContextPlaces, use: (root: number, trash: number) => Promise<T>): Promise<T> {
  const open = (path: string) => openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  const root = open(places.files);
  try {
    const trash = open(places.trash);
    try {
      return await use(root, trash);
    } finally {
      closeDescriptor(trash);
    }
  } finally {
    closeDescriptor(root);
  }
}

async function written(
  places: ContextPlaces,
  tree: ContextTree,
  // biome-ignore lint/suspicious/noConfusingVoidType: most have nothing to add
  write: (tree: ContextTree) => void | Promise<Pick<WrittenContext, 'withheld'>>,
): Promise<WrittenContext> {
  try {
    const added = await write(tree);
    const { entries, digest, sizeBytes } = tree.finish();
    writeContextIndex(places.index, entries);
    return { digest, sizeBytes, ...added };
  } finally {
    tree.close();
  }
}

function newestTime(index: string): number {
  let newest = 0;
  for (const { modifiedAt } of readContextIndex(index).values()) newest = Math.max(newest, modifiedAt.seconds);
  return newest;
}

function remove(parent: string, names: readonly string[]): void {
  const trash = join(parent, `r-trash-${process.pid}-${performance.now()}`);
  mkdirSync(trash, { mode: 0o700 });
  const open = (path: string) => openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  const [from, to] = [open(parent), open(trash)];
  try {
    for (const name of names) removeTree(from, name, to);
  } finally {
    closeDescriptor(from);
    closeDescriptor(to);
    if (lstatSync(trash, { throwIfNoEntry: false }) !== undefined) rmdirSync(trash);
  }
}
