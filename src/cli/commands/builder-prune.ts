import { parseByteSize } from '../../base/byte-size.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { humanSize } from '../format/size-text.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { confirm } from '../terminal/confirm.ts';

const SPACES = ['keep-storage', 'reserved-space', 'max-used-space', 'min-free-space'];

export const builderPrune: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -a, --all                     Also what images use
      --filter filter           Provide filter values (e.g. "until=24h", "type=exec.cachemount")
  -f, --force                   Do not prompt for confirmation
      --keep-storage string     The older name of --reserved-space
      --max-used-space string   At most so much is left
      --min-free-space string   So much is free on the disk afterwards
      --reserved-space string   So much is kept in any case, the latest used
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const filters = collectFilters(flags);
    const spaces = Object.fromEntries(SPACES.map((name) => [name, flags.parsed(name, parseByteSize)]));
    const what = flags.bool('all') ? 'all build cache' : 'all build cache that no image uses';
    if (!flags.bool('force') && !(await confirm(context, `WARNING! This will remove ${what}. Are you sure you want to continue?`)))
      return 0;
    const { CachesDeleted, SpaceReclaimed = 0 } = await client.builder.prune({ all: flags.bool('all'), filters, spaces });
    const deleted = CachesDeleted ?? [];
    if (deleted.length > 0) context.print(`Deleted build cache objects:\n${deleted.join('\n')}\n\n`);
    context.print(`Total reclaimed space: ${humanSize(SpaceReclaimed)}\n`);
    return 0;
  },
};
