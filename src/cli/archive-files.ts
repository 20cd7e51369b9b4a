/** Archives between the daemon and a file, or standard input and output. */
import { createReadStream } from 'node:fs';
import { access, open, rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { CliError } from './cli-error.ts';
import type { CommandContext } from './command.ts';
import { fileErrorText } from './file-error.ts';
import { writeBytes } from './output.ts';

const CHUNK_BYTES = 256 * 1024;

/** `path` empty: standard output. Beside the target first: an archive that was cut off never carries the name asked for. */
export async function writeArchive({ io }: Pick<CommandContext, 'io'>, tar: Readable, path: string): Promise<void> {
  if (path === '') {
    for await (const chunk of tar as AsyncIterable<Buffer>) await writeBytes(io.stdout, chunk);
    return;
  }
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      for await (const chunk of tar as AsyncIterable<Buffer>) await file.write(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    tar.destroy();
    await rm(temporary, { force: true });
    throw new CliError(`cannot save to ${path}: ${fileErrorText(error)}`, 1, { cause: error });
  }
}

/** To be asked before the daemon is. */
export function refuseTerminal({ io }: Pick<CommandContext, 'io'>, path: string): void {
  if (path === '' && io.stdout.isTTY === true) throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
}

/** `path` empty: standard input. `what` is named in the complaint about a terminal: "load". */
export async function readArchive({ io }: Pick<CommandContext, 'io'>, path: string, what: string): Promise<AsyncIterable<Buffer>> {
  if (path === '') {
    if (io.stdin.isTTY === true) throw new CliError(`requested ${what} from stdin, but stdin is empty`);
    return io.stdin as AsyncIterable<Buffer>;
  }
  await access(path).catch((error: Error) => {
    throw new CliError(fileErrorText(error), 1, { cause: error });
  });
  return createReadStream(path, { highWaterMark: CHUNK_BYTES });
}
