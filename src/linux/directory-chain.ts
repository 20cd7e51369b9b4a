/**
 * The way from a root down to one directory of any depth: a path would be too long for the kernel, and a descriptor for every level too many. The lowest
 * levels are open; a level above that was closed is opened again through `..` of the one below it, and must be the directory that it was: whoever else
 * writes to the tree can make us stop, not lead us elsewhere.
 */
import { fstatSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt } from './file-calls.ts';

const MAXIMUM_OPEN = 32;

interface Level {
  fd: number | null;
  /** Known once it was closed. */
  identity: string;
}

export class DirectoryChain {
  readonly #root: number;
  readonly #levels: Level[] = [];

  /** `root` stays the caller's to close. */
  constructor(root: number) {
    this.#root = root;
  }

  /** Of the directory that we are in. */
  get fd(): number {
    const level = this.#levels.at(-1);
    return level === undefined ? this.#root : openOf(level);
  }

  get depth(): number {
    return this.#levels.length;
  }

  /** A symbolic link is not followed: ELOOP or ENOTDIR. */
  enter(name: string): void {
    const fd = openAt(this.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    this.#levels.push({ fd, identity: '' });
    const distant = this.#levels.at(-1 - MAXIMUM_OPEN);
    if (distant === undefined || distant.fd === null) return;
    distant.identity = identityOf(distant.fd);
    closeDescriptor(distant.fd);
    distant.fd = null;
  }

  leave(): void {
    const level = this.#levels.at(-1);
    const above = this.#levels.at(-2);
    if (level === undefined) return;
    if (above !== undefined && above.fd === null) above.fd = openAgain(openOf(level), above.identity);
    this.#levels.pop();
    closeDescriptor(openOf(level));
  }

  close(): void {
    for (const { fd } of this.#levels) if (fd !== null) closeDescriptor(fd);
    this.#levels.length = 0;
  }
}

function openOf(level: Level): number {
  if (level.fd === null) throw new EngineError('system', 'directory chain: the lowest level is not open');
  return level.fd;
}

function openAgain(below: number, identity: string): number {
  const fd = openAt(below, '..', O_RDONLY | O_DIRECTORY);
  if (identityOf(fd) === identity) return fd;
  closeDescriptor(fd);
  throw new EngineError('conflict', 'a directory was moved while its tree was being read: try again when nothing writes there');
}

function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}
