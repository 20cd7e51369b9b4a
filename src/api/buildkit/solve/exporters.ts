/** `Exporters` of a solve request as outputs of a build: what each comes to, and how the client takes it. */
import { invalid, notImplemented } from '../../../base/errors.ts';
import type { CacheLocation, LayerCompression, OutputRequest } from '../../../build/build-request.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { type Attributes, booleanAttribute, flagAttribute, listAttribute, numberAttribute } from './solve-attributes.ts';

export interface Entry {
  readonly type: string;
  readonly attributes: Attributes;
}

const types: Readonly<Record<string, { readonly type: OutputRequest['type']; readonly takes: 'folder' | 'stream' | null }>> = {
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
  if (known.takes === 'stream' && booleanAttribute(attributes, 'tar') === false)
    throw notImplemented(
      `tar=false of the exporter ${type} is not supported over a BuildKit session: unpack the archive, or use gantry build`,
    );
  return {
    type: known.type,
    names: listAttribute(attributes, 'name').map(imageName),
    push: flagAttribute(attributes, 'push'),
    compression: compressionOf(attributes),
    annotations: new Map([...attributes].flatMap(([key, value]) => (key.startsWith('annotation') ? [[key, value] as const] : []))),
    clientOutput: index,
    unpacked: false,
    platformSplit: booleanAttribute(attributes, 'platform-split'),
  };
}

/** How the client takes an output; null: it has no part in it. */
export function takesOutput({ type }: Entry): 'folder' | 'stream' | null {
  return types[type]?.takes ?? null;
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

function cacheLocation({ type, attributes }: Entry, option: string): CacheLocation {
  const mode = attributes.get('mode') ?? 'min';
  if (mode !== 'min' && mode !== 'max') throw invalid(`invalid mode ${JSON.stringify(mode)} of ${option}: use min or max`);
  const common = { client: null, mode, mounts: flagAttribute(attributes, 'mounts'), ignoreErrors: false } as const;
  if (type === 'inline') return { ...common, type, reference: null };
  if (type !== 'registry')
    throw notImplemented(
      `${option} type=${type} is not supported over a BuildKit session: use type=registry or type=inline, or gantry build`,
    );
  const reference = attributes.get('ref') ?? '';
  if (reference === '') throw invalid(`${option} type=registry needs ref=NAME`);
  return { ...common, type, reference: canonicalReference(withDefaultTag(parseReference(reference))) };
}
