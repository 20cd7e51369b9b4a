/**
 * A streaming tar reader without any I/O of its own: bytes are pushed in, entries and their content come out by synchronous calls, in order:
 *
 *   entry(e) { content(bytes, offset) } endOfEntry()      …for every entry
 *
 * Knows v7, ustar, PAX (global and per file) and GNU archives with long names, base-256 numbers and all sparse formats. Damaged, contradictory or
 * oversized headers end in an `invalid` error. It judges encoding only: where a path may lead is the business of whoever writes to a disk.
 *
 *            ┌────────────────────────────────────────────────┐
 *   header ──┼─▶ metadata (PAX, long name) ──▶ header         │
 *            ├─▶ sparse extension* ─┐                         │
 *            ├─▶ sparse map* ───────┴▶ content ──▶ padding ───┘
 *            └─▶ end (two zero blocks; what follows is ignored, as every reader does)
 */
import { printableName } from '../base/byte-name.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { ExtendedHeaders } from './extended-headers.ts';
import { ContentMap, verifyExtents } from './sparse-map.ts';
import { BLOCK_BYTES, defaultTarLimits, type Extent, paddingBytes, type TarEntry, type TarEntryType, type TarLimits } from './tar-entry.ts';
import { isZeroBlock, parseHeader, parseSparseExtension, parseSparseHeader, type RawHeader } from './tar-header.ts';

export interface TarHandler {
  entry(entry: TarEntry): void;
  /** A view of what was pushed: valid during the call only. `offset` is the place in the file; holes are skipped. */
  content(bytes: Uint8Array, offset: number): void;
  endOfEntry(): void;
}

type State = 'header' | 'metadata' | 'sparse-extension' | 'sparse-map' | 'content' | 'padding' | 'end';

const typeNames: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hard-link',
  '2': 'symbolic-link',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

const refusedTypes: Readonly<Record<string, string>> = {
  M: 'a file continued from another volume',
  V: 'a volume label',
  D: 'a directory dump',
  N: 'old long names',
  A: 'Solaris access control lists',
  X: 'an old Sun extended header',
};

export class TarReader {
  readonly #handler: TarHandler;
  readonly #limits: TarLimits;
  #state: State = 'header';
  /** Headers of all kinds, metadata too, and entries handed out. */
  #headers = 0;
  #entries = 0;
  #zeroBlocks = 0;

  /** Collects a block or a metadata body that is spread over several pushes. */
  #pending: Buffer = Buffer.alloc(BLOCK_BYTES);
  #pendingLength = 0;
  #pendingWanted = BLOCK_BYTES;

  #metadataType = '';
  readonly #extended: ExtendedHeaders;

  #raw: RawHeader | null = null;
  #extents: Extent[] = [];
  #contentMap: ContentMap | null = null;
  #realSize = 0;
  #stored = 0;
  #remaining = 0;
  #padding = 0;
  /** A content has just ended: of its padding nothing has come. */
  #isUnpadded = false;
  /** Where the next stored byte goes: in an extent of a sparse file, else simply the count of bytes so far. */
  #position = 0;
  #sparse: readonly Extent[] | null = null;
  #extentIndex = 0;

  constructor(handler: TarHandler, limits: Partial<TarLimits> = {}) {
    this.#handler = handler;
    this.#limits = { ...defaultTarLimits, ...limits };
    this.#extended = new ExtendedHeaders(this.#limits.extendedHeaderBytes);
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && this.#state !== 'end'; ) {
      if (this.#state === 'content') at += this.#pushContent(chunk, at);
      else if (this.#state === 'padding') at += this.#skipPadding(chunk.length - at);
      else at += this.#collect(chunk, at);
    }
  }

  /**
   * No more bytes will come. An archive without its two zero blocks is accepted when it ends between entries, as Docker does, and when it ends with the last one's content: the docker
   * command line writes neither padding nor zero blocks behind a Dockerfile that it adds to a context.
   */
  end(): void {
    const between = (this.#state === 'header' && this.#pendingLength === 0 && !this.#extended.isPending) || this.#isUnpadded;
    if (this.#state !== 'end' && !between) throw invalid('the tar archive is damaged: it ends in the middle of an entry');
  }

  /** True after the end-of-archive blocks: the rest of the stream does not matter. */
  get finished(): boolean {
    return this.#state === 'end';
  }

  #collect(chunk: Uint8Array, at: number): number {
    const wanted = this.#pendingWanted - this.#pendingLength;
    const available = Math.min(wanted, chunk.length - at);
    if (this.#pendingLength === 0 && available === wanted) {
      this.#complete(chunk.subarray(at, at + wanted));
      return available;
    }
    this.#pending.set(chunk.subarray(at, at + available), this.#pendingLength);
    this.#pendingLength += available;
    if (available === wanted) {
      this.#pendingLength = 0;
      this.#complete(this.#pending.subarray(0, this.#pendingWanted));
    }
    return available;
  }

  #complete(bytes: Uint8Array): void {
    if (this.#state === 'header') this.#header(bytes);
    else if (this.#state === 'metadata') this.#metadata(bytes);
    else if (this.#state === 'sparse-extension') this.#sparseExtension(bytes);
    else this.#sparseMap(bytes);
  }

  #expect(state: State, bytes: number): void {
    this.#state = state;
    this.#pendingWanted = bytes;
    if (this.#pending.length < bytes) this.#pending = Buffer.alloc(bytes);
    else if (this.#pending.length > 64 * 1024 && bytes === BLOCK_BYTES) this.#pending = Buffer.alloc(BLOCK_BYTES);
  }

  #header(block: Uint8Array): void {
    if (isZeroBlock(block)) {
      if (++this.#zeroBlocks === 2) this.#endOfArchive();
      return;
    }
    if (this.#zeroBlocks > 0) throw invalid('the tar archive is damaged: an empty block stands in front of an entry');
    const raw = parseHeader(block);
    if ('xgLK'.includes(raw.typeFlag)) {
      this.#startMetadata(raw);
      return;
    }
    this.#raw = raw;
    this.#start(raw, block);
  }

  #endOfArchive(): void {
    if (this.#extended.isPending) throw invalid('the tar archive is damaged: it ends after an extended header');
    this.#state = 'end';
  }

  #startMetadata(raw: RawHeader): void {
    if (raw.size > this.#limits.extendedHeaderBytes) {
      throw invalid(`the tar archive has an extended header of ${raw.size} bytes; the limit is ${this.#limits.extendedHeaderBytes}`);
    }
    this.#countHeader();
    this.#metadataType = raw.typeFlag;
    this.#stored = raw.size;
    const whole = raw.size + paddingBytes(raw.size);
    if (whole > 0) this.#expect('metadata', whole);
    else this.#metadata(new Uint8Array(0));
  }

  #metadata(padded: Uint8Array): void {
    this.#extended.add(this.#metadataType, padded.subarray(0, this.#stored));
    this.#expect('header', BLOCK_BYTES);
  }

  /** Decides where the map of a sparse file comes from; all other entries can be announced at once. */
  #start(raw: RawHeader, block: Uint8Array): void {
    this.#stored = this.#extended.number('size') ?? raw.size;
    this.#extents = [];
    this.#contentMap = null;
    if (raw.typeFlag === 'S') {
      this.#startOldSparse(block);
      return;
    }
    const sparse = raw.typeFlag === '0' || raw.typeFlag === '7' ? this.#extended.sparse() : null;
    this.#realSize = sparse?.realSize ?? 0;
    if (sparse?.kind === 'map-in-content') {
      this.#startContentMap();
    } else if (sparse === null) {
      this.#announce(null);
    } else {
      this.#extents = [...sparse.extents];
      this.#announceSparse();
    }
  }

  #startContentMap(): void {
    this.#contentMap = new ContentMap(this.#limits.extentsPerFile);
    this.#expect('sparse-map', BLOCK_BYTES);
  }

  #startOldSparse(block: Uint8Array): void {
    const table = parseSparseHeader(block);
    this.#realSize = table.realSize;
    this.#extents = [...table.extents];
    if (table.continues) this.#expect('sparse-extension', BLOCK_BYTES);
    else this.#announceSparse();
  }

  #sparseExtension(block: Uint8Array): void {
    const table = parseSparseExtension(block);
    this.#extents.push(...table.extents);
    this.#limitExtents();
    if (!table.continues) this.#announceSparse();
  }

  #sparseMap(block: Uint8Array): void {
    this.#stored -= BLOCK_BYTES;
    if (this.#stored < 0) throw invalid('the tar archive is damaged: the map of a sparse file is longer than its content');
    if (this.#contentMap?.push(block) !== true) return;
    this.#extents = [...this.#contentMap.extents()];
    this.#announceSparse();
  }

  #limitExtents(): void {
    if (this.#extents.length > this.#limits.extentsPerFile) {
      throw invalid(`the tar archive holds a sparse file of more than ${this.#limits.extentsPerFile} pieces`);
    }
  }

  #announceSparse(): void {
    this.#limitExtents();
    this.#announce(verifyExtents(this.#extents, this.#stored, this.#realSize));
  }

  #announce(extents: readonly Extent[] | null): void {
    this.#countHeader();
    const entry = this.#buildEntry(extents);
    this.#extended.clear();
    this.#sparse = extents;
    this.#extentIndex = 0;
    this.#position = 0;
    this.#remaining = entry.type === 'file' ? this.#stored : 0;
    this.#padding = paddingBytes(this.#remaining);
    this.#handler.entry(entry);
    this.#state = 'content';
    if (this.#remaining === 0) this.#endContent();
  }

  /** A PAX header, two long names and the entry itself are the most that one entry takes. */
  #countHeader(): void {
    if (++this.#headers > 4 * this.#limits.entries) throw this.#tooManyEntries();
  }

  #buildEntry(extents: readonly Extent[] | null): TarEntry {
    const raw = this.#raw;
    if (raw === null) throw new EngineError('system', 'tar reader: an entry without a header');
    if (++this.#entries > this.#limits.entries) throw this.#tooManyEntries();
    const path = this.#checkedName(this.#extended.path(raw), 'path');
    const type = this.#type(raw, path);
    const isLink = type === 'hard-link' || type === 'symbolic-link';
    const size = type === 'file' ? (extents === null ? this.#stored : this.#realSize) : 0;
    if (size > this.#limits.fileBytes) {
      throw invalid(`the tar archive holds a file of ${size} bytes, ${printableName(path)}; the limit is ${this.#limits.fileBytes}`);
    }
    return {
      type,
      path: withoutTrailingSlashes(path),
      linkTarget: isLink ? this.#checkedName(this.#extended.linkTarget(raw), 'link target') : '',
      sizeBytes: size,
      mode: raw.mode,
      uid: this.#extended.number('uid') ?? raw.uid,
      gid: this.#extended.number('gid') ?? raw.gid,
      userName: this.#extended.text('uname') ?? raw.userName,
      groupName: this.#extended.text('gname') ?? raw.groupName,
      modifiedAt: this.#extended.modifiedAt(raw),
      deviceMajor: raw.deviceMajor,
      deviceMinor: raw.deviceMinor,
      extendedAttributes: this.#extended.extendedAttributes(),
      extents,
    };
  }

  #tooManyEntries(): Error {
    return invalid(`the tar archive holds more than ${this.#limits.entries} entries, the limit`);
  }

  #type(raw: RawHeader, path: string): TarEntryType {
    const type = typeNames[raw.typeFlag];
    if (type === undefined) {
      const known = refusedTypes[raw.typeFlag];
      throw invalid(
        `the tar archive holds an entry of type ${printableName(raw.typeFlag)}${known === undefined ? '' : ` (${known})`}, which is not supported: ${printableName(path)}`,
      );
    }
    // Before ustar had a type for them, directories were files whose name ends in a slash.
    return raw.typeFlag === '0' && path.endsWith('/') ? 'directory' : type;
  }

  #checkedName(name: string, what: string): string {
    if (name === '') throw invalid(`the tar archive is damaged: an entry has an empty ${what}`);
    const tooLong =
      name.length > this.#limits.nameBytes ||
      (name.length * 3 > this.#limits.nameBytes && Buffer.byteLength(name) > this.#limits.nameBytes);
    if (tooLong)
      throw invalid(
        `the tar archive has an entry whose ${what} is longer than ${this.#limits.nameBytes} bytes, the limit: ${printableName(name)}`,
      );
    return name;
  }

  #pushContent(chunk: Uint8Array, at: number): number {
    const extent = this.#sparse?.[this.#extentIndex];
    const inExtent = extent === undefined ? this.#remaining : extent.length - this.#position;
    const length = Math.min(inExtent, chunk.length - at);
    this.#handler.content(chunk.subarray(at, at + length), (extent?.offset ?? 0) + this.#position);
    this.#position += length;
    this.#remaining -= length;
    if (extent !== undefined && this.#position === extent.length) {
      this.#extentIndex++;
      this.#position = 0;
    }
    if (this.#remaining === 0) this.#endContent();
    return length;
  }

  #endContent(): void {
    this.#handler.endOfEntry();
    this.#isUnpadded = this.#padding > 0;
    if (this.#padding > 0) this.#state = 'padding';
    else this.#expect('header', BLOCK_BYTES);
  }

  #skipPadding(available: number): number {
    const length = Math.min(available, this.#padding);
    this.#padding -= length;
    this.#isUnpadded = false;
    if (this.#padding === 0) this.#expect('header', BLOCK_BYTES);
    return length;
  }
}

function withoutTrailingSlashes(path: string): string {
  let end = path.length;
  while (end > 1 && path[end - 1] === '/') end--;
  return path.slice(0, end);
}
