/** `Exporters` of a solve request as outputs of a build: what each comes to, and how the client takes it. */
import { invalid, notImplemented } from '../../../base/errors.ts';
import type { CacheLocation, LayerCompression, OutputRequest } from '../../../build/build-request.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { type Attributes, booleanAttribute, flagAttribute, listAttribute, numberAttribute } from './solve-attributes.ts';

export interface Entry {
  readonly type: string;
  readonly attributes: Attributes;
}

/** How the client takes an output: files, a stream of bytes, or blobs of a layout; null: it has no part in it. */
export type OutputForm = 'folder' | 'stream' | 'layout' | null;

const types: Readonly<Record<string, { readonly type: OutputRequest['type']; readonly takes: OutputForm }>> = {
  moby: { type: 'image', takes: null },
  image: { type: 'image', takes: null },
  oci: { type: 'oci', takes: 'stream' },
  docker: { type: 'docker', takes: 'stream' },
  tar: { type: 'tar', takes: 'stream' },
  local: { type: 'local', takes: 'folder' },
};

/** What would give another image than was asked for, and has no way here. */
const refused = ['push-by-digest', 'name-canonical', 'dangling-name-prefix', 'registry.insecure', 'nydus-fs-version'] as const;

export function outputOf({ type, attributes }: Entry, index: number): OutputRequest {
  const known = Object.hasOwn(types, type) ? types[type] : undefined;
  if (known === undefined) throw invalid(`exporter ${JSON.stringify(type)} could not be found: use ${Object.keys(types).join(', ')}`);
  for (const key of refused) {
    const value = attributes.get(key) ?? '';
    if (value !== '' && !/^(0|f|false)$/i.test(value))
      throw notImplemented(`the attribute ${key} of the exporter ${type} is not supported`);
  }
  return {
    type: known.type,
    names: listAttribute(attributes, 'name').map(imageName),
    push: flagAttribute(attributes, 'push'),
    compression: compressionOf(attributes),
    annotations: new Map([...attributes].flatMap(([key, value]) => (key.startsWith('annotation') ? [[key, value] as const] : []))),
    clientOutput: index,
    unpacked: takesOutput({ type, attributes }) === 'layout',
    platformSplit: booleanAttribute(attributes, 'platform-split'),
  };
}

export function takesOutput({ type, attributes }: Entry): OutputForm {
  const takes = types[type]?.takes ?? null;
  return takes === 'stream' && booleanAttribute(attributes, 'tar') === false ? 'layout' : takes;
}

function imageName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== null) throw invalid(`the name ${JSON.stringify(text)} of an image that is built cannot have a digest`);
  return canonicalReference(withDefaultTag(reference));
}

function compressionOf(attributes: Attributes): LayerCompression {
  const kind = attributes.get('compression') ?? '';
  if (kind !== '' && kind !== 'gzip' && kind !== 'zstd' && kind !== 'uncompressed')
    throw invalid(`compression ${JSON.stringify(kind)} is not supported: use gzip, zstd or uncompressed`);
  return {
    kind: kind === '' ? null : kind,
    level: numberAttribute(attributes, 'compression-level'),
    force: flagAttribute(attributes, 'force-compression'),
  };
}

/** A cache that cannot be read is no reason to fail: it is only slower. */
export function cacheImportOf(entry: Entry): CacheLocation {
  return { ...cacheLocation(entry, '--cache-from'), ignoreErrors: true };
}

export function cacheExportOf(entry: Entry): CacheLocation {
  return { ...cacheLocation(entry, '--cache-to'), ignoreErrors: flagAttribute(entry.attributes, 'ignore-error') };
}

/** A folder of the client as its own name for it: what its session calls the store. */
function folderOf({ attributes }: Entry, key: 'src' | 'dest', option: string): string {
  const path = attributes.get(key) ?? '';
  if (path === '') throw invalid(`${option} type=local needs ${key}=FOLDER`);
  return `local:${path}`;
}

/** Of imports from folders of the client: which of its blobs is the cache. */
export function layoutsOf(imports: readonly Entry[]): ReadonlyMap<string, string> {
  const local = imports.filter(({ type }) => type === 'local');
  return new Map(local.map((entry) => [folderOf(entry, 'src', '--cache-from'), entry.attributes.get('digest') ?? '']));
}

function cacheLocation(entry: Entry, option: '--cache-from' | '--cache-to'): CacheLocation {
  const { type, attributes } = entry;
  const mode = attributes.get('mode') ?? 'min';
  if (mode !== 'min' && mode !== 'max') throw invalid(`invalid mode ${JSON.stringify(mode)} of ${option}: use min or max`);
  const common = { mode, mounts: flagAttribute(attributes, 'mounts'), ignoreErrors: false, reference: null, client: null } as const;
  if (type === 'inline') return { ...common, type };
  if (type === 'local') return { ...common, type, client: folderOf(entry, option === '--cache-to' ? 'dest' : 'src', option) };
  if (type !== 'registry') throw notImplemented(`${option} type=${type} is not supported: use type=registry, type=local or type=inline`);
  const reference = attributes.get('ref') ?? '';
  if (reference === '') throw invalid(`${option} type=registry needs ref=NAME`);
  return { ...common, type, reference: canonicalReference(withDefaultTag(parseReference(reference))) };
}
