/**
 * `image ls --tree`: images with what they are made of and who uses them.
 *
 *     IMAGE             ID             DISK USAGE   CONTENT   SHARED   CREATED        IN USE BY
 *     debian:12         53739235c4b7   117MB        48.5MB    74MB     2 days ago     web, db
 *     debian:bookworm
 *     ├─ linux/amd64    0123456789ab   here
 *     ├─ linux/arm64    89abcdef0123   not pulled
 *     └─ layer 1        77da2507df8a   74MB         31MB                              also in app:1
 */
import type { ImageLayer, ImageTree } from '../../client/image-study-types.ts';
import { ago } from '../format/duration-text.ts';
import { shortId } from '../format/ellipsis.ts';
import { humanSize } from '../format/size-text.ts';
import { alignColumns } from '../format/tab-writer.ts';

export interface ImageTreeOptions {
  readonly layers: boolean;
  readonly truncate: boolean;
  readonly now: number;
  /** Container id → name. */
  readonly names: ReadonlyMap<string, string>;
}

type Row = readonly [name: string, id: string, disk: string, content: string, shared: string, created: string, users: string];

const HEADER: Row = ['IMAGE', 'ID', 'DISK USAGE', 'CONTENT', 'SHARED', 'CREATED', 'IN USE BY'];

export function imageTreeText(images: readonly ImageTree[], all: readonly ImageTree[], options: ImageTreeOptions): string {
  const names = new Map(all.map((image) => [image.Id, namesOf(image)[0] ?? '']));
  const rows = images.flatMap((image) => [...imageRows(image, options), ...childRows(image, names, options)]);
  const text = alignColumns([HEADER, ...rows].map((row) => row.join('\t')).join('\n'));
  return `${text.replaceAll(/ +$/gm, '')}\n`;
}

/** A line for each name; what the image is stands on the first. */
function imageRows(image: ImageTree, options: ImageTreeOptions): Row[] {
  const [first = '', ...others] = namesOf(image);
  const users = image.Containers.map((id) => options.names.get(id) ?? shortId(id)).sort();
  const about: Row = [
    first,
    idText(image.Id, options),
    humanSize(image.Size, 3),
    humanSize(
      sum(image.Layers, ({ BlobSize }) => BlobSize),
      3,
    ),
    humanSize(
      sum(image.Layers.filter(isShared), ({ Size }) => Size),
      3,
    ),
    image.Created > 0 ? ago(image.Created, options.now) : '',
    users.join(', '),
  ];
  return [about, ...others.map((name): Row => [name, '', '', '', '', '', ''])];
}

function namesOf({ RepoTags, RepoDigests }: ImageTree): readonly string[] {
  if (RepoTags.length > 0) return RepoTags;
  return RepoDigests.length > 0 ? RepoDigests.map((name) => name.replace(/(@sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1')) : ['<untagged>'];
}

/** The platforms of an index; those of other images would say nothing. */
function childRows(image: ImageTree, names: ReadonlyMap<string, string>, options: ImageTreeOptions): Row[] {
  const isIndex = /manifest\.list|image\.index/.test(image.Target.mediaType);
  const platforms = (isIndex ? image.Platforms : []).map(
    ({ Platform, Digest, Available }): Row => [Platform, idText(Digest, options), Available ? 'here' : 'not pulled', '', '', '', ''],
  );
  const layers = options.layers ? image.Layers.map((layer, at) => layerRow(layer, at, names, options)) : [];
  const rows = [...platforms, ...layers];
  return rows.map(([name, ...rest], at): Row => [`${at === rows.length - 1 ? '└─' : '├─'} ${name}`, ...rest]);
}

function layerRow(layer: ImageLayer, at: number, names: ReadonlyMap<string, string>, options: ImageTreeOptions): Row {
  const others = layer.SharedWith.map((id) => names.get(id) || shortId(id)).sort();
  const most = options.truncate ? 3 : others.length;
  const more = others.length > most ? ` and ${others.length - most} more` : '';
  const also = others.length === 0 ? '' : `also in ${others.slice(0, most).join(', ')}${more}`;
  return [`layer ${at + 1}`, idText(layer.DiffID, options), humanSize(layer.Size, 3), humanSize(layer.BlobSize, 3), '', '', also];
}

function isShared({ SharedWith }: ImageLayer): boolean {
  return SharedWith.length > 0;
}

function idText(id: string, { truncate }: ImageTreeOptions): string {
  return truncate ? shortId(id) : id;
}

function sum<T>(items: readonly T[], bytesOf: (item: T) => number): number {
  return items.reduce((total, item) => total + bytesOf(item), 0);
}
