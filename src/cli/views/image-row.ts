/** Lines of `images`, as templates see them: one for each tag, and one for an image that has none. */
import type { ImageSummary } from '../../client/types.ts';
import { ago, goTime } from '../format/duration-text.ts';
import { shortId } from '../format/ellipsis.ts';
import { humanSize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';

export const imageTable = '{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}';
export const imageTableWithDigests =
  '{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}';

export const imageHeaders: Readonly<Record<string, string>> = {
  ID: 'IMAGE ID', Repository: 'REPOSITORY', Tag: 'TAG', Digest: 'DIGEST', CreatedSince: 'CREATED', CreatedAt: 'CREATED AT', Size: 'SIZE', Containers: 'CONTAINERS', VirtualSize: 'SIZE',
  SharedSize: 'SHARED SIZE', UniqueSize: 'UNIQUE SIZE',
}; // biome-ignore format: a table

export interface ImageRowOptions {
  readonly truncate: boolean;
  /** A line for each digest too. */
  readonly digests: boolean;
}

interface Name {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

export function imageRows(image: ImageSummary, options: ImageRowOptions, now = Date.now()): Struct[] {
  return imageNames(image, options.digests).map((name) => imageRow(image, name, options.truncate, now));
}

function imageNames(image: ImageSummary, withDigests: boolean): Name[] {
  const tags = (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>');
  const digests = groupDigests(image.RepoDigests ?? []);
  if (tags.length === 0 && digests.size === 0) return [{ repository: '<none>', tag: '<none>', digest: '<none>' }];
  const names: Name[] = [];
  const tagged = new Set<string>();
  for (const reference of tags) {
    const colon = reference.lastIndexOf(':');
    const repository = reference.slice(0, colon);
    tagged.add(repository);
    const own = withDigests ? (digests.get(repository) ?? []) : [];
    for (const digest of own.length > 0 ? own : ['<none>']) names.push({ repository, tag: reference.slice(colon + 1), digest });
  }
  for (const [repository, own] of digests) {
    if (tagged.has(repository)) continue;
    for (const digest of withDigests ? own : ['']) names.push({ repository, tag: '<none>', digest });
  }
  return names;
}

function groupDigests(references: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const reference of references) {
    const at = reference.indexOf('@');
    if (at === -1 || reference === '<none>@<none>') continue;
    const repository = reference.slice(0, at);
    groups.set(repository, [...(groups.get(repository) ?? []), reference.slice(at + 1)]);
  }
  return groups;
}

function imageRow(image: ImageSummary, name: Name, truncate: boolean, now: number): Struct {
  const known = (bytes: number): string => (bytes === -1 ? 'N/A' : humanSize(bytes));
  return new Struct(
    '*formatter.imageContext',
    {
      Containers: image.Containers === -1 ? 'N/A' : String(image.Containers),
      CreatedAt: () => goTime(image.Created),
      CreatedSince: image.Created <= 0 ? '' : ago(image.Created, now),
      Digest: name.digest,
      ID: truncate ? shortId(image.Id) : image.Id,
      Repository: name.repository,
      SharedSize: known(image.SharedSize),
      Size: humanSize(image.Size, 3),
      Tag: name.tag,
      UniqueSize: image.Size === -1 || image.SharedSize === -1 ? 'N/A' : humanSize(image.Size - image.SharedSize),
      VirtualSize: humanSize(image.Size),
    },
    { sorted: true },
  );
}
