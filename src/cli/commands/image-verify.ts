/** `image verify`: 0 when everything is as its digests say, 1 when something is not. */
import type { ImageVerification } from '../../client/image-study-types.ts';
import type { Command, CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { shortId } from '../format/ellipsis.ts';
import { humanSize } from '../format/size-text.ts';

export const imageVerify: Command = {
  usage: '[OPTIONS] [IMAGE...]',
  flags: defineFlags(`
  -q, --quiet   Only print what is wrong
`),
  args: { min: 0, max: Number.POSITIVE_INFINITY },
  async run(context) {
    const names = context.args.length > 0 ? context.args : await allImages(context);
    let isWhole = true;
    for (const name of names) isWhole = (await verify(context, name)) && isWhole;
    return isWhole ? 0 : 1;
  },
};

/** Each image once, by the name that people know. */
async function allImages({ client }: CommandContext): Promise<readonly string[]> {
  return (await client.images.list({ all: true })).map(
    ({ Id, RepoTags }) => RepoTags?.find((tag) => tag !== '<none>:<none>') ?? shortId(Id),
  );
}

async function verify(context: CommandContext, name: string): Promise<boolean> {
  let report: ImageVerification;
  try {
    report = await context.client.images.verify(name);
  } catch (error) {
    context.printError(`${errorMessage(error)}\n`);
    return false;
  }
  for (const { Kind, What, Text } of report.Findings) context.print(`${name}: ${Kind} ${What}: ${Text}\n`);
  if (report.Findings.length > 0) return false;
  if (!context.flags.bool('quiet')) context.print(`${name}: ok (${amounts(report)})\n`);
  return true;
}

function amounts({ Blobs, Layers, Files, Bytes }: ImageVerification): string {
  const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;
  return `${count(Blobs, 'blob')}, ${count(Layers, 'layer')}, ${count(Files, 'file')}, ${humanSize(Bytes)} read`;
}
