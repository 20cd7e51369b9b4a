/**
 * A tar from a container into a directory of this machine. What comes from a container is not trusted: no entry leads out of the directory, and none goes
 * through a link that the archive itself brought. Links that were there before are the user's own, and followed.
 */
import { execFile } from 'node:child_process';
import type { Stats } from 'node:fs';
import { chmod, chown, lchown, link, lstat, lutimes, mkdir, open, stat, symlink, unlink, utimes } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { TarEntry } from '../../archive/tar-entry.ts';
import { readTar } from '../../archive/tar-stream.ts';
import { printableName } from '../../base/byte-name.ts';
import { hasErrnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import { hostPath } from './pack-local.ts';

export interface UnpackOptions {
  /** Owners as the archive has them; else whoever copies. */
  readonly owners: boolean;
  /** The path that an entry gets in the directory. */
  rename(path: string): string;
  warn(text: string): void;
}

const makeNode = promisify(execFile);

export async function unpackLocal(tar: AsyncIterable<Uint8Array>, directory: string, options: UnpackOptions): Promise<void> {
  const unpacker = new LocalUnpacker(directory, options);
  for await (const { entry, content } of readTar(tar)) await unpacker.add(entry, content);
  await unpacker.finish();
}

class LocalUnpacker {
  readonly #directory: string;
  readonly #options: UnpackOptions;
  /** Made by the archive: not to be gone through. */
  readonly #links = new Set<string>();
  readonly #known = new Set<string>();
  readonly #directories = new Map<string, TarEntry>();

  constructor(directory: string, options: UnpackOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  async add(entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#pathOf(this.#options.rename(entry.path), entry);
    if (path === this.#directory) return;
    await this.#makeParents(path);
    const there = await lookAt(path);
    if (entry.type === 'directory') {
      await this.#makeDirectory(path, entry, there);
      return;
    }
    if (there?.isDirectory() === true) throw clash('directory', path, 'non-directory', entry);
    if (there !== null) await this.#remove(path);
    if (entry.type === 'file') await this.#writeFile(path, entry, content);
    else if (entry.type === 'hard-link') await this.#makeHardLink(path, entry);
    else if (entry.type === 'symbolic-link') await this.#makeLink(path, entry);
    else await this.#makeNode(path, entry);
  }

  /** Times of directories change with what is put into them; one that nobody may write to is closed last. */
  async finish(): Promise<void> {
    for (const [path, entry] of [...this.#directories].reverse()) {
      if (this.#options.owners) await chown(hostPath(path), entry.uid, entry.gid);
      await chmod(hostPath(path), entry.mode);
      await utimes(hostPath(path), ...timesOf(entry));
    }
  }

  #pathOf(path: string, entry: TarEntry): string {
    const names: string[] = [];
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      if (name === '..') throw new CliError(`the archive has an entry that leads out of it: ${printableName(entry.path)}`);
      names.push(name);
    }
    return [this.#directory.replace(/(.)\/+$/, '$1'), ...names].join('/').replace(/^\/\//, '/');
  }

  async #makeParents(path: string): Promise<void> {
    const above = path.slice(this.#directory.length).split('/').slice(0, -1);
    let at = this.#directory.replace(/(.)\/+$/, '$1');
    for (const name of above) {
      if (name === '') continue;
      at = at === '/' ? `/${name}` : `${at}/${name}`;
      if (this.#known.has(at)) continue;
      if (this.#links.has(at))
        throw new CliError(`the archive has an entry below the link ${printableName(at)}, which it brought itself: refused`);
      await makeDirectoryUnlessThere(at);
      this.#known.add(at);
    }
  }

  async #makeDirectory(path: string, entry: TarEntry, there: Stats | null): Promise<void> {
    if (there !== null && !there.isDirectory()) throw clash('non-directory', path, 'directory', entry);
    if (there === null) await mkdir(hostPath(path), { mode: 0o700 });
    else await chmod(hostPath(path), entry.mode | 0o700);
    this.#directories.set(path, entry);
  }

  async #remove(path: string): Promise<void> {
    this.#links.delete(path);
    this.#known.delete(path);
    await unlink(hostPath(path));
  }

  async #writeFile(path: string, entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await open(hostPath(path), 'wx', 0o600);
    try {
      let at = 0;
      for await (const chunk of content) {
        if (!isHole(chunk))
          for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten;
        at += chunk.length;
      }
      await file.truncate(entry.sizeBytes);
      if (this.#options.owners) await file.chown(entry.uid, entry.gid);
      await file.chmod(entry.mode);
      await file.utimes(...timesOf(entry));
    } finally {
      await file.close();
    }
  }

  async #makeHardLink(path: string, entry: TarEntry): Promise<void> {
    const target = this.#pathOf(this.#options.rename(entry.linkTarget), entry);
    await this.#makeParents(target);
    await link(hostPath(target), hostPath(path));
  }

  async #makeLink(path: string, entry: TarEntry): Promise<void> {
    this.#links.add(path);
    await symlink(hostPath(entry.linkTarget), hostPath(path));
    if (this.#options.owners) await lchown(hostPath(path), entry.uid, entry.gid);
    await lutimes(hostPath(path), ...timesOf(entry));
  }

  /** Node has no call for it. */
  async #makeNode(path: string, { type, mode, deviceMajor, deviceMinor, ...entry }: TarEntry): Promise<void> {
    const device = type === 'fifo' ? ['p'] : [type === 'block-device' ? 'b' : 'c', String(deviceMajor), String(deviceMinor)];
    try {
      if (!path.isWellFormed()) throw new Error('its name is not UTF-8');
      await makeNode('mknod', ['-m', mode.toString(8), '--', path, ...device]);
      if (this.#options.owners) await chown(path, entry.uid, entry.gid);
      await utimes(path, ...timesOf(entry));
    } catch (error) {
      const why = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
      this.#options.warn(`${printableName(path)} (${type}) was left out: ${why}`);
    }
  }
}

async function makeDirectoryUnlessThere(path: string): Promise<void> {
  try {
    await mkdir(hostPath(path), { mode: 0o755 });
  } catch (error) {
    if (!hasErrnoCode(error, 'EEXIST')) throw error;
    if (!(await stat(hostPath(path))).isDirectory()) throw new CliError(`${printableName(path)} is not a directory`);
  }
}

async function lookAt(path: string): Promise<Stats | null> {
  try {
    return await lstat(hostPath(path));
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

function timesOf({ modifiedAt }: Pick<TarEntry, 'modifiedAt'>): [number, number] {
  const time = modifiedAt.seconds + modifiedAt.nanoseconds / 1e9;
  return [time, time];
}

function isHole(chunk: Uint8Array): boolean {
  return chunk.every((byte) => byte === 0);
}

function clash(there: string, path: string, coming: string, entry: TarEntry): Error {
  return new CliError(`cannot overwrite ${there} ${printableName(path)} with ${coming} ${printableName(entry.path)}`);
}
