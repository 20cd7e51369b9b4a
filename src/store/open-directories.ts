/**
 * Open directories of a tree that is unpacked into, by path: archives list a directory's files one after the other.
 *
 * A descriptor that left the cache is closed only by `settle`, between entries: a closed number that is still in use would be another file's soon.
 */
import { closeDescriptor } from '../linux/file-calls.ts';

/** An open directory of the tree, good until the next `settle`. */
export interface OpenDirectory {
  readonly fd: number;
  /** Without links; the root's is empty. */
  readonly path: readonly string[];
}

const MAXIMUM_OPEN = 32;

export class OpenDirectories {
  readonly #open = new Map<string, OpenDirectory>();
  #retired: number[] = [];

  get(key: string): OpenDirectory | undefined {
    return this.#open.get(key);
  }

  keep(key: string, directory: OpenDirectory): OpenDirectory {
    if (this.#open.size >= MAXIMUM_OPEN) this.forget();
    this.#open.set(key, directory);
    return directory;
  }

  /** Something was removed or replaced: what a path leads to may have changed. */
  forget(): void {
    for (const { fd } of this.#open.values()) this.#retired.push(fd);
    this.#open.clear();
  }

  /** Closed with the others. */
  retire(fd: number): void {
    this.#retired.push(fd);
  }

  /** Between entries: nobody holds a directory now. */
  settle(): void {
    for (const fd of this.#retired) closeDescriptor(fd);
    this.#retired = [];
  }

  close(): void {
    this.forget();
    this.settle();
  }
}
