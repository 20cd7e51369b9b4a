import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
import { fileErrorText } from '../file-error.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../progress/show-progress.ts';

const CHUNK_BYTES = 256 * 1024;

export const imageImport: Command = {
  usage: '[OPTIONS] file|URL|- [REPOSITORY[:TAG]]',
  flags: defineFlags(`
  -c, --change list       Apply Dockerfile instruction to the created image
  -m, --message string    Set commit message for imported image
      --platform string   Set platform if server is multi-platform capable
`),
  args: { min: 1, max: 2 },
  async run(context) {
    const { flags, client, io } = context;
    const [source = '', repository = ''] = context.args;
    const query = { repository, message: flags.string('message'), changes: flags.list('change'), platform: flags.string('platform') };
    const progress = /^https?:\/\//.test(source)
      ? await client.images.importUrl(source, query)
      : await client.images.importTar(await openTar(source, io.stdin), query);
    await showProgress(progress, io.stdout);
    return 0;
  },
};

async function openTar(source: string, stdin: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> {
  if (source === '-') return stdin;
  await access(source).catch((error: Error) => {
    throw new CliError(fileErrorText(error), 1, { cause: error });
  });
  return createReadStream(source, { highWaterMark: CHUNK_BYTES });
}
