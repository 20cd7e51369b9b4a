import { open, rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { fileErrorText } from '../file-error.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { writeBytes } from '../output.ts';

export const imageSave: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: defineFlags(`
  -o, --output string     Write to a file, instead of STDOUT
      --platform string   Save only the given platform variant (os[/arch[/variant]])
`),
  args: someArguments,
  async run(context) {
    const { flags, client, io } = context;
    const path = flags.string('output');
    if (path === '' && io.stdout.isTTY === true) throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
    const tar = await client.images.save(context.args, flags.string('platform'));
    if (path !== '') await writeFile(tar, path);
    else for await (const chunk of tar as AsyncIterable<Buffer>) await writeBytes(io.stdout, chunk);
    return 0;
  },
};

/** Beside the target first: an archive that was cut off never carries the name asked for. */
async function writeFile(tar: Readable, path: string): Promise<void> {
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
