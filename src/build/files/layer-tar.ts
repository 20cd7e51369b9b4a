/**
 * The tar of a layer, written to a file and hashed on the way, with what is recorded of the layer (`store/layer-record.ts`): just what unpacking that tar would find out. For worker threads.
 *
 * Entries come sorted, parents first: by the bytes of their names, whiteouts before everything else of their directory.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { paddingBytes } from '../../archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../../archive/tar-writer.ts';
import type { DiffId } from '../../base/brand.ts';
import { printableName } from '../../base/byte-name.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import type { LayerRecord, RootAttributes } from '../../store/layer-record.ts';
import { defaultUnpackLimits } from '../../store/unpack-limits.ts';

export interface LayerContent {
  /** Of the tar. */
  readonly diffId: DiffId;
  readonly tarBytes: number;
  readonly record: LayerRecord;
}

const BUFFER_BYTES = 1024 * 1024;
/** Whiteouts say nothing but their name. */
const whiteoutEntry = { type: 'file', mode: 0, uid: 0, gid: 0, sizeBytes: 0 } as const;

export class LayerTar implements Disposable {
  readonly #file: number;
  readonly #checkpoint: () => void;
  readonly #hash = createHash('sha256');
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #length = 0;
  #tarBytes = 0;
  #entries = 0;
  #fileBytes = 0;
  #root: RootAttributes | null = null;
  #rootOpaque = false;
  readonly #whiteoutDirectories = new Set<string>();

  /** `path` must not exist. `checkpoint` throws to end the work. */
  constructor(path: string, checkpoint: () => void) {
    this.#file = openSync(path, 'wx', 0o600);
    this.#checkpoint = checkpoint;
  }

  /** Anything without content. Directories by a path without `/` at its end. */
  entry(entry: NewTarEntry): void {
    checkEntry(entry);
    this.#add(entry);
  }

  /** A regular file; `file` is read from its beginning. `copy`: a file that gets the same bytes. */
  file(entry: NewTarEntry, file: number, sizeBytes: number, copy: number | null = null): void {
    this.#countFile(entry, sizeBytes);
    this.#copy(entry, file, sizeBytes, copy);
    this.#write(endOfArchive.subarray(0, paddingBytes(sizeBytes)));
  }

  /** The same of bytes at hand. */
  bytes(entry: NewTarEntry, bytes: Uint8Array): void {
    this.#countFile(entry, bytes.length);
    this.#write(bytes);
    this.#write(endOfArchive.subarray(0, paddingBytes(bytes.length)));
  }

  /** `directory`: empty, or with a `/` at its end. */
  whiteout(directory: string, name: string): void {
    this.#add({ ...whiteoutEntry, path: `${directory}.wh.${name}` });
    if (directory !== '') this.#whiteoutDirectories.add(directory.slice(0, -1));
  }

  opaque(directory: string): void {
    this.#add({ ...whiteoutEntry, path: `${directory}.wh..wh..opq` });
    if (directory === '') this.#rootOpaque = true;
  }

  /** The layer says what `/` looks like. */
  root(entry: Required<Pick<NewTarEntry, 'mode' | 'uid' | 'gid' | 'modifiedAt' | 'extendedAttributes'>>): void {
    this.entry({ ...entry, type: 'directory', path: '.' });
    const extendedAttributes = Object.fromEntries(
      [...entry.extendedAttributes].map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    );
    this.#root = { mode: entry.mode, uid: entry.uid, gid: entry.gid, modifiedAt: entry.modifiedAt, extendedAttributes };
  }

  finish(): LayerContent {
    this.#write(endOfArchive);
    this.#flush();
    const diffId = `sha256:${this.#hash.digest('hex')}` as DiffId;
    const record: LayerRecord = {
      diffId,
      sizeBytes: this.#fileBytes,
      entries: this.#entries,
      root: this.#root,
      rootOpaque: this.#rootOpaque,
      whiteoutDirectories: [...this.#whiteoutDirectories],
    };
    return { diffId, tarBytes: this.#tarBytes, record };
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #add(entry: NewTarEntry): void {
    const { entries } = defaultUnpackLimits;
    if (++this.#entries > entries) throw invalid(`a layer can't have more than ${entries} files and directories: split the step`);
    this.#write(encodeTarHeader(entry));
  }

  #countFile(entry: NewTarEntry, sizeBytes: number): void {
    this.#fileBytes += sizeBytes;
    const { layerBytes } = defaultUnpackLimits;
    if (this.#fileBytes > layerBytes) {
      throw invalid(`the files of the layer take more than ${layerBytes} bytes, the limit (${printableName(`/${entry.path}`)})`);
    }
    this.entry({ ...entry, type: 'file', sizeBytes });
  }

  #copy(entry: NewTarEntry, file: number, sizeBytes: number, copy: number | null): void {
    for (let at = 0; at < sizeBytes; ) {
      if (this.#length === BUFFER_BYTES) {
        this.#checkpoint();
        this.#flush();
      }
      const read = readSync(file, this.#buffer, this.#length, Math.min(sizeBytes - at, BUFFER_BYTES - this.#length), at);
      if (read === 0) throw new EngineError('system', `${printableName(`/${entry.path}`)} was cut short while it was read`);
      if (copy !== null) writeAll(copy, this.#buffer.subarray(this.#length, this.#length + read));
      this.#length += read;
      at += read;
    }
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#length === BUFFER_BYTES) this.#flush();
      const part = bytes.subarray(at, at + BUFFER_BYTES - this.#length);
      this.#buffer.set(part, this.#length);
      this.#length += part.length;
      at += part.length;
    }
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#length);
    writeAll(this.#file, bytes);
    this.#hash.update(bytes);
    this.#tarBytes += bytes.length;
    this.#length = 0;
  }
}

/** What no archive of a layer can say. */
function checkEntry({ path, extendedAttributes }: NewTarEntry): void {
  const { nameBytes } = defaultUnpackLimits;
  if (path.length * 3 > nameBytes && Buffer.byteLength(path) > nameBytes) {
    throw invalid(`a layer can't hold a path of more than ${nameBytes} bytes: ${printableName(`/${path}`)}`);
  }
  if (path.startsWith('.wh.', path.lastIndexOf('/') + 1)) {
    throw invalid(
      `${printableName(`/${path}`)} can't be in a layer: names that start with .wh. say there what was removed. Give it another name`,
    );
  }
  for (const name of extendedAttributes?.keys() ?? []) {
    // A PAX record ends its key there.
    if (name.includes('=')) {
      throw invalid(`a layer can't hold the attribute ${printableName(name)} of ${printableName(path)}: its name has a =`);
    }
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}
