/** `-o`/`--output`: a path, `-`, or `type=…,dest=…` with the keys of each type; and what `--push` and `--load` make of them. */
import { errorText } from '../../../base/errors.ts';
import type { OutputBody } from '../../../client/build-types.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import { KeyValueFields } from './key-value-fields.ts';

/** One output, and where its bytes go on this machine. */
export interface OutputOption {
  readonly body: Omit<OutputBody, 'clientOutput'>;
  readonly destination: Destination | null;
}

export type Destination =
  | { readonly kind: 'stdout' }
  | { readonly kind: 'file'; readonly path: string }
  /** `mirror`: what the build does not have is removed. */
  | { readonly kind: 'directory'; readonly path: string; readonly mirror: boolean };

const TYPES = ['local', 'tar', 'oci', 'docker', 'image', 'registry', 'cacheonly'] as const;

/** Null: `type=cacheonly`, nothing comes of it but cache. */
export function parseOutputOption(text: string): OutputOption | null {
  if (text === '') throw new Error('it needs a directory, - or type=TYPE');
  if (text === '-') return toFile('tar', '-', plainKeys(new KeyValueFields('')));
  if (!text.includes('=')) return { body: body('local', plainKeys(new KeyValueFields(''))), destination: directory(text, false) };
  const fields = new KeyValueFields(text);
  const type = fields.choice('type', TYPES);
  if (type === null) throw new Error(`type is required: write type=local,dest=PATH, or type=${TYPES.slice(1, -1).join(', type=')}`);
  const option = parseTyped(type, fields);
  fields.finish(`an output of type ${type}`);
  return option;
}

function parseTyped(type: (typeof TYPES)[number], fields: KeyValueFields): OutputOption | null {
  switch (type) {
    case 'cacheonly':
      return null;
    case 'local': {
      const path = required(fields.text('dest', 'destination'), type);
      const mirror = fields.choice('mode', ['copy', 'delete']) === 'delete';
      return {
        body: { ...body('local', plainKeys(fields)), platformSplit: fields.bool('platform-split') },
        destination: directory(path, mirror),
      };
    }
    case 'tar': {
      const option = toFile('tar', required(fields.text('dest', 'destination'), type), plainKeys(fields));
      return { ...option, body: { ...option.body, platformSplit: fields.bool('platform-split') } };
    }
    case 'oci': {
      const path = required(fields.text('dest', 'destination'), type);
      const keys = imageKeys(fields);
      if (fields.bool('tar') !== false) return toFile('oci', path, keys);
      return { body: { ...body('oci', keys), unpacked: true }, destination: directory(path, false) };
    }
    case 'docker': {
      const path = fields.text('dest', 'destination');
      const keys = imageKeys(fields);
      return path === null ? { body: body('image', keys), destination: null } : toFile('docker', path, keys);
    }
    case 'image':
    case 'registry': {
      const push = fields.bool('push') ?? type === 'registry';
      if (fields.bool('store') === false)
        throw new Error('store=false is not possible: an image that is pushed comes from the image store');
      // Layers are always there unpacked.
      if (fields.bool('unpack') === false) throw new Error('unpack=false is not possible: take it away');
      return { body: { ...body('image', imageKeys(fields)), push }, destination: null };
    }
  }
}

type Keys = Pick<OutputBody, 'names' | 'compression' | 'annotations'>;

/** Of outputs that are files and no image. */
function plainKeys(fields: KeyValueFields): Keys {
  onlyTrue(fields, 'rewrite-timestamp');
  return { names: [], compression: { kind: null, level: null, force: false }, annotations: {} };
}

function imageKeys(fields: KeyValueFields): Keys {
  onlyTrue(fields, 'rewrite-timestamp');
  const kind = fields.text('compression');
  if (kind !== null && kind !== 'gzip' && kind !== 'zstd' && kind !== 'uncompressed')
    throw new Error(`compression is gzip, zstd or uncompressed, not '${kind}'`);
  const names = fields.text('name');
  return {
    names: names === null || names === '' ? [] : names.split(',').map(canonicalTag),
    compression: { kind, level: level(fields.text('compression-level'), kind), force: fields.bool('force-compression') ?? false },
    annotations: Object.fromEntries([...fields.startingWith('annotation')].map(checkAnnotationKey)),
  };
}

/** Times are those of the build in any case. */
function onlyTrue(fields: KeyValueFields, key: string): void {
  if (fields.bool(key) === false)
    throw new Error(`${key}=false is not possible: times are always those of the build (--timestamp chooses them)`);
}

function level(text: string | null, kind: string | null): number | null {
  if (text === null) return null;
  const most = kind === 'zstd' ? 22 : 9;
  if (!/^\d+$/.test(text) || Number(text) > most) throw new Error(`compression-level is a number from 0 to ${most}, not '${text}'`);
  return Number(text);
}

const ANNOTATION = /^annotation(?:-(?:manifest|index|manifest-descriptor|index-descriptor))?(?:\[[^\]]+\])?\..+$/;

function checkAnnotationKey([key, value]: readonly [string, string]): readonly [string, string] {
  if (!ANNOTATION.test(key)) throw new Error(`'${key}' is no annotation: write annotation.NAME=VALUE, or annotation-index.NAME=VALUE`);
  return [key, value];
}

/** `NAME[:TAG]` → `docker.io/library/NAME:TAG`. */
export function canonicalTag(text: string): string {
  try {
    const reference = parseReference(text);
    if (reference.digest !== null) throw new Error('refusing to create a tag with a digest reference');
    return canonicalReference(withDefaultTag(reference));
  } catch (error) {
    throw new Error(`invalid tag ${JSON.stringify(text)}: ${errorText(error)}`, { cause: error });
  }
}

const KINDS = ['manifest', 'index', 'manifest-descriptor', 'index-descriptor'];

/** `--annotation [KIND[,KIND][[PLATFORM]]:]NAME=VALUE` → keys as `--output` has them. */
export function parseAnnotation(text: string): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals <= 0) throw new Error('write NAME=VALUE, or index:NAME=VALUE');
  const [name, value] = [text.slice(0, equals), text.slice(equals + 1)];
  const prefix = /^([a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):(.+)$/.exec(name);
  if (prefix === null) return { [`annotation.${name}`]: value };
  const [, kinds = '', key = ''] = prefix;
  return Object.fromEntries(
    kinds.split(/,(?![^[]*\])/).map((kind) => {
      const [, what = '', platform = ''] = /^([a-z-]+)(\[.*\])?$/.exec(kind) ?? [];
      if (!KINDS.includes(what)) throw new Error(`an annotation is of ${KINDS.join(', ')}, not of '${what}'`);
      return [`annotation-${what}${platform}.${key}`, value];
    }),
  );
}

function body(type: OutputBody['type'], keys: Keys): Omit<OutputBody, 'clientOutput'> {
  return { type, push: false, unpacked: false, platformSplit: null, ...keys };
}

function toFile(type: 'tar' | 'oci' | 'docker', path: string, keys: Keys): OutputOption {
  return { body: body(type, keys), destination: path === '-' ? { kind: 'stdout' } : { kind: 'file', path } };
}

function directory(path: string, mirror: boolean): Destination {
  if (path === '-') throw new Error('a directory cannot go to standard output: write type=tar,dest=-');
  return { kind: 'directory', path, mirror };
}

function required(path: string | null, type: string): string {
  if (path === null || path === '') throw new Error(`dest is required: write type=${type},dest=PATH`);
  return path;
}
