/** All files of a tree as a tar, as the kernel's overlay shows them, every time the epoch. For worker threads. */
import { openOverlay } from '../../linux/detached-overlay.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_RDONLY, openAt } from '../../linux/file-calls.ts';
import { walkTree } from '../../linux/walk-tree.ts';
import { ArchivePipe, TreeExporter } from '../../store/export-tree.ts';
import { isKeptAttribute } from './kept-attributes.ts';

export interface ExportJob {
  /** Host paths, topmost first; two at least. */
  readonly lowers: readonly string[];
  /** An empty directory. */
  readonly mountPoint: string;
  readonly epoch: number;
  /** In front of every path; empty: nothing. */
  readonly prefix: string;
  /** Of a pipe; closed at the end. */
  readonly writeEnd: number;
}

export function exportFiles({ lowers, mountPoint, epoch, prefix, writeEnd }: ExportJob, checkpoint: () => void): void {
  const overlay = openOverlay({ base: '/', lowers, upper: null, work: null }, mountPoint);
  try {
    const root = openAt(AT_FDCWD, `/proc/self/fd/${overlay}`, O_RDONLY | O_DIRECTORY);
    try {
      const archive = new ArchivePipe(writeEnd);
      const modifiedAt = { seconds: epoch, nanoseconds: 0 };
      const exporter = new TreeExporter(archive, { prefix, keepAttribute: isKeptAttribute, modifiedAt, checkpoint });
      if (prefix !== '') exporter.directory(root, prefix);
      walkTree(root, exporter);
      archive.end();
    } finally {
      closeDescriptor(root);
    }
  } finally {
    closeDescriptor(overlay);
  }
}
