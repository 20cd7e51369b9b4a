/**
 * `RUN --mount=…`: comma-separated `key=value` fields, a field with a comma quoted as a whole. Every value but `from` may hold variables.
 *
 * What a type does not know is an error that names the key; the defaults are BuildKit's.
 */
import { posix } from 'node:path';
import { parseByteSize } from '../../base/byte-size.ts';
import { csvFields } from '../../base/csv-fields.ts';
import { errorText } from '../../base/errors.ts';
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import { type ExpandOptions, expand } from '../../dockerfile/expand.ts';
import { spot, type Word } from '../../dockerfile/words.ts';
import type { Operation, RunMount } from './operation.ts';

export interface MountSources {
  /** A stage, an image or a named context. */
  readonly from: (name: string, word: Word) => Operation;
  readonly context: Operation;
}

export interface MountPlace {
  readonly cwd: string;
  /** Among the mounts of its instruction. */
  readonly index: number;
  /** `BUILDKIT_CACHE_MOUNT_NS` */
  readonly cacheNamespace: string;
}

type MountType = RunMount['type'];

const common = ['type', 'target'];
const owned = ['mode', 'uid', 'gid'];
const keysOf: Readonly<Record<MountType, readonly string[]>> = {
  bind: [...common, 'from', 'source', 'readonly', 'readwrite'],
  cache: [...common, 'from', 'source', 'readonly', 'readwrite', 'id', 'sharing', ...owned],
  tmpfs: [...common, 'size'],
  secret: [...common, 'id', 'source', 'env', 'required', ...owned],
  ssh: [...common, 'id', 'required', ...owned],
};
const aliases: Readonly<Record<string, string>> = { dst: 'target', destination: 'target', src: 'source', ro: 'readonly', rw: 'readwrite' };
const switches = ['readonly', 'readwrite', 'required'];

/** The names that mounts of an instruction take files from, before anything is expanded: they never hold variables. */
export function mountSourceNames(mounts: readonly Word[]): readonly string[] {
  return mounts.flatMap((word) => fieldsOf(word).flatMap((field) => /^from=(.*)$/is.exec(field)?.[1] ?? []));
}

export function parseRunMount(word: Word, sources: MountSources, place: MountPlace, options: ExpandOptions): RunMount {
  const fields = readFields(word, options);
  const type = mountType(fields.get('type') ?? 'bind', word);
  for (const key of fields.keys()) {
    if (!keysOf[type].includes(key)) throw wrongKey(key, type, word);
  }
  return makeMount({ type, fields, word, sources, place });
}

interface Given {
  readonly type: MountType;
  readonly fields: ReadonlyMap<string, string>;
  readonly word: Word;
  readonly sources: MountSources;
  readonly place: MountPlace;
}

function makeMount(given: Given): RunMount {
  switch (given.type) {
    case 'bind':
      return {
        type: 'bind',
        target: requiredTarget(given),
        from: from(given) ?? given.sources.context,
        source: source(given),
        writable: isWritable(given, false),
      };
    case 'cache': {
      const target = requiredTarget(given);
      const id = given.fields.get('id') || target;
      const { cacheNamespace } = given.place;
      return {
        type: 'cache',
        target,
        id: cacheNamespace === '' ? id : `${cacheNamespace}/${id}`,
        sharing: sharing(given),
        from: from(given),
        source: source(given),
        writable: isWritable(given, true),
        ...ownership(given, 0o755),
      };
    }
    case 'tmpfs':
      return { type: 'tmpfs', target: requiredTarget(given), sizeBytes: size(given) };
    case 'secret':
      return secret(given);
    case 'ssh': {
      const id = given.fields.get('id') || 'default';
      const target = targetOf(given) ?? `/run/buildkit/ssh_agent.${given.place.index}`;
      return { type: 'ssh', id, target, required: isOn(given, 'required'), ...ownership(given, 0o600) };
    }
  }
}

function secret(given: Given): RunMount {
  const { fields, word } = given;
  if (fields.has('id') && fields.has('source'))
    throw new InstructionProblem("both id and source can't be set for secret mount", spot(word));
  const target = targetOf(given);
  const id = fields.get('id') || fields.get('source') || (target === null ? '' : posix.basename(target));
  if (id === '')
    throw new InstructionProblem('secret mount needs an id, a source or a target', spot(word), 'write --mount=type=secret,id=NAME');
  const variable = fields.get('env') || null;
  const place = target ?? (variable === null ? `/run/secrets/${posix.basename(id)}` : null);
  return { type: 'secret', id, target: place, variable, required: isOn(given, 'required'), ...ownership(given, 0o400) };
}

function readFields(word: Word, options: ExpandOptions): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of fieldsOf(word)) {
    const equals = field.indexOf('=');
    const written = (equals === -1 ? field : field.slice(0, equals)).toLowerCase();
    const key = aliases[written] ?? written;
    if (equals === -1 && !switches.includes(key))
      throw new InstructionProblem(`invalid field '${field}' must be a key=value pair`, spot(word));
    const value = equals === -1 ? 'true' : field.slice(equals + 1);
    if (key === 'from' && value.includes('$')) {
      throw new InstructionProblem(
        "'from' doesn't support variable expansion, define alias stage instead",
        spot(word),
        'write FROM $NAME AS alias, and from=alias',
      );
    }
    fields.set(key, key === 'from' ? value : expand(value, options));
  }
  return fields;
}

function fieldsOf(word: Word): readonly string[] {
  try {
    return csvFields(word.text);
  } catch (cause) {
    throw new InstructionProblem(errorText(cause), spot(word), 'quote a field with a comma as a whole: "target=/a,b"');
  }
}

function mountType(text: string, word: Word): MountType {
  const type = text.toLowerCase();
  if (Object.hasOwn(keysOf, type)) return type as MountType;
  throw new InstructionProblem(
    `unsupported mount type ${JSON.stringify(text)}`,
    spot(word),
    `use one of ${Object.keys(keysOf).join(', ')}`,
  );
}

function wrongKey(key: string, type: MountType, word: Word): InstructionProblem {
  if (owned.includes(key)) return new InstructionProblem(`${key} not allowed for "${type}" type mounts`, spot(word));
  if (key === 'size') return new InstructionProblem(`unexpected key 'size' for mount type '${type}'`, spot(word));
  const known = Object.values(keysOf).some((keys) => keys.includes(key));
  return new InstructionProblem(
    known ? `${key} is not allowed for mount type '${type}'` : `unexpected key '${key}' in '${word.text}'`,
    spot(word),
  );
}

function targetOf({ fields, place, word }: Given): string | null {
  const given = fields.get('target');
  if (given === undefined || given === '') return null;
  const target = posix.resolve(place.cwd, given);
  if (target === '/') throw new InstructionProblem('invalid mount target "/"', spot(word));
  return target;
}

function requiredTarget(given: Given): string {
  const target = targetOf(given);
  if (target === null) throw new InstructionProblem(`mount of type ${given.type} needs a target`, spot(given.word), 'add target=/PATH');
  return target;
}

function from({ fields, sources, word }: Given): Operation | null {
  const name = fields.get('from');
  return name === undefined || name === '' ? null : sources.from(name, word);
}

function source({ fields }: Given): string {
  return posix.resolve('/', fields.get('source') ?? '/');
}

function isOn({ fields, word }: Given, key: string): boolean {
  const value = (fields.get(key) ?? 'false').toLowerCase();
  if (['true', '1'].includes(value)) return true;
  if (['false', '0'].includes(value)) return false;
  throw new InstructionProblem(`invalid value for ${key}: ${fields.get(key)}`, spot(word), 'use true or false');
}

function isWritable(given: Given, byDefault: boolean): boolean {
  if (given.fields.has('readonly')) return !isOn(given, 'readonly');
  return given.fields.has('readwrite') ? isOn(given, 'readwrite') : byDefault;
}

function sharing({ fields, word }: Given): 'shared' | 'private' | 'locked' {
  const value = (fields.get('sharing') || 'shared').toLowerCase();
  if (value === 'shared' || value === 'private' || value === 'locked') return value;
  throw new InstructionProblem(`unsupported sharing value ${JSON.stringify(value)}`, spot(word), 'use shared, private or locked');
}

function size({ fields, word }: Given): number | null {
  const text = fields.get('size');
  if (text === undefined || text === '') return null;
  try {
    return parseByteSize(text);
  } catch {
    throw new InstructionProblem(`invalid value for size: ${text}`, spot(word), 'write for example 64m');
  }
}

function ownership(given: Given, mode: number): { readonly mode: number; readonly uid: number; readonly gid: number } {
  return { mode: number(given, 'mode', 8) ?? mode, uid: number(given, 'uid', 10) ?? 0, gid: number(given, 'gid', 10) ?? 0 };
}

function number({ fields, word }: Given, key: string, radix: 8 | 10): number | null {
  const text = fields.get(key);
  if (text === undefined || text === '') return null;
  const isValid = radix === 8 ? /^0*[0-7]{1,4}$/.test(text) : /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32;
  if (!isValid) throw new InstructionProblem(`invalid value ${text} for ${key}`, spot(word));
  return Number.parseInt(text, radix);
}
