import type { DiskUsageAnswer } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ago } from '../format/duration-text.ts';
import { formatRows } from '../format/row-format.ts';
import { humanSize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';
import { containerHeaders, containerRow } from '../views/container-row.ts';
import { imageHeaders, imageRows } from '../views/image-row.ts';
import { volumeRow } from './volume-ls.ts';

const headers = { Type: 'TYPE', TotalCount: 'TOTAL', Active: 'ACTIVE', Size: 'SIZE', Reclaimable: 'RECLAIMABLE' };

export const systemDf: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
  -v, --verbose         Show detailed information on space usage
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    if (flags.bool('verbose') && flags.has('format')) throw new CliError('--format together with --verbose is not supported yet');
    const usage = await client.system.diskUsage();
    if (flags.bool('verbose')) context.print(verboseText(usage));
    else
      context.print(
        formatRows(
          { format: flags.string('format'), defaultTable: '{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}', headers },
          summary(usage),
        ),
      );
    return 0;
  },
};

interface Total {
  readonly type: string;
  readonly count: number;
  readonly active: number;
  readonly bytes: number;
  readonly reclaimable: number;
  readonly percent: boolean;
}

function summary(usage: DiskUsageAnswer): Struct[] {
  return [images(usage), containers(usage), volumes(usage), buildCache(usage)].map(
    ({ type, count, active, bytes, reclaimable, percent }) =>
      new Struct(
        '*formatter.diskUsageContext',
        {
          Active: String(active),
          Reclaimable: humanSize(reclaimable) + (percent && bytes > 0 ? ` (${Math.trunc((reclaimable * 100) / bytes)}%)` : ''),
          Size: humanSize(bytes),
          TotalCount: String(count),
          Type: type,
        },
        { sorted: true },
      ),
  );
}

function sum<T>(items: readonly T[], bytesOf: (item: T) => number): number {
  return items.reduce((total, item) => total + bytesOf(item), 0);
}

function images({ Images, LayersSize = 0 }: DiskUsageAnswer): Total {
  const all = Images ?? [];
  const used = sum(
    all.filter((image) => image.Containers !== 0 && image.Size !== -1 && image.SharedSize !== -1),
    (image) => image.Size - image.SharedSize,
  );
  return {
    type: 'Images',
    count: all.length,
    active: all.filter((image) => image.Containers > 0).length,
    bytes: LayersSize,
    reclaimable: LayersSize - used,
    percent: true,
  };
}

function containers({ Containers }: DiskUsageAnswer): Total {
  const all = Containers ?? [];
  const isActive = (state: string): boolean => ['running', 'paused', 'restarting'].some((active) => state.toLowerCase().includes(active));
  const idle = all.filter((container) => !isActive(container.State));
  return {
    type: 'Containers',
    count: all.length,
    active: all.length - idle.length,
    bytes: sum(all, (container) => container.SizeRw ?? 0),
    reclaimable: sum(idle, (container) => container.SizeRw ?? 0),
    percent: true,
  };
}

function volumes({ Volumes }: DiskUsageAnswer): Total {
  const all = Volumes ?? [];
  const known = all.filter((volume) => volume.UsageData && volume.UsageData.Size !== -1);
  const unused = known.filter((volume) => volume.UsageData?.RefCount === 0);
  return {
    type: 'Local Volumes',
    count: all.length,
    active: all.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0).length,
    bytes: sum(known, (volume) => volume.UsageData?.Size ?? 0),
    reclaimable: sum(unused, (volume) => volume.UsageData?.Size ?? 0),
    percent: true,
  };
}

function buildCache({ BuildCache }: DiskUsageAnswer): Total {
  const all = BuildCache ?? [];
  const own = all.filter((record) => !record.Shared);
  return {
    type: 'Build Cache',
    count: all.length,
    active: all.filter((record) => record.InUse).length,
    bytes: sum(own, (record) => record.Size),
    reclaimable: sum(
      own.filter((record) => !record.InUse),
      (record) => record.Size,
    ),
    percent: false,
  };
}

function verboseText(usage: DiskUsageAnswer): string {
  const imageTable = formatRows(
    {
      format: '',
      defaultTable: '{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}',
      headers: imageHeaders,
    },
    (usage.Images ?? []).flatMap((image) => imageRows(image, { truncate: true, digests: false })),
  );
  const containerTable = formatRows(
    {
      format: '',
      defaultTable: '{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}',
      headers: containerHeaders,
    },
    (usage.Containers ?? []).map((container) => containerRow({ ...container, SizeRootFs: 0 }, true)),
  );
  const volumeTable = formatRows(
    { format: '', defaultTable: '{{.Name}}\t{{.Links}}\t{{.Size}}', headers: { Name: 'VOLUME NAME', Links: 'LINKS', Size: 'SIZE' } },
    (usage.Volumes ?? []).map(volumeRow),
  );
  const cache = buildCache(usage);
  return `Images space usage:\n\n${imageTable}\nContainers space usage:\n\n${containerTable}\nLocal Volumes space usage:\n\n${volumeTable}\nBuild cache usage: ${humanSize(cache.bytes)}\n\n${cacheTable(usage)}`;
}

function cacheTable({ BuildCache }: DiskUsageAnswer): string {
  const rows = (BuildCache ?? []).map(
    (record) =>
      new Struct('*formatter.buildCacheContext', {
        ID: record.ID,
        CacheType: record.Type,
        Size: humanSize(record.Size, 3),
        CreatedSince: record.CreatedAt === undefined ? '' : ago(Date.parse(record.CreatedAt) / 1000),
        LastUsedSince: record.LastUsedAt ? ago(Date.parse(record.LastUsedAt) / 1000) : '',
        UsageCount: String(record.UsageCount ?? 0),
        Shared: String(record.Shared),
      }),
  );
  const titles = {
    ID: 'CACHE ID',
    CacheType: 'CACHE TYPE',
    Size: 'SIZE',
    CreatedSince: 'CREATED',
    LastUsedSince: 'LAST USED',
    UsageCount: 'USAGE',
    Shared: 'SHARED',
  };
  return formatRows(
    {
      format: '',
      defaultTable: '{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}',
      headers: titles,
    },
    rows,
  );
}
