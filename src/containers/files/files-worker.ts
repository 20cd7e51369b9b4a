/** Entry of a worker thread of containers' files; `file-job.ts` has the jobs. One at a time. */
import { fstatSync } from 'node:fs';
import { type JobControl, serveJobs } from '../../base/job-thread.ts';
import { openOverlay } from '../../linux/detached-overlay.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from '../../linux/file-calls.ts';
import { walkTree } from '../../linux/walk-tree.ts';
import { ArchivePipe, TreeExporter } from '../../store/export-tree.ts';
import { openDirectoryOf } from './container-tree.ts';
import type { FileJob } from './file-job.ts';
import { listChanges } from './list-changes.ts';
import { packLayer } from './pack-layer.ts';
import { readPath, statPath } from './read-path.ts';
import { writePath } from './write-path.ts';

serveJobs(run);

async function run(job: FileJob, { checkpoint }: JobControl): Promise<unknown> {
  switch (job.kind) {
    case 'stat':
      return statPath(job);
    case 'read':
      return closing(job.writeEnd, () => readPath(job, checkpoint));
    case 'write':
      return await closing(job.readEnd, () => writePath(job, checkpoint));
    case 'export':
      return closing(job.writeEnd, () => exportAll(job, checkpoint));
    case 'changes':
      return listChanges(job.upper, job.lowers, checkpoint);
    case 'layer':
      return closing(job.writeEnd, () => packLayer(job, checkpoint));
    case 'size':
      return sizeOf(job.path, checkpoint);
  }
}

async function closing<T>(descriptor: number, use: () => T | Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    closeDescriptor(descriptor);
  }
}

function exportAll({ overlay, empty, writeEnd }: Extract<FileJob, { kind: 'export' }>, checkpoint: () => void): void {
  const root = openOverlay(overlay, empty);
  try {
    const directory = openDirectoryOf(root);
    try {
      const archive = new ArchivePipe(writeEnd);
      walkTree(directory, new TreeExporter(archive, { prefix: '', keepAttribute: () => true, checkpoint }));
      archive.end();
    } finally {
      closeDescriptor(directory);
    }
  } finally {
    closeDescriptor(root);
  }
}

function sizeOf(path: string, checkpoint: () => void): number {
  const root = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const seen = new Set<string>();
  const { dev } = fstatSync(root, { bigint: true });
  let sizeBytes = 0n;
  try {
    walkTree(root, {
      entry(_parent, _name, stats) {
        checkpoint();
        const identity = `${stats.dev === dev}:${stats.ino}`;
        if (stats.nlink > 1n && seen.has(identity)) return;
        if (stats.nlink > 1n) seen.add(identity);
        sizeBytes += stats.size;
      },
      enter() {},
      leave() {},
    });
  } finally {
    closeDescriptor(root);
  }
  return Number(sizeBytes);
}
