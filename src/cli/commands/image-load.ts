import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { fileErrorText } from '../file-error.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../progress/show-progress.ts';

const CHUNK_BYTES = 256 * 1024;

export const imageLoad: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -i, --input string      Read from tar archive file, instead of STDIN
      --platform string   Load only the given platform variant (os[/arch[/variant]])
  -q, --quiet             Suppress the load output
`),
  args: noArguments,
  async run(context) {
    const { flags, client, io } = context;
    const tar = await openInput(context);
    const quiet = flags.bool('quiet') || io.stdout.isTTY !== true;
    await showProgress(await client.images.load(tar, { quiet, platform: flags.string('platform') }), io.stdout);
    return 0;
  },
};

async function openInput(context: CommandContext): Promise<AsyncIterable<Buffer>> {
  const path = context.flags.string('input');
  if (path === '') {
    if (context.io.stdin.isTTY === true) throw new CliError('requested load from stdin, but stdin is empty');
    return context.io.stdin as AsyncIterable<Buffer>;
  }
  await access(path).catch((error: Error) => {
    throw new CliError(fileErrorText(error), 1, { cause: error });
  });
  return createReadStream(path, { highWaterMark: CHUNK_BYTES });
}
