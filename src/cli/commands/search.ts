import { registryHost } from '../../client/credentials/registry-key.ts';
import type { FoundImage } from '../../client/types.ts';
import { type Command, oneArgument } from '../command.ts';
import { credentialsFor } from '../config/credentials.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ellipsis } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { Struct } from '../template/go-value.ts';

const headers = { Name: 'NAME', Description: 'DESCRIPTION', StarCount: 'STARS', IsOfficial: 'OFFICIAL' };

const DESCRIPTION_WIDTH = 45;

export const search: Command = {
  usage: '[OPTIONS] TERM',
  flags: defineFlags(`
  -f, --filter filter   Filter output based on conditions provided: is-official=true, stars=3
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --limit int       Max number of search results
      --no-trunc        Don't truncate output
`),
  args: oneArgument,
  async run(context) {
    const { flags, client, args } = context;
    const term = args[0] ?? '';
    const found = await client.images.search({
      term,
      limit: flags.int('limit'),
      filters: collectFilters(flags),
      credentials: await credentialsFor(context, searchedRegistry(term)),
    });
    const format = flags.string('format');
    const shape = { words: format === 'json', truncate: !flags.bool('no-trunc') };
    const defaultTable = '{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}';
    context.print(
      formatRows(
        { format, defaultTable, headers },
        found.map((image) => searchRow(image, shape)),
      ),
    );
    return 0;
  },
};

/** `localhost:5000/term`: that registry; else Docker's Hub. */
function searchedRegistry(term: string): string {
  const slash = term.indexOf('/');
  const first = slash === -1 ? '' : term.slice(0, slash);
  return /[.:]/.test(first) || first === 'localhost' ? registryHost(first) : 'docker.io';
}

function searchRow(image: FoundImage, shape: { readonly words: boolean; readonly truncate: boolean }): Struct {
  const description = image.description.replaceAll(/[\r\n]/g, ' ');
  const [yes, no] = shape.words ? ['true', 'false'] : ['[OK]', ''];
  return new Struct(
    '*registry.searchContext',
    {
      Description: shape.truncate ? ellipsis(description, DESCRIPTION_WIDTH) : description,
      IsOfficial: image.is_official ? yes : no,
      Name: image.name,
      StarCount: String(image.star_count),
    },
    { sorted: true },
  );
}
