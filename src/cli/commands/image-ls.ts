import type { Filters } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { formatRows } from '../format/row-format.ts';
import { addFilter, collectFilters } from '../parse/filter-option.ts';
import { imageHeaders, imageRows, imageTable, imageTableWithDigests } from '../views/image-row.ts';

export const imageLs: Command = {
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  flags: defineFlags(`
  -a, --all             Show all images (default hides intermediate images)
      --digests         Show digests
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-trunc        Don't truncate output
  -q, --quiet           Only show image IDs
      --tree            List images with their platforms and who uses them
      --layers          With --tree: show the layers too, and which other images have them (beyond Docker)
`),
  args: { min: 0, max: 1 },
  async run(context) {
    const { flags, client, config, args } = context;
    const filters = collectFilters(flags);
    if (args[0] !== undefined) addFilter(filters, 'reference', args[0]);
    if (flags.bool('tree')) return showTree(context, filters);
    if (flags.bool('layers')) throw new CliError('--layers needs --tree');
    const quiet = flags.bool('quiet');
    const format = flags.string('format') || (quiet ? '' : (config.file.imagesFormat ?? ''));
    const images = await client.images.list({ all: flags.bool('all'), filters });
    const digests = flags.bool('digests') || /\.Digest\b/.test(format);
    const rows = images.flatMap((image) => imageRows(image, { truncate: !flags.bool('no-trunc'), digests }));
    const isQuiet = quiet && (format === '' || format === 'table');
    const table = flags.bool('digests') ? imageTableWithDigests : imageTable;
    context.print(formatRows({ format: isQuiet ? '{{.ID}}' : format, defaultTable: table, headers: imageHeaders }, rows));
    return 0;
  },
};

async function showTree(context: CommandContext, filters: Filters): Promise<number> {
  const { flags, client } = context;
  const odd = ['quiet', 'digests', 'format'].find((name) => flags.has(name));
  if (odd !== undefined) throw new CliError(`--${odd} is not supported with --tree`);
  const [listed, all, containers] = await Promise.all([
    client.images.list({ all: flags.bool('all'), filters }),
    client.images.tree(),
    client.containers.list({ all: true }),
  ]);
  // Filters are those of the list; it has their order, too.
  const trees = new Map(all.map((image) => [image.Id, image]));
  const names = new Map(containers.map(({ Id, Names }) => [Id, (Names?.[0] ?? '').replace(/^\//, '')]));
  const { imageTreeText } = await import('../views/image-tree.ts');
  const options = { layers: flags.bool('layers'), truncate: !flags.bool('no-trunc'), now: Date.now(), names };
  const chosen = listed.flatMap(({ Id }) => trees.get(Id) ?? []);
  context.print(imageTreeText(chosen, all, options));
  return 0;
}
