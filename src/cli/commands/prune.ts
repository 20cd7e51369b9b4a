/** `container prune`, `image prune`, `network prune`, `volume prune`, and `system prune`, which is all of them. */
import type { GantryClient } from '../../client/gantry-client.ts';
import type { Filters, PruneAnswer } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { humanSize } from '../format/size-text.ts';
import { addFilter, collectFilters } from '../parse/filter-option.ts';
import { confirm } from '../terminal/confirm.ts';

interface Pruned {
  readonly text: string;
  readonly bytes: number;
}

type Prune = (client: GantryClient, filters: Filters) => Promise<Pruned>;

function listed(title: string, names: readonly string[] | null | undefined): string {
  return names && names.length > 0 ? `${title}:\n${names.join('\n')}\n\n` : '';
}

function pruned(answer: PruneAnswer, title: string, names: readonly string[] | null | undefined): Pruned {
  return { text: listed(title, names), bytes: answer.SpaceReclaimed ?? 0 };
}

const pruneContainers: Prune = async (client, filters) => {
  const answer = await client.containers.prune(filters);
  return pruned(answer, 'Deleted Containers', answer.ContainersDeleted);
};

const pruneNetworks: Prune = async (client, filters) => {
  const answer = await client.networks.prune(filters);
  return pruned(answer, 'Deleted Networks', answer.NetworksDeleted);
};

const pruneVolumes: Prune = async (client, filters) => {
  const answer = await client.volumes.prune(filters);
  return pruned(answer, 'Deleted Volumes', answer.VolumesDeleted);
};

const pruneImages: Prune = async (client, filters) => {
  const answer = await client.images.prune(filters);
  const lines = (answer.ImagesDeleted ?? []).map((item) =>
    item.Untagged === undefined || item.Untagged === '' ? `deleted: ${item.Deleted}` : `untagged: ${item.Untagged}`,
  );
  return pruned(answer, 'Deleted Images', lines);
};

interface PruneKind {
  readonly flags: string;
  readonly warning: (context: CommandContext) => string;
  readonly prune: Prune;
  readonly filters: (context: CommandContext) => Filters;
  readonly reportsSpace: boolean;
}

function pruneCommand(kind: PruneKind): Command {
  return {
    usage: '[OPTIONS]',
    flags: defineFlags(`${kind.flags}
      --filter filter   Provide filter values (e.g. "until=<timestamp>")
  -f, --force           Do not prompt for confirmation
`),
    args: noArguments,
    async run(context) {
      const filters = kind.filters(context);
      if (
        !context.flags.bool('force') &&
        !(await confirm(context, `WARNING! ${kind.warning(context)}\nAre you sure you want to continue?`))
      )
        return 0;
      const { text, bytes } = await kind.prune(context.client, filters);
      context.print(text);
      if (kind.reportsSpace) context.print(`Total reclaimed space: ${humanSize(bytes)}\n`);
      return 0;
    },
  };
}

export const containerPrune = pruneCommand({
  flags: '',
  warning: () => 'This will remove all stopped containers.',
  prune: pruneContainers,
  filters: ({ flags }) => collectFilters(flags),
  reportsSpace: true,
});

export const imagePrune = pruneCommand({
  flags: '-a, --all   Remove all unused images, not just dangling ones',
  warning: ({ flags }) =>
    flags.bool('all')
      ? 'This will remove all images without at least one container associated to them.'
      : 'This will remove all dangling images.',
  prune: pruneImages,
  filters: ({ flags }) => withDangling(collectFilters(flags), flags.bool('all')),
  reportsSpace: true,
});

export const networkPrune = pruneCommand({
  flags: '',
  warning: () => 'This will remove all custom networks not used by at least one container.',
  prune: pruneNetworks,
  filters: ({ flags }) => collectFilters(flags),
  reportsSpace: false,
});

export const volumePrune = pruneCommand({
  flags: '-a, --all   Remove all unused volumes, not just anonymous ones',
  warning: ({ flags }) =>
    flags.bool('all')
      ? 'This will remove all local volumes not used by at least one container.'
      : 'This will remove anonymous local volumes not used by at least one container.',
  prune: pruneVolumes,
  filters({ flags }) {
    const filters = collectFilters(flags);
    if (flags.bool('all')) addFilter(filters, 'all', 'true');
    return filters;
  },
  reportsSpace: true,
});

function withDangling(filters: Record<string, string[]>, all: boolean): Filters {
  addFilter(filters, 'dangling', all ? 'false' : 'true');
  return filters;
}

export const systemPrune: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -a, --all             Remove all unused images not just dangling ones
      --filter filter   Provide filter values (e.g. "label=<key>=<value>")
  -f, --force           Do not prompt for confirmation
      --volumes         Prune anonymous volumes
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const filters = collectFilters(flags);
    if (flags.bool('volumes') && 'until' in filters) throw new CliError('ERROR: The "until" filter is not supported with "--volumes"');
    if (!flags.bool('force') && !(await confirm(context, systemWarning(context, filters)))) return 0;
    const all = flags.bool('all');
    const steps: (() => Promise<Pruned>)[] = [
      () => pruneContainers(client, filters),
      () => pruneNetworks(client, filters),
      ...(flags.bool('volumes') ? [() => pruneVolumes(client, filters)] : []),
      () => pruneImages(client, withDangling(collectFilters(flags), all)),
      async () => {
        const answer = await client.builder.prune({ all, filters });
        return pruned(answer, 'Deleted build cache objects', answer.CachesDeleted);
      },
    ];
    let bytes = 0;
    for (const step of steps) {
      const result = await step();
      context.print(result.text);
      bytes += result.bytes;
    }
    context.print(`Total reclaimed space: ${humanSize(bytes)}\n`);
    return 0;
  },
};

function systemWarning({ flags }: CommandContext, filters: Filters): string {
  const all = flags.bool('all');
  const items = [
    'all stopped containers',
    'all networks not used by at least one container',
    ...(flags.bool('volumes') ? ['all anonymous volumes not used by at least one container'] : []),
    all ? 'all images without at least one container associated to them' : 'all dangling images',
    all ? 'all build cache' : 'unused build cache',
  ];
  const given = Object.entries(filters).flatMap(([key, values]) => values.map((value) => `${key}=${value}`));
  const footer =
    given.length === 0 ? '' : `\n  Items to be pruned will be filtered with:\n${given.map((text) => `  - ${text}\n`).join('')}`;
  return `WARNING! This will remove:\n${items.map((item) => `  - ${item}\n`).join('')}${footer}\nAre you sure you want to continue?`;
}
