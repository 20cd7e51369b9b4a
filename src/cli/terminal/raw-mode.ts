/** The terminal in raw mode: every key goes to the container. Given back in every ending, also when the process exits in between. */
import type { CliInput } from '../cli-io.ts';

export interface RawMode extends Disposable {
  restore(): void;
}

export function enterRawMode(stdin: CliInput): RawMode {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return { restore() {}, [Symbol.dispose]() {} };
  stdin.setRawMode(true);
  const restore = (): void => {
    process.off('exit', restore);
    stdin.setRawMode?.(false);
  };
  process.once('exit', restore);
  return { restore, [Symbol.dispose]: restore };
}
