/** Several layers as one: what they come to together on top of what is below them. For worker threads. */
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { decodeName } from '../../base/byte-name.ts';
import { getAttributeOfPath } from '../../linux/extended-attributes.ts';
import type { RootAttributes } from '../../store/layer-record.ts';
import { childOf, childrenOf, type Found, hostPath, isWhiteout, LayerStack } from '../../store/layer-stack.ts';
import { writeLayer } from './copy-files.ts';
import { keptAttributesOfPath, OPAQUE_ATTRIBUTE } from './kept-attributes.ts';
import type { LayerContent } from './layer-tar.ts';
import { clampedTime } from './layer-times.ts';
import { specialNode } from './plan-files.ts';
import type { DirectoryAttributes, FileContent, PlannedDirectory, PlannedNode } from './planned-tree.ts';

export interface SquashJob {
  readonly directory: string;
  /** Host paths, topmost first. */
  readonly layers: readonly string[];
  readonly below: readonly string[];
  /** Of `/`, where one of the layers lists it and it is not as below; null: it stays. */
  readonly root: RootAttributes | null;
  /** Nothing of what is below shows. */
  readonly hidesBelow: boolean;
  readonly epoch: number;
}

interface Part {
  readonly path: string;
  readonly stats: Stats;
}

/** What a name comes to in the layers: the topmost's, and for directories all that are merged. */
interface Merged {
  readonly top: Part;
  readonly directories: readonly string[];
  /** Nothing of what is below shows in it. */
  readonly isClosed: boolean;
}

export function squashLayers(job: SquashJob, checkpoint: () => void): LayerContent {
  const lower = job.hidesBelow ? null : new LayerStack(job.below).lookup([]);
  const squasher = new Squasher(job.epoch, checkpoint);
  const root: PlannedDirectory = {
    kind: 'directory',
    children: squasher.children(job.layers, lower),
    lower,
    hides: job.hidesBelow,
    attributes: job.root === null ? null : rootOf(job.root, job.epoch),
  };
  return writeLayer(job.directory, root, job.epoch, checkpoint);
}

class Squasher {
  readonly #epoch: number;
  readonly #checkpoint: () => void;
  /** Device and inode of files with several names. */
  readonly #linked = new Map<string, FileContent>();

  constructor(epoch: number, checkpoint: () => void) {
    this.#epoch = epoch;
    this.#checkpoint = checkpoint;
  }

  children(parts: readonly string[], lower: Found | null): Map<string, PlannedNode> {
    const names = new Set(parts.flatMap((part) => readdirSync(hostPath(part), { encoding: 'buffer' }).map(decodeName)));
    const children = new Map<string, PlannedNode>();
    for (const name of names) {
      this.#checkpoint();
      const node = this.#node(merge(parts, name), lower === null ? null : childOf(lower, name));
      if (node !== null) children.set(name, node);
    }
    return children;
  }

  #node(merged: Merged, below: Found | null): PlannedNode | null {
    const { top, directories, isClosed } = merged;
    if (isWhiteout(top.stats)) return below === null ? null : { kind: 'whiteout' };
    if (!top.stats.isDirectory()) return this.#file(top);
    const lower = below?.stats.isDirectory() === true ? below : null;
    const shown = isClosed ? null : lower;
    return {
      kind: 'directory',
      children: this.children(directories, shown),
      lower: shown,
      hides: isClosed && lower !== null && childrenOf(lower).length > 0,
      attributes: { ...this.#attributes(top), extendedAttributes: keptAttributesOfPath(hostPath(top.path)) },
    };
  }

  #file(top: Part): PlannedNode {
    const { path, stats } = top;
    const attributes = this.#attributes(top);
    if (!stats.isFile()) return specialNode(top, attributes);
    const identity = `${stats.dev}:${stats.ino}`;
    const from = { kind: 'path', path, isOurs: false } as const;
    const content = this.#linked.get(identity) ?? { ...attributes, sizeBytes: stats.size, from };
    if (stats.nlink > 1) this.#linked.set(identity, content);
    return { kind: 'file', content };
  }

  #attributes({ path, stats }: Part) {
    const { mtimeNs } = lstatSync(hostPath(path), { bigint: true });
    const modifiedAt = clampedTime(mtimeNs, this.#epoch).seconds;
    return { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, modifiedAt };
  }
}

/** `name` is in one of the parts. */
function merge(parts: readonly string[], name: string): Merged {
  let top: Part | null = null;
  const directories: string[] = [];
  let isClosed = false;
  for (const part of parts) {
    const path = `${part}/${name}`;
    const stats = lstatSync(hostPath(path), { throwIfNoEntry: false });
    if (stats === undefined) continue;
    if (!stats.isDirectory()) {
      isClosed = top !== null;
      top ??= { path, stats };
      break;
    }
    top ??= { path, stats };
    directories.push(path);
    isClosed = getAttributeOfPath(hostPath(path), OPAQUE_ATTRIBUTE)?.toString() === 'y';
    if (isClosed) break;
  }
  return { top: top as Part, directories, isClosed };
}

function rootOf({ mode, uid, gid, modifiedAt, extendedAttributes }: RootAttributes, epoch: number): DirectoryAttributes {
  const values = new Map(Object.entries(extendedAttributes).map(([name, value]) => [name, Buffer.from(value, 'base64')]));
  return { mode, uid, gid, modifiedAt: Math.min(modifiedAt.seconds, epoch), extendedAttributes: values };
}
