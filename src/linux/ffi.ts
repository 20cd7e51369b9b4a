/**
 * The way to the C library: symbols are bound by name and looked up at their first call, since loading koffi takes 15–26 ms that most command lines
 * don't need. A call takes ~0.4 µs. Wrappers with types and error checks stand in the files beside this one; nothing outside `linux/` calls `bind`.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { printableName } from '../base/byte-name.ts';
import { SystemCallError } from '../base/errors.ts';

/** C types as koffi spells them: `int`, `uint`, `long`, `size_t`, `uint64_t`, `void *` (a Uint8Array or null). */
export type NativeArgument = number | bigint | Uint8Array | null;
export type NativeCall = (...values: readonly NativeArgument[]) => number;

interface Koffi {
  load(path: string | null): { func(name: string, result: string, parameters: readonly string[]): KoffiFunction };
  errno(): number;
}

type KoffiFunction = NativeCall & {
  async(...parameters: readonly (NativeArgument | ((failure: Error | null, result: number) => void))[]): void;
};

let koffi: Koffi | null = null;
let library: ReturnType<Koffi['load']> | null = null;

/** Through `require`, not `import`: it stays lazy, and a bundler leaves it alone. */
function load(): Koffi {
  koffi ??= createRequire(import.meta.url)('koffi') as Koffi;
  return koffi;
}

/**
 * Variadic functions (`openat`, `syscall`, `fcntl`) may be bound with fixed parameters: on x86-64 and arm64 Linux both are called alike.
 * The result is -1 on error; the kernel's errno is then read by `systemCallError` before anything else is called.
 */
export function bind(symbol: string, result: string, parameters: readonly string[]): NativeCall {
  let call: NativeCall | null = null;
  return (...values) => {
    if (call === null) {
      library ??= load().load('libc.so.6');
      call = library.func(symbol, result, parameters);
    }
    return call(...values);
  };
}

/** In a thread of libuv's pool. The result alone comes back: errno stays in that thread. */
export function bindAsync(
  symbol: string,
  result: string,
  parameters: readonly string[],
): (...values: readonly NativeArgument[]) => Promise<number> {
  let call: KoffiFunction | null = null;
  return (...values) => {
    if (call === null) {
      library ??= load().load('libc.so.6');
      call = library.func(symbol, result, parameters);
    }
    const bound = call;
    return new Promise((resolve, reject) => {
      bound.async(...values, (failure, value) => (failure === null ? resolve(value) : reject(failure)));
    });
  };
}

/** Another library than the C library, by its path. Throws when it cannot be loaded, with what the loader says. */
export function openLibrary(path: string): { bind(symbol: string, result: string, parameters: readonly string[]): NativeCall | null } {
  const opened = load().load(path);
  return {
    /** Null: this version of the library has no such symbol. */
    bind(symbol, result, parameters) {
      try {
        return opened.func(symbol, result, parameters);
      } catch {
        return null;
      }
    },
  };
}

/** errno of the last native call of this thread. */
export function lastErrno(): number {
  return load().errno();
}

/** Two names of one number (EAGAIN, EWOULDBLOCK): the one that callers compare with. */
const errnoNames: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([name, value]): [number, string] => [value, name]),
  [constants.errno.EAGAIN, 'EAGAIN'],
]);

export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

export function systemCallError(call: string, what: string): SystemCallError {
  const errno = lastErrno();
  return new SystemCallError(call, errno, errnoName(errno), printableName(what));
}

/** Passes a result on, or throws what the kernel said. */
export function checked(result: number, call: string, what: string): number {
  if (result < 0) throw systemCallError(call, what);
  return result;
}

export function isErrno(thrown: unknown, ...names: readonly string[]): thrown is SystemCallError {
  return thrown instanceof SystemCallError && names.includes(thrown.errnoName);
}
