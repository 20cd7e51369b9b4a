/**
 * Files below a root directory as whoever has it as `/` sees them: links, absolute ones too, stay inside. The root is one that the administrator named (a driver
 * container's, a fake machine's), so nobody swaps files while they are looked up. What is missing is null or empty, never an error. One instance a look: it
 * remembers links.
 */
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { posix } from 'node:path';

const mostLinks = 40;
const largestText = 1024 * 1024;

export class HostTree {
  readonly root: string;
  /** Text of the link there; null: no link; undefined: nothing there. */
  readonly #links = new Map<string, Promise<string | null | undefined>>();

  constructor(root: string) {
    this.root = posix.resolve(root);
  }

  /** Where a path of the tree lies on the host; links are not followed here. */
  hostPath(path: string): string {
    return this.root === '/' ? path : `${this.root}${path}`;
  }

  /** The same place without links, as a path of the tree; null: nothing is there. */
  async resolve(path: string): Promise<string | null> {
    // Of the machine itself the kernel knows it, in one call.
    return this.root === '/' ? await realpath(path).catch(() => null) : await this.#walk(path, 0);
  }

  async stat(path: string): Promise<Stats | null> {
    const real = await this.resolve(path);
    return real === null ? null : await stat(this.hostPath(real)).catch(() => null);
  }

  async exists(path: string): Promise<boolean> {
    return (await this.resolve(path)) !== null;
  }

  /** Names in a directory, sorted. */
  async names(path: string): Promise<readonly string[]> {
    const real = await this.resolve(path);
    return real === null ? [] : (await readdir(this.hostPath(real)).catch(() => [])).sort();
  }

  /** Text of a link; null: nothing there, or no link. */
  async linkText(path: string): Promise<string | null> {
    const folder = await this.resolve(posix.dirname(path));
    return folder === null ? null : ((await this.#linkAt(posix.join(folder, posix.basename(path)))) ?? null);
  }

  /** Of files of /proc and /sys; only the first megabyte. */
  async text(path: string): Promise<string | null> {
    return (await this.bytes(path, largestText))?.toString('utf8') ?? null;
  }

  /** Null as well: it is larger, or no file. */
  async bytes(path: string, largest: number): Promise<Buffer | null> {
    const real = await this.resolve(path);
    return real === null ? null : await readBounded(this.hostPath(real), largest).catch(() => null);
  }

  async #walk(path: string, followed: number): Promise<string | null> {
    let real = '/';
    const parts = posix.normalize(path).split('/').filter(Boolean);
    for (const [index, part] of parts.entries()) {
      const place = posix.join(real, part);
      const link = await this.#linkAt(place);
      if (link === undefined || followed >= mostLinks) return null;
      if (link !== null) return await this.#walk(posix.resolve(real, link, ...parts.slice(index + 1)), followed + 1);
      real = place;
    }
    return real;
  }

  #linkAt(place: string): Promise<string | null | undefined> {
    const known = this.#links.get(place);
    if (known !== undefined) return known;
    const asked = readLinkText(this.hostPath(place));
    this.#links.set(place, asked);
    return asked;
  }
}

async function readLinkText(path: string): Promise<string | null | undefined> {
  const stats = await lstat(path).catch(() => null);
  if (stats === null) return undefined;
  return stats.isSymbolicLink() ? await readlink(path).catch(() => undefined) : null;
}

/** Sizes of /proc are 0: it reads to the end. */
async function readBounded(path: string, largest: number): Promise<Buffer | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) return null;
    const chunks: Buffer[] = [];
    for (let length = 0; length <= largest; ) {
      const buffer = Buffer.alloc(64 * 1024);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks);
      chunks.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
    }
    return null;
  } finally {
    await file.close();
  }
}
