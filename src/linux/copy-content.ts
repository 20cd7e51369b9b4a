/**
 * The bytes of a regular file into an empty new one, the cheapest way that the file systems allow: shared blocks (FICLONE), copied by the kernel
 * (copy_file_range), read and written. Holes stay holes.
 */
import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { bind, checked, isErrno } from './ffi.ts';

const native = {
  ioctl: bind('ioctl', 'int', ['int', 'long', 'long']),
  lseek: bind('lseek', 'long', ['int', 'long', 'int']),
  copyFileRange: bind('copy_file_range', 'long', ['int', 'void *', 'int', 'void *', 'size_t', 'uint']),
};

const FICLONE = 0x4004_9409;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const RANGE_BYTES = 1024 ** 3;
const SMALL_BYTES = 128 * 1024;

/** What the file systems at hand turned out to be able to do: asked once a tree, not once a file. */
export class ContentCopier {
  #clones = true;
  #copiesRanges = true;
  readonly #buffer = Buffer.allocUnsafeSlow(SMALL_BYTES);
  readonly #offsets = [new BigInt64Array(1), new BigInt64Array(1)] as const;
  readonly #offsetBytes = [new Uint8Array(this.#offsets[0].buffer), new Uint8Array(this.#offsets[1].buffer)] as const;

  /** `blocks` of 512 bytes, as stat has them: fewer than the size needs means holes. */
  copy(from: number, to: number, size: { readonly bytes: number; readonly blocks: number }): void {
    if (size.bytes === 0 || this.#tryClone(from, to)) return;
    if (size.bytes <= SMALL_BYTES && size.blocks * 512 >= size.bytes) this.#readAndWrite(from, to, 0, size.bytes);
    else this.#copyData(from, to, size.bytes);
  }

  #tryClone(from: number, to: number): boolean {
    if (!this.#clones) return false;
    try {
      checked(native.ioctl(to, FICLONE, from), 'ioctl FICLONE', `fd ${from}`);
      return true;
    } catch (error) {
      if (!isErrno(error, 'EOPNOTSUPP', 'ENOTTY', 'EXDEV', 'EINVAL', 'ENOSYS', 'EPERM', 'ETXTBSY')) throw error;
      // Anything else may be true of one file only.
      if (isErrno(error, 'EOPNOTSUPP', 'ENOTTY', 'EXDEV', 'ENOSYS')) this.#clones = false;
      return false;
    }
  }

  #copyData(from: number, to: number, bytes: number): void {
    for (let at = 0; at < bytes; ) {
      const start = seek(from, at, SEEK_DATA, bytes);
      if (start >= bytes) break;
      const end = Math.min(seek(from, start, SEEK_HOLE, bytes), bytes);
      const copied = this.#copyRange(from, to, start, end);
      at = end;
      // The file was cut short meanwhile.
      if (copied < end) break;
    }
    ftruncateSync(to, bytes);
  }

  /** Where the copy ended. */
  #copyRange(from: number, to: number, start: number, end: number): number {
    let at = start;
    while (at < end && this.#copiesRanges) {
      const copied = this.#tryCopyRange(from, to, at, Math.min(end - at, RANGE_BYTES));
      if (copied === 0) return at;
      if (copied > 0) at += copied;
    }
    return at < end ? this.#readAndWrite(from, to, at, end) : at;
  }

  /** -1: not with these file systems. */
  #tryCopyRange(from: number, to: number, at: number, length: number): number {
    this.#offsets[0][0] = this.#offsets[1][0] = BigInt(at);
    const [inOffset, outOffset] = this.#offsetBytes;
    try {
      return checked(native.copyFileRange(from, inOffset, to, outOffset, length, 0), 'copy_file_range', `fd ${from}`);
    } catch (error) {
      if (!isErrno(error, 'EXDEV', 'EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EBADF', 'EPERM')) throw error;
      this.#copiesRanges = false;
      return -1;
    }
  }

  #readAndWrite(from: number, to: number, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const length = readSync(from, this.#buffer, 0, Math.min(this.#buffer.length, end - at), at);
      if (length === 0) return at;
      for (let done = 0; done < length; ) done += writeSync(to, this.#buffer, done, length - done, at + done);
      at += length;
    }
    return at;
  }
}

/** `bytes` when there is no more of it; everything is data where the file system can't tell. */
function seek(file: number, at: number, what: number, bytes: number): number {
  try {
    return Number(checked(native.lseek(file, at, what), 'lseek', `fd ${file}`));
  } catch (error) {
    if (isErrno(error, 'ENXIO')) return bytes;
    if (isErrno(error, 'EINVAL', 'EOPNOTSUPP')) return what === SEEK_DATA ? at : bytes;
    throw error;
  }
}
