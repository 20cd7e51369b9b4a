/** The command lines of `gantry registry copy`, `export` and `import`: which image from where to where. */
import { invalid } from '../../base/errors.ts';
import type { RepositoryName } from '../../distribution/registry-client.ts';
import { type Platform, parsePlatform } from '../../oci/platform.ts';
import { parseReference } from '../../oci/reference.ts';
import type { ToolFlag, ToolFlags } from '../tool-flags.ts';

export type CopyVerb = 'copy' | 'export' | 'import';

export type CopyPlace =
  | { readonly kind: 'registry'; readonly repository: RepositoryName; readonly tag: string | null; readonly digest: string | null }
  | { readonly kind: 'layout'; readonly directory: string; readonly tag: string | null; readonly digest: string | null };

export interface CopyRequest {
  readonly source: CopyPlace;
  readonly destination: CopyPlace;
  readonly allTags: boolean;
  readonly platform: Platform | null;
  readonly referrers: boolean;
  readonly parallel: number;
  readonly quiet: boolean;
  readonly insecureRegistries: readonly string[];
}

export const copyFlags: readonly ToolFlag[] = [
  { name: 'all-tags', kind: 'switch', help: 'Every tag of the source; neither side then names one' },
  {
    name: 'insecure-registry',
    kind: 'list',
    help: 'Registry (HOST[:PORT] or CIDR) that may be asked over plain HTTP or without a known certificate',
  },
  { name: 'parallel', kind: 'text', help: 'Blobs at once (default 4)' },
  { name: 'platform', kind: 'text', help: 'Only this platform of a multi-platform image (os/arch[/variant])' },
  { name: 'quiet', kind: 'switch', help: 'No line for every blob' },
  { name: 'referrers', kind: 'switch', help: 'Also what refers to the image: signatures, bills of material' },
];

export const copyPlaces = `A place is an image name (busybox, registry.example/team/app:1.2, …@sha256:…) or oci:DIRECTORY[:TAG].
A destination without a tag gets the tag of the source. Passwords are those of gantry login (docker login).
`;

export function readCopyRequest(verb: CopyVerb, read: ToolFlags): CopyRequest {
  const [from, to] = read.args;
  if (from === undefined || to === undefined) throw invalid(`two arguments are needed. See gantry registry ${verb} --help`);
  const source = verb === 'import' ? layoutPlace(from.replace(/^oci:/, '')) : parsePlace(from);
  const destination = verb === 'export' ? layoutPlace(to.replace(/^oci:/, '')) : parsePlace(to);
  if (verb === 'export' && source.kind === 'layout') throw invalid(`${from} is a directory already: export takes an image of a registry`);
  if (verb === 'import' && destination.kind === 'layout') throw invalid(`${to} is a directory: import goes to a registry`);
  return checked({
    source,
    destination,
    allTags: read.isOn('all-tags') ?? false,
    platform: platformOf(read),
    referrers: read.isOn('referrers') ?? false,
    parallel: parallelOf(read),
    quiet: read.isOn('quiet') ?? false,
    insecureRegistries: read.list('insecure-registry'),
  });
}

function parsePlace(text: string): CopyPlace {
  if (text.startsWith('oci:')) return layoutPlace(text.slice('oci:'.length));
  const { domain, path, tag, digest } = parseReference(text);
  return { kind: 'registry', repository: { domain, path }, tag, digest };
}

/** `DIR`, `DIR:TAG`, `DIR@sha256:…`; a colon before a slash belongs to the directory. */
function layoutPlace(text: string): CopyPlace {
  const [, directory = '', digest] = /^(.*?)(?:@(sha256:[0-9a-f]{64}))?$/s.exec(text) ?? [];
  const [, before, tag] = digest === undefined ? (/^(.*):(\w[\w.-]{0,127})$/s.exec(directory) ?? []) : [];
  const found = { kind: 'layout', directory: before ?? directory, tag: tag ?? null, digest: digest ?? null } as const;
  if (found.directory === '') throw invalid(`${JSON.stringify(text)} names no directory: write oci:DIRECTORY or oci:DIRECTORY:TAG`);
  return found;
}

function checked(request: CopyRequest): CopyRequest {
  const { source, destination, allTags } = request;
  if (destination.digest !== null)
    throw invalid('the destination cannot have a digest: it follows from what is copied. Give a tag, or nothing');
  if (allTags && (source.tag !== null || source.digest !== null || destination.tag !== null))
    throw invalid('--all-tags copies every tag under its own name: give both places without a tag');
  return request;
}

function platformOf(read: ToolFlags): Platform | null {
  const text = read.text('platform');
  return text === null ? null : parsePlatform(text);
}

function parallelOf(read: ToolFlags): number {
  const text = read.text('parallel') ?? '4';
  if (!/^[1-9]\d?$/.test(text)) throw invalid(`invalid value for --parallel: ${JSON.stringify(text)} is not a number from 1 to 99`);
  return Number(text);
}
