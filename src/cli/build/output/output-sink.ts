/**
 * Where the bytes of an output go: standard output, a file, or a directory that a tar is unpacked into. Whole or not at all, as far as that can be: a file has a
 * name of its own until it is complete. `finish` is emitted when everything is where it belongs.
 */
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { hasErrnoCode } from '../../../base/errors.ts';
import { CliError } from '../../cli-error.ts';
import type { CliOutput } from '../../cli-io.ts';
import { unpackLocal } from '../../copy/unpack-local.ts';
import { fileErrorText } from '../../file-error.ts';
import { writeBytes } from '../../output.ts';
import type { Destination } from '../options/output-option.ts';

export interface SinkOptions {
  readonly stdout: () => CliOutput;
  warn(text: string): void;
}

export async function openSink(destination: Destination, { stdout, warn }: SinkOptions): Promise<Writable> {
  switch (destination.kind) {
    case 'stdout':
      return new StdoutSink(stdout());
    case 'file':
      return await fileSink(destination.path);
    case 'directory':
      await makeDirectory(destination.path);
      return new DirectorySink(destination.path, destination.mirror, warn);
  }
}

type Callback = (error?: Error | null) => void;

class StdoutSink extends Writable {
  readonly #stdout: CliOutput;

  constructor(stdout: CliOutput) {
    super();
    this.#stdout = stdout;
  }

  override _write(chunk: Buffer, _encoding: string, done: Callback): void {
    settle(async () => await writeBytes(this.#stdout, chunk), done);
  }
}

async function fileSink(path: string): Promise<Writable> {
  try {
    const there = await stat(path).catch(() => null);
    if (there?.isDirectory() === true) throw new CliError(`cannot write to ${path}: it is a directory`);
    // A pipe or a device takes what comes.
    if (there !== null && !there.isFile()) return new FileSink(await open(path, 'w'), path, null);
    const temporary = `${path}.${process.pid}.tmp`;
    return new FileSink(await open(temporary, 'w', 0o644), path, temporary);
  } catch (error) {
    throw error instanceof CliError ? error : cannotWrite(path, error);
  }
}

class FileSink extends Writable {
  readonly #file: FileHandle;
  readonly #path: string;
  #temporary: string | null;

  constructor(file: FileHandle, path: string, temporary: string | null) {
    super();
    this.#file = file;
    this.#path = path;
    this.#temporary = temporary;
  }

  override _write(chunk: Buffer, _encoding: string, done: Callback): void {
    settle(() => this.#write(chunk), done);
  }

  override _final(done: Callback): void {
    settle(() => this.#complete(), done);
  }

  override _destroy(error: Error | null, done: Callback): void {
    const left = this.#temporary;
    settle(async () => {
      await this.#file.close().catch(() => {});
      if (left !== null) await rm(left, { force: true });
      if (error !== null) throw error;
    }, done);
  }

  async #write(chunk: Buffer): Promise<void> {
    try {
      for (let at = 0; at < chunk.length; ) at += (await this.#file.write(chunk, at)).bytesWritten;
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }

  async #complete(): Promise<void> {
    if (this.#temporary === null) return;
    try {
      await this.#file.sync();
      await rename(this.#temporary, this.#path);
      this.#temporary = null;
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }
}

/** What comes is a build's: no entry leads out of the directory, and none through a link that came along. */
class DirectorySink extends Writable {
  readonly #tar = new PassThrough();
  readonly #unpacked: Promise<void>;

  constructor(path: string, mirror: boolean, warn: (text: string) => void) {
    super();
    this.#unpacked = unpack(this.#tar, path, mirror, warn);
    this.#unpacked.catch((error: Error) => this.destroy(error));
  }

  override _write(chunk: Buffer, _encoding: string, done: Callback): void {
    if (this.#tar.write(chunk)) done();
    else this.#tar.once('drain', done);
  }

  override _final(done: Callback): void {
    this.#tar.end();
    settle(() => this.#unpacked, done);
  }

  override _destroy(error: Error | null, done: Callback): void {
    this.#tar.destroy();
    done(error);
  }
}

async function unpack(tar: PassThrough, path: string, mirror: boolean, warn: (text: string) => void): Promise<void> {
  const named = new Set<string>();
  const rename = (entry: string): string => {
    const names = entry.split('/').filter((name) => name !== '' && name !== '.');
    // Folders need no entry of their own.
    for (const at of names.keys()) named.add(names.slice(0, at + 1).join('/'));
    return entry;
  };
  try {
    await unpackLocal(tar, path, { owners: false, rename, warn });
    if (mirror) await removeOthers(path, '', named);
  } catch (error) {
    throw error instanceof CliError ? error : cannotWrite(path, error);
  }
}

/** `mode=delete`: the directory is what was built, and nothing else. */
async function removeOthers(root: string, folder: string, named: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(join(root, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (!named.has(path)) await rm(join(root, path), { recursive: true, force: true });
    else if ((await lstat(join(root, path))).isDirectory()) await removeOthers(root, path, named);
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if (hasErrnoCode(error, 'EEXIST')) throw new CliError(`cannot write to ${path}: it is not a directory`, 1, { cause: error });
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): CliError {
  return new CliError(`cannot write to ${path}: ${fileErrorText(error)}`, 1, { cause: error });
}

function settle(act: () => Promise<unknown>, done: Callback): void {
  act().then(
    () => done(),
    (error: Error) => done(error),
  );
}
