/** The few shapes that the functions of NVML have: each gives a status, and what it tells through pointers. A function that this library lacks, or that fails, gives null. */
import { EngineError } from '../base/errors.ts';
import { type NativeArgument, type NativeCall, openLibrary } from './ffi.ts';

/** A pointer of the library's own. */
export type NvmlDevice = bigint;

/** Why nothing can be asked: the library cannot be used at all. */
export class NvmlError extends EngineError {
  override readonly name = 'NvmlError';

  constructor(call: string, status: number) {
    super('unavailable', `${call}: ${statusTexts[status] ?? `error ${status}`}`, { details: { call, status } });
  }
}

const success = 0;
const notFound = 6;
const insufficientSize = 7;
const functionNotFound = 13;

const statusTexts: Readonly<Record<number, string>> = {
  2: 'invalid argument', 3: 'not supported', 4: 'no permission', 6: 'not found', 8: 'a power cable of a GPU is not connected',
  9: 'the NVIDIA driver is not loaded', 10: 'timed out', 11: 'the kernel has a problem with the interrupts of a GPU',
  12: 'a library of the driver cannot be found', 13: 'this version of the library has no such function', 14: 'the InfoROM of a GPU is corrupted',
  15: 'a GPU has fallen off the bus', 16: 'a GPU needs a reset', 17: 'a GPU is blocked by the operating system',
  18: "the driver's kernel module and its libraries have different versions: load the module again, or restart the machine",
  20: 'out of memory', 23: 'insufficient resources', 27: 'the system is not ready', 28: 'no GPU was found', 999: 'an unknown error',
}; // biome-ignore format: a table

/** NVML_DEVICE_NAME_V2_BUFFER_SIZE, the longest of its texts. */
const textBytes = 96;
/** More entries than have been seen; asked again with room for all when there are more. */
const firstRoom = 64;
const mostRoom = 65_536;

export interface ListLayout<T> {
  /** Of the largest entry that a version writes. */
  readonly entryBytes: number;
  /** What the room is filled with before. */
  readonly fill: number;
  /** `count` comes after the device, or after the entries. */
  readonly countFirst: boolean;
  read(bytes: Buffer, count: number): readonly T[];
}

export class NvmlCalls {
  readonly #library: ReturnType<typeof openLibrary>;
  readonly #bound = new Map<string, NativeCall | null>();

  /** Throws when the library cannot be loaded. */
  constructor(path: string) {
    this.#library = openLibrary(path);
  }

  status(symbol: string, ...values: readonly NativeArgument[]): number {
    let bound = this.#bound.get(symbol);
    if (bound === undefined) {
      bound = this.#library.bind(symbol, 'int', values.map(typeOf));
      this.#bound.set(symbol, bound);
    }
    return bound === null ? functionNotFound : bound(...values);
  }

  require(symbol: string, ...values: readonly NativeArgument[]): void {
    const status = this.status(symbol, ...values);
    if (status !== success) throw new NvmlError(symbol, status);
  }

  /** A pointer to that many bytes comes last. */
  bytes(symbol: string, sizeBytes: number, values: readonly NativeArgument[], bytes = Buffer.alloc(sizeBytes)): Buffer | null {
    return this.status(symbol, ...values, bytes) === success ? bytes : null;
  }

  number(symbol: string, ...values: readonly NativeArgument[]): number | null {
    return this.bytes(symbol, 4, values)?.readUInt32LE(0) ?? null;
  }

  device(symbol: string, ...values: readonly NativeArgument[]): NvmlDevice | null {
    return this.bytes(symbol, 8, values)?.readBigUInt64LE(0) ?? null;
  }

  /** A pointer to the text and the room there come last. */
  text(symbol: string, ...values: readonly NativeArgument[]): string | null {
    const bytes = Buffer.alloc(textBytes);
    return this.status(symbol, ...values, bytes, textBytes) === success ? textOf(bytes) : null;
  }

  list<T>(layout: ListLayout<T>, symbol: string, device: NvmlDevice, ...rest: readonly NativeArgument[]): readonly T[] | null {
    for (let room = firstRoom; room <= mostRoom; ) {
      const entries = Buffer.alloc(room * layout.entryBytes, layout.fill);
      const count = Buffer.alloc(4);
      count.writeUInt32LE(room, 0);
      const status = this.status(symbol, device, ...(layout.countFirst ? [count, entries] : [entries, count]), ...rest);
      const found = count.readUInt32LE(0);
      if (status === success) return layout.read(entries, Math.min(found, room));
      if (status === notFound) return [];
      if (status !== insufficientSize) return null;
      // Some may have come meanwhile.
      room = Math.max(2 * room, found + firstRoom);
    }
    return null;
  }
}

/** Up to its zero byte. Names come from firmware: no control characters reach a terminal. */
export function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end).replace(/[^\x20-\x7e]/g, '?');
}

/** A pointer of the library's own is passed on as the number that it is: on x86-64 and arm64 both are called alike. */
function typeOf(value: NativeArgument): string {
  if (typeof value === 'bigint') return 'uint64_t';
  return typeof value === 'number' ? 'uint' : 'void *';
}
