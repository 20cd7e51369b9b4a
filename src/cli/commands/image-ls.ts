import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
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
      --tree            List multi-platform images as a tree
`),
  args: { min: 0, max: 1 },
  async run(context) {
    const { flags, client, config, args } = context;
    if (flags.bool('tree'))
      throw new CliError('--tree is not supported: an image is kept for one platform here, so there is no tree of platforms to show');
    const filters = collectFilters(flags);
    if (args[0] !== undefined) addFilter(filters, 'reference', args[0]);
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
