/**
 * The upper directory of a container as the tar of a layer (`commit`): a pure function of what lies there. In worker threads.
 *
 *   char device 0/0                    .wh.NAME
 *   trusted.overlay.opaque on DIR      DIR/.wh..wh..opq, where the layers below have that directory
 *   attributes of `/`                  an entry of its own when they are not what the image says; Docker loses them
 *
 * A file whose own name starts with `.wh.` can't be in a layer, and is left out; so are sockets.
 */
import { type BigIntStats, fstatSync } from 'node:fs';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from '../../linux/file-calls.ts';
import { type TreeVisitor, walkTree } from '../../linux/walk-tree.ts';
import { ArchivePipe, TreeExporter } from '../../store/export-tree.ts';
import type { RootAttributes } from '../../store/layer-record.ts';
import { childOf, type Found, LayerStack } from '../../store/layer-stack.ts';
import type { FileJob } from './file-job.ts';
import { isOpaqueDirectory, isWhiteoutEntry } from './list-changes.ts';

type LayerJob = Extract<FileJob, { kind: 'layer' }>;

const WHITEOUT = '.wh.';

/** False: the container changed nothing. */
export function packLayer({ upper, lowers, root: expected, writeEnd }: LayerJob, checkpoint: () => void): boolean {
  const root = openAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const archive = new ArchivePipe(writeEnd);
    const keepAttribute = (name: string) => !name.startsWith('trusted.overlay.') && name !== 'security.selinux';
    const exporter = new TreeExporter(archive, { prefix: '', keepAttribute, checkpoint });
    const packer = new LayerPacker(archive, exporter, new LayerStack(lowers).lookup([]));
    const ownRoot = !isRootAs(fstatSync(root), expected);
    if (ownRoot) exporter.directory(root, '.');
    walkTree(root, packer);
    archive.end();
    return ownRoot || packer.entries > 0;
  } finally {
    closeDescriptor(root);
  }
}

class LayerPacker implements TreeVisitor {
  readonly #archive: ArchivePipe;
  readonly #exporter: TreeExporter;
  readonly #levels: { readonly path: string; readonly lower: Found | null }[];
  entries = 0;

  constructor(archive: ArchivePipe, exporter: TreeExporter, lower: Found | null) {
    this.#archive = archive;
    this.#exporter = exporter;
    this.#levels = [{ path: '', lower }];
  }

  takes(_parent: number, name: string): boolean {
    return name.startsWith(WHITEOUT);
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    if (!isWhiteoutEntry(stats)) {
      this.entries++;
      this.#exporter.entry(parent, name, stats);
      return;
    }
    const { path, lower } = this.#levels.at(-1) ?? { path: '', lower: null };
    if (lower !== null && childOf(lower, name) !== null) this.#mark(`${path}${WHITEOUT}${name}`);
  }

  enter(directory: number, name: string): void {
    const above = this.#levels.at(-1);
    const found = above?.lower == null ? null : childOf(above.lower, name);
    const lower = found?.stats.isDirectory() === true ? found : null;
    const path = `${above?.path ?? ''}${name}/`;
    const opaque = isOpaqueDirectory(directory);
    this.entries++;
    this.#exporter.enter(directory, name);
    if (opaque && lower !== null) this.#mark(`${path}${WHITEOUT}${WHITEOUT}.opq`);
    this.#levels.push({ path, lower: opaque ? null : lower });
  }

  leave(): void {
    this.#levels.pop();
    this.#exporter.leave();
  }

  #mark(path: string): void {
    this.entries++;
    this.#archive.header({ type: 'file', path, mode: 0o600 });
  }
}

/** Null: no layer says anything of `/`, and it looks as a new directory of ours. */
function isRootAs(stats: { readonly mode: number; readonly uid: number; readonly gid: number }, expected: RootAttributes | null): boolean {
  const { mode, uid, gid } = expected ?? { mode: 0o755, uid: 0, gid: 0 };
  return (stats.mode & 0o7777) === (mode & 0o7777) && stats.uid === uid && stats.gid === gid;
}
