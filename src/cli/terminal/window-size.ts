/** The size of our terminal, passed on to the container's at the start and at every change. */
import type { CliOutput } from '../cli-io.ts';

export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

export function windowSize(stdout: CliOutput): WindowSize {
  return stdout.isTTY === true ? { rows: stdout.rows ?? 0, columns: stdout.columns ?? 0 } : { rows: 0, columns: 0 };
}

const RETRIES = 5;

/** Until disposed. The first resize may come before the process exists: it is tried again. */
export function followWindowSize(stdout: CliOutput, resize: (size: WindowSize) => Promise<void>): Disposable {
  let over = false;
  const send = async (attempt: number): Promise<void> => {
    const size = windowSize(stdout);
    if (over || size.rows === 0 || size.columns === 0) return;
    try {
      await resize(size);
    } catch {
      if (attempt >= RETRIES) return;
      await new Promise((wake) => setTimeout(wake, 10 * 2 ** attempt));
      await send(attempt + 1);
    }
  };
  const onResize = (): void => void send(RETRIES);
  stdout.on('resize', onResize);
  void send(0);
  return {
    [Symbol.dispose]() {
      over = true;
      stdout.off('resize', onResize);
    },
  };
}
