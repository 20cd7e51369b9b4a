/** The terminal in raw mode: every key goes to the container. Given back in every ending, also when the process exits in between. */
import type { CliInput } from '../cli-io.ts';

export interface RawMode extends Disposable {
  restore(): void;
}

/** `output` too: what the container's own terminal has prepared must not be prepared again (Node's raw mode leaves that on). */
export function enterRawMode(stdin: CliInput, what: 'input' | 'input and output' = 'input and output'): RawMode {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return { restore() {}, [Symbol.dispose]() {} };
  stdin.setRawMode(true);
  const restore = (): void => {
    process.off('exit', restore);
    // Back to everything that was saved at the first change, what stty changed included.
    stdin.setRawMode?.(false);
  };
  process.once('exit', restore);
  if (what === 'input and output') stopOutputProcessing(stdin);
  return { restore, [Symbol.dispose]: restore };
}

/**
 * Without this every `\n` of the container becomes `\r\n` once more, which breaks programs that move the cursor down by it. Node has no call
 * for it, so stty does it (3 ms, only for terminals); where there is none, the terminal stays as Node makes it.
 */
function stopOutputProcessing(stdin: CliInput): void {
  const fd = 'fd' in stdin && typeof stdin.fd === 'number' ? stdin.fd : null;
  if (fd === null) return;
  // Loaded only here: a container without a terminal must not pay for it.
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  spawnSync('stty', ['-opost'], { stdio: [fd, 'ignore', 'ignore'] });
}
