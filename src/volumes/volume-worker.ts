/** Entry of a worker thread of volumes; `volume-job.ts` has the protocol. One job at a time. */
import { lstatSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { conflict } from '../base/errors.ts';
import { type JobControl, serveJobs } from '../base/job-thread.ts';
import { type CopyRules, type CopyTarget, copyTree } from '../linux/copy-tree.ts';
import { closeDescriptor, syncFileSystem } from '../linux/file-calls.ts';
import { MNT_DETACH, type MountCall, mount, UMOUNT_NOFOLLOW, unmount } from '../linux/mount-calls.ts';
import { parseMountPoints } from '../linux/mount-table.ts';
import { walkTree } from '../linux/walk-tree.ts';
import { exportTree } from '../store/export-tree.ts';
import { copyLayers } from './copy-layers.ts';
import { importArchive } from './import-archive.ts';
import { STAGED_INSIDE } from './local-paths.ts';
import { contentOf, copyRootAttributes, makeStaging, openDirectory, removeDirectory, settle, using } from './staging.ts';
import type { VolumeJob } from './volume-job.ts';

serveJobs(run);

async function run(job: VolumeJob, { checkpoint }: JobControl): Promise<unknown> {
  switch (job.kind) {
    case 'size':
      return sizeOf(job.path);
    case 'copy':
      return copy(job.source, job.staging, checkpoint);
    case 'populate':
      makeStaging(job.staging);
      return withTarget(job.staging, (target) => copyLayers(job.source, target, checkpoint));
    case 'export':
      return exportTo(job.path, job.writeEnd, checkpoint);
    case 'import':
      return await importFrom(job, checkpoint);
    case 'settle':
      return settle(job.staging, job.target, job.exchange);
    case 'is-empty':
      return using(openDirectory(job.path), (root) => contentOf(root).length === 0);
    case 'remove':
      return remove(job.parent, job.names);
    case 'mount':
      return mountAll(job.calls);
    case 'unmount':
      return unmount(job.path, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

function sizeOf(path: string): number {
  const seen = new Set<string>();
  let sizeBytes = 0n;
  using(openDirectory(path), (root) =>
    walkTree(root, {
      entry(_parent, _name, stats) {
        const identity = `${stats.dev}:${stats.ino}`;
        if (stats.nlink > 1n && seen.has(identity)) return;
        if (stats.nlink > 1n) seen.add(identity);
        sizeBytes += stats.size;
      },
      enter() {},
      leave() {},
    }),
  );
  return Number(sizeBytes);
}

function copy(source: string, staging: string, checkpoint: () => void): void {
  makeStaging(staging);
  const rules: CopyRules = { keepAttribute: () => true, toleratesMissingAttributes: false, checkpoint };
  using(openDirectory(source), (from) =>
    withTarget(staging, (target) => {
      copyTree(from, target, rules);
      syncFileSystem(target.root);
    }),
  );
}

function withTarget<T>(staging: string, use: (target: CopyTarget) => T): T {
  return using(openDirectory(join(staging, 'data')), (root) =>
    using(openDirectory(join(staging, 'links')), (links) => use({ root, links })),
  );
}

function exportTo(path: string, writeEnd: number, checkpoint: () => void): void {
  using(writeEnd, () => using(openDirectory(path), (root) => exportTree(root, writeEnd, checkpoint)));
}

async function importFrom(job: Extract<VolumeJob, { kind: 'import' }>, checkpoint: () => void): Promise<void> {
  const opened: number[] = [job.readEnd];
  const open = (path: string) => {
    const fd = openDirectory(path);
    opened.push(fd);
    return fd;
  };
  try {
    makeStaging(job.staging);
    const target = open(job.target);
    const data = open(join(job.staging, 'data'));
    copyRootAttributes(target, data);
    const root = job.merge ? target : data;
    await importArchive(job.readEnd, root, open(join(job.staging, 'trash')), checkpoint);
    syncFileSystem(root);
  } finally {
    for (const fd of opened) closeDescriptor(fd);
  }
}

/** Below a mount lies what is not ours: an unmount that failed must not cost a file server its files. */
function remove(parent: string, names: readonly string[]): void {
  const points = parseMountPoints(readFileSync('/proc/self/mountinfo', 'latin1'));
  const trash = join(parent, `${STAGED_INSIDE}trash-${process.pid}-${performance.now()}`);
  for (const name of names) {
    const path = join(parent, name);
    const mounted = points.find((point) => point === path || point.startsWith(`${path}/`));
    if (mounted !== undefined) throw conflict(`something is mounted on ${mounted}: unmount it first`);
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
    mkdirSync(trash, { mode: 0o700, recursive: true });
    removeDirectory(parent, name, trash);
  }
  if (lstatSync(trash, { throwIfNoEntry: false }) !== undefined) rmdirSync(trash);
}

function mountAll(calls: readonly MountCall[]): void {
  let made = false;
  try {
    for (const call of calls) {
      mount(call);
      made = true;
    }
  } catch (error) {
    const target = calls[0]?.target;
    if (made && target !== undefined) unmount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
    throw error;
  }
}
