/**
 * Digests of what a COPY or a mount selects: names, types, modes, owners, targets of links, attributes and bytes; never times. Contexts know the digests of their files; those of other
 * trees are computed. For worker threads.
 */
import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { type Found, hostPath, readLink } from '../../store/layer-stack.ts';
import { type ContextIndex, readContextIndex } from '../context/context-index.ts';
import { type ExtendedAttributes, keptAttributesOfPath } from './kept-attributes.ts';
import type { Selection } from './layer-work.ts';
import { findSources, type Match, type SourceRequest, type SourceRoot, walkSource } from './source-files.ts';

export interface SelectJob {
  readonly root: SourceRoot;
  readonly request: SourceRequest;
  /** Host path of the context's index; null: there is none. */
  readonly index: string | null;
}

const toldAtMost = 1000;
const BUFFER_BYTES = 256 * 1024;

export function selectFiles({ root, request, index }: SelectJob, checkpoint: () => void): Selection {
  const selector = new Selector(index === null ? null : indexAt(index), checkpoint);
  const matches = findSources(root, request);
  for (const match of matches) selector.add(match, request.literal);
  return { ...selector.result(), isEmpty: matches.length === 0 };
}

class Selector {
  readonly #index: ContextIndex | null;
  readonly #checkpoint: () => void;
  readonly #hash = createHash('sha256');
  readonly #entries: { path: string; digest: string }[] = [];

  constructor(index: ContextIndex | null, checkpoint: () => void) {
    this.#index = index;
    this.#checkpoint = checkpoint;
  }

  result(): Omit<Selection, 'isEmpty'> {
    return { digest: `sha256:${this.#hash.digest('hex')}`, entries: this.#entries };
  }

  /** `itself`: the attributes of the directory that was asked for count too; where its content is merged into another, they don't. */
  add(match: Match, itself: boolean): void {
    const { found, path, name } = match;
    if (!found.stats.isDirectory()) {
      this.#hash.update(`file ${JSON.stringify(name)}\n`);
      this.#tell(path, found);
      return;
    }
    this.#hash.update('directory\n');
    if (itself) this.#tell(path === '' ? '.' : path, found);
    const trail = path === '' ? [] : [path];
    const place = (last: string) => [...trail, last].join('/');
    walkSource(
      match,
      {
        enter: (last, directory) => {
          this.#hash.update(`enter ${JSON.stringify(last)}\n`);
          this.#tell(place(last), directory);
          trail.push(last);
        },
        leave: () => {
          this.#hash.update('leave\n');
          trail.pop();
        },
        entry: (last, file) => {
          this.#hash.update(`entry ${JSON.stringify(last)}\n`);
          this.#tell(place(last), file);
        },
      },
      this.#checkpoint,
    );
  }

  #tell(path: string, found: Found): void {
    const digest = `sha256:${hash('sha256', this.#said(found), 'hex')}`;
    this.#hash.update(`${digest}\n`);
    if (this.#entries.length < toldAtMost) this.#entries.push({ path, digest });
  }

  #said(found: Found): string {
    const { stats, path } = found;
    const known = this.#index?.get(found.resolved.join('/'));
    const attributes = known?.extendedAttributes ?? (stats.isSymbolicLink() ? none : keptAttributesOfPath(hostPath(path)));
    const values = [...attributes].sort(([one], [other]) => (one < other ? -1 : 1));
    const type = stats.mode & 0o170000;
    const isLink = stats.isSymbolicLink();
    return JSON.stringify([
      type,
      isLink ? 0 : stats.mode & 0o7777,
      stats.uid,
      stats.gid,
      stats.isFile() ? stats.size : 0,
      isLink ? readLink(path) : '',
      stats.isCharacterDevice() || stats.isBlockDevice() ? stats.rdev : 0,
      values.map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
      stats.isFile() ? (known?.digest ?? this.#digestOf(path)) : '',
    ]);
  }

  #digestOf(path: string): string {
    const content = createHash('sha256');
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    const file = openSync(hostPath(path), 'r');
    try {
      for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer)) {
        this.#checkpoint();
        content.update(buffer.subarray(0, length));
      }
    } finally {
      closeSync(file);
    }
    return content.digest('hex');
  }
}

const none: ExtendedAttributes = new Map();

/** The last one: steps of one build ask for it one after the other. */
let latest: { readonly key: string; readonly index: ContextIndex } | null = null;

function indexAt(path: string): ContextIndex {
  const key = identityOf(path);
  if (latest?.key !== key) latest = { key, index: readContextIndex(path) };
  return latest.index;
}

/** Another one for every index that was ever written there. */
export function identityOf(path: string): string {
  const { dev, ino, mtimeNs, ctimeNs, size } = statSync(path, { bigint: true });
  return `${path} ${dev}:${ino} ${mtimeNs} ${ctimeNs} ${size}`;
}
