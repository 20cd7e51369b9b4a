/** `--cache-from` and `--cache-to`: a name is an image of a registry; else `type=registry|local|inline` with its keys. */
import { errorText } from '../../../base/errors.ts';
import type { CachePlace } from '../../../client/build-types.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { KeyValueFields } from './key-value-fields.ts';

export interface CacheOption {
  readonly place: Omit<CachePlace, 'client'>;
  /** Of `type=local`: a directory of this machine. */
  readonly path: string | null;
}

const TYPES = ['registry', 'local', 'inline'] as const;
const ELSEWHERE: readonly string[] = ['gha', 's3', 'azblob'];

export function parseCacheOption(text: string, direction: 'from' | 'to'): CacheOption {
  if (!text.includes('=')) return { place: place('registry', { reference: imageName(text) }), path: null };
  const fields = new KeyValueFields(text);
  const type = typeOf(fields);
  const option = parseTyped(type, fields, direction);
  fields.finish(`a cache of type ${type}`);
  return option;
}

function typeOf(fields: KeyValueFields): (typeof TYPES)[number] {
  const type = fields.text('type') ?? (fields.text('ref') === null ? null : 'registry');
  if (type === null) throw new Error('type is required: write type=registry,ref=NAME, type=local,… or type=inline');
  const known = TYPES.find((each) => each === type);
  if (known !== undefined) return known;
  throw new Error(
    `${ELSEWHERE.includes(type) ? `type=${type} is not supported` : `there is no type=${type}`}: use ${TYPES.map((each) => `type=${each}`).join(', ')}`,
  );
}

function parseTyped(type: (typeof TYPES)[number], fields: KeyValueFields, direction: 'from' | 'to'): CacheOption {
  const ignoreErrors = fields.bool('ignore-error') ?? false;
  const isTo = direction === 'to';
  const mode = isTo ? (fields.choice('mode', ['min', 'max']) ?? 'min') : 'min';
  const mounts = fields.bool('mounts') ?? false;
  if (type === 'inline') {
    if (mode === 'max' || mounts)
      throw new Error('type=inline holds the steps of the image alone: use type=registry for mode=max and mounts=true');
    return { place: place('inline', { ignoreErrors }), path: null };
  }
  if (type === 'local') {
    const path = isTo ? fields.text('dest', 'destination') : fields.text('src', 'source');
    if (path === null || path === '') throw new Error(`type=local needs a directory: write type=local,${isTo ? 'dest' : 'src'}=PATH`);
    return { place: place('local', { mode, mounts, ignoreErrors }), path };
  }
  const reference = fields.text('ref');
  if (reference === null || reference === '') throw new Error('type=registry needs a name: write type=registry,ref=NAME');
  // What a cache is in a registry in any case.
  for (const key of ['image-manifest', 'oci-mediatypes'])
    if (fields.bool(key) === false) throw new Error(`${key}=false is not possible: take it away`);
  return { place: place('registry', { reference: imageName(reference), mode, mounts, ignoreErrors }), path: null };
}

function place(type: CachePlace['type'], rest: Partial<Omit<CachePlace, 'type' | 'client'>>): Omit<CachePlace, 'client'> {
  return { type, reference: null, mode: 'min', mounts: false, ignoreErrors: false, ...rest };
}

function imageName(text: string): string {
  try {
    return canonicalReference(withDefaultTag(parseReference(text)));
  } catch (error) {
    throw new Error(`${JSON.stringify(text)} is no name of an image: ${errorText(error)}`, { cause: error });
  }
}
