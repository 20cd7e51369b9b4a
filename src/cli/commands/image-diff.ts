/** `image diff A B`: what must be done to A to get B, in the letters of `docker diff`. */
import type { ImageChange, ImageDifference, LayerSize } from '../../client/image-study-types.ts';
import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { shortId } from '../format/ellipsis.ts';
import { humanSize } from '../format/size-text.ts';
import { alignColumns } from '../format/tab-writer.ts';

export const imageDiff: Command = {
  usage: '[OPTIONS] IMAGE IMAGE',
  flags: defineFlags(`
      --format string   json: print the daemon's answer
      --layers          Compare layers only, not files
  -n, --limit int       List at most so many files (default 1000)
`),
  args: { min: 2, max: 2 },
  async run(context) {
    const { flags, client, args } = context;
    const [from = '', to = ''] = args;
    const format = flags.string('format');
    if (format !== '' && format !== 'json') throw new CliError(`--format ${format} is not supported: it is json, or not given`);
    if (flags.int('limit') < 0) throw new CliError('--limit must not be below zero');
    const onlyLayers = flags.bool('layers');
    const difference = await client.images.diff(from, to, onlyLayers ? 0 : flags.int('limit'));
    if (format === 'json') context.print(`${JSON.stringify(difference, null, 2)}\n`);
    else context.print(onlyLayers ? layersText(difference, from, to) : filesText(difference, from, to));
    return 0;
  },
};

function layersText(difference: ImageDifference, from: string, to: string): string {
  const list = (title: string, layers: readonly LayerSize[]): string =>
    layers.length === 0 ? '' : `${title}:\n${layers.map(({ DiffID, Size }) => `  ${shortId(DiffID)}   ${humanSize(Size, 3)}\n`).join('')}`;
  return (
    sizesLine(difference, from, to) +
    list('In both', difference.SharedLayers) +
    list(`Only in ${from}`, difference.OnlyFrom) +
    list(`Only in ${to}`, difference.OnlyTo)
  );
}

function filesText(difference: ImageDifference, from: string, to: string): string {
  const { Added, Changed, Removed, Changes, Truncated } = difference;
  const table = Changes.length === 0 ? '' : `${alignColumns(Changes.map(changeRow).join('\n'), 0).replaceAll(/ +$/gm, '')}\n`;
  const rest = Truncated ? `… and ${Added + Changed + Removed - Changes.length} more: give --limit\n` : '';
  return `${sizesLine(difference, from, to)}${table}${rest}${Added} added, ${Changed} changed, ${Removed} removed\n`;
}

function sizesLine({ From, To, SharedLayers }: ImageDifference, from: string, to: string): string {
  const more = To.Size - From.Size;
  const growth = `${more < 0 ? '-' : '+'}${humanSize(Math.abs(more), 3)}`;
  return `${from} ${humanSize(From.Size, 3)}, ${to} ${humanSize(To.Size, 3)} (${growth}), ${SharedLayers.length} layer${SharedLayers.length === 1 ? '' : 's'} in both\n`;
}

const LETTERS: Readonly<Record<ImageChange['Kind'], string>> = { added: 'A', changed: 'C', removed: 'D' };

function changeRow({ Kind, Path, Type, Before, After, What }: ImageChange): string {
  const size = (bytes: number | undefined): string => (bytes === undefined || Type === 'directory' ? '' : humanSize(bytes, 3));
  const sizes = Kind === 'changed' && Before !== After ? `${size(Before)} -> ${size(After)}` : size(After ?? Before);
  return [`${LETTERS[Kind]} ${printable(Path)}`, sizes, (What ?? []).join(', ')].join('\t');
}

/** A file's name may hold anything: what would move the cursor is shown as an escape. */
function printable(path: string): string {
  return path.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
