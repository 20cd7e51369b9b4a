/**
 * Writing to a person or a pipe. A reader that went away (`gantry ps | head -1`) is no error worth words: writing stops, and the
 * command ends with the exit code of SIGPIPE, as any other program's would.
 */
import type { CliInput, CliIo, CliOutput } from './cli-io.ts';

export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Streams whose reader is gone. Node's own stdout can't be asked: it is never destroyed. */
const closedStreams = new WeakSet<CliOutput>();

/** The process's streams, opened at first use only (that costs time), and never crashing over a reader that went away. */
export class WatchedIo implements CliIo {
  readonly #io: CliIo;
  readonly #used = new Set<CliOutput>();

  constructor(io: CliIo) {
    this.#io = io;
  }

  get stdin(): CliInput {
    return this.#io.stdin;
  }
  get stdout(): CliOutput {
    return this.#watched(this.#io.stdout);
  }
  get stderr(): CliOutput {
    return this.#watched(this.#io.stderr);
  }
  get env(): CliIo['env'] {
    return this.#io.env;
  }
  get cwd(): string {
    return this.#io.cwd;
  }

  #watched(stream: CliOutput): CliOutput {
    if (!this.#used.has(stream)) {
      this.#used.add(stream);
      stream.on('error', () => closedStreams.add(stream));
    }
    return stream;
  }

  /** Waits until everything written has left the process, so that an exit can't cut it off. */
  async flush(): Promise<void> {
    for (const stream of this.#used) {
      if (stream.writableLength === 0 || closedStreams.has(stream)) continue;
      await new Promise<void>((resolve) => {
        stream.once('error', () => resolve());
        stream.once('close', () => resolve());
        stream.write('', () => resolve());
      });
    }
  }
}

export function writeText(stream: CliOutput, text: string): void {
  if (text === '') return;
  if (closedStreams.has(stream)) throw new OutputClosed('output is closed');
  stream.write(text);
}

/** Resolves when the stream takes more (undefined: at once); rejects when its reader went away. */
export function writeBytes(stream: CliOutput, bytes: Uint8Array): Promise<void> | undefined {
  if (closedStreams.has(stream)) throw new OutputClosed('output is closed');
  if (stream.write(bytes)) return undefined;
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => (): void => {
      stream.off('drain', drained);
      stream.off('error', failed);
      stream.off('close', failed);
      settle();
    };
    const drained = finish(resolve);
    const failed = finish(() => reject(new OutputClosed('output is closed')));
    stream.on('drain', drained);
    stream.on('error', failed);
    stream.on('close', failed);
  });
}
