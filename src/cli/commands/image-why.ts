/** `image why DIGEST`: everything that keeps a layer, a manifest or a config from being removed. */
import type { DigestUse } from '../../client/image-study-types.ts';
import { type Command, oneArgument } from '../command.ts';
import { shortId } from '../format/ellipsis.ts';
import { humanSize } from '../format/size-text.ts';
import { alignColumns } from '../format/tab-writer.ts';

export const imageWhy: Command = {
  usage: 'LAYER|BLOB',
  flags: [],
  args: oneArgument,
  async run(context) {
    context.print(useText(await context.client.images.why(context.args[0] ?? '')));
    return 0;
  },
};

function useText(use: DigestUse): string {
  const { Digest, As, Size, Images, Containers, Others } = use;
  const rows = [
    ...Images.map(({ Id, RepoTags, Why }) => ['image', RepoTags[0] ?? '<untagged>', shortId(Id), [Why, ...alsoNamed(RepoTags)].join(', ')]),
    ...Containers.map(({ Id, Name, Image }) => ['container', Name.replace(/^\//, ''), shortId(Id), `made from ${shortId(Image)}`]),
    ...Others.map((text) => ['other', text, '', '']),
  ];
  const title = `${Digest}: ${As.join(' and ')}, ${humanSize(Size)}\n`;
  if (rows.length === 0) return `${title}Nobody needs it.\n`;
  return `${title}${alignColumns(['NEEDED BY\tNAME\tID\tAS', ...rows.map((row) => row.join('\t'))].join('\n')).replaceAll(/ +$/gm, '')}\n`;
}

function alsoNamed([, ...others]: readonly string[]): readonly string[] {
  return others.length === 0 ? [] : [`also named ${others.join(', ')}`];
}
