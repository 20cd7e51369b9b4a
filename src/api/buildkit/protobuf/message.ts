/**
 * Messages as tables of fields, in proto3's rules: what has its default value is not written, unknown fields are skipped, of a field that comes twice the last one wins, and repeated
 * ones are collected.
 *
 *     const Platform = message({ architecture: text(1), os: text(2), features: repeated(text(5)) });
 *     Platform.decode(bytes).os                    '' when it is not there
 *     Platform.encode({ os: 'linux' })             what is left out has its default
 *
 * Limits for what comes from outside: depth of nesting and number of elements; whoever receives the bytes limits their number.
 */
import { decodeName, encodeName } from '../../../base/byte-name.ts';
import { malformed, WireReader, type WireType, WireWriter } from './wire.ts';

/** One value of a field: an element of a repeated one. */
interface Kind<T> {
  readonly type: WireType;
  /** Null: there is none; the field is absent (messages). */
  readonly initial: T;
  isDefault(value: T): boolean;
  write(writer: WireWriter, value: T): void;
  read(reader: WireReader): T;
}

export interface Field<T> {
  readonly number: number;
  initial(): T;
  encode(writer: WireWriter, value: T): void;
  /** `before`: what was collected so far; it may be changed. */
  decode(reader: WireReader, before: T): T;
  /** Packed numbers of other writers would have another one; none of the messages here have any. */
  readonly type: WireType;
}

interface SingleField<T> extends Field<T> {
  readonly kind: Kind<T>;
}

// biome-ignore lint/suspicious/noExplicitAny: a table of fields of any types
type Fields = Readonly<Record<string, Field<any>>>;
type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface MessageType<M> {
  encode(message: Partial<M>): Buffer;
  /** `invalid` when the bytes are no such message. */
  decode(bytes: Uint8Array): M;
  readFrom(reader: WireReader): M;
}

export type MessageOf<T> = T extends MessageType<infer M> ? M : never;

const depthLimit = 32;
const elementLimit = 1_000_000;

export function message<F extends Fields>(fields: F): MessageType<Values<F>> {
  const entries = Object.entries(fields);
  const byNumber = new Map(entries.map(([name, field]) => [field.number, { name, field }]));
  const readFrom = (reader: WireReader): Values<F> => {
    if (reader.depth > depthLimit) throw malformed(`it is nested deeper than ${depthLimit} messages`);
    const values: Record<string, unknown> = Object.fromEntries(entries.map(([name, field]) => [name, field.initial()]));
    while (!reader.atEnd) {
      const { number, type } = reader.tag();
      const known = byNumber.get(number);
      if (known === undefined) reader.skip(type);
      else if (known.field.type !== type)
        throw malformed(`field ${number} (${known.name}) is of wire type ${type}, not ${known.field.type}`);
      else values[known.name] = known.field.decode(reader, values[known.name]);
    }
    return values as Values<F>;
  };
  return {
    encode(given) {
      const writer = new WireWriter();
      for (const [name, field] of entries) {
        const value = given[name as keyof F];
        if (value !== undefined) field.encode(writer, value);
      }
      return writer.finish();
    },
    decode: (bytes) => readFrom(new WireReader(bytes)),
    readFrom,
  };
}

export const text = (number: number): SingleField<string> => single(number, textKind);
/** A file name: bytes that need not be UTF-8, as `byte-name.ts` writes them. */
export const fileName = (number: number): SingleField<string> => single(number, nameKind);
export const bytes = (number: number): SingleField<Uint8Array> => single(number, bytesKind);
export const bool = (number: number): SingleField<boolean> => single(number, boolKind);
export const uint32 = (number: number): SingleField<number> => single(number, uint32Kind);
export const int32 = (number: number): SingleField<number> => single(number, int32Kind);
/** Refused beyond what a number holds exactly. */
export const int64 = (number: number): SingleField<number> => single(number, int64Kind);
export const bigInt64 = (number: number): SingleField<bigint> => single(number, bigInt64Kind);
/** Absent: null. */
export const nested = <M>(number: number, type: MessageType<M>): SingleField<Partial<M> | null> => single(number, nestedKind(type));
/** As `nested`, where what is read matters: all its fields are there. */
export const optional = <M>(number: number, type: MessageType<M>): SingleField<M | null> =>
  single(number, nestedKind(type) as Kind<M | null>);

export function repeated<T>(field: SingleField<T>): Field<readonly T[]> {
  return {
    number: field.number,
    type: field.type,
    initial: () => [],
    encode(writer, values) {
      for (const value of values) writeOne(writer, field.number, field.kind, value);
    },
    decode(reader, before) {
      if (before.length >= elementLimit) throw malformed(`field ${field.number} has more than ${elementLimit} elements`);
      (before as T[]).push(field.kind.read(reader));
      return before;
    },
  };
}

/** Of messages, where null can't be. */
export function list<M>(number: number, type: MessageType<M>): Field<readonly M[]> {
  return repeated(optional(number, type)) as Field<readonly M[]>;
}

/** As `list`, for messages that are only written. */
export function partialList<M>(number: number, type: MessageType<M>): Field<readonly Partial<M>[]> {
  return repeated(nested(number, type)) as Field<readonly Partial<M>[]>;
}

/** Keys in the order they are given; of a key that comes twice the last value wins. */
export function map<T>(number: number, value: (number: number) => SingleField<T>): Field<ReadonlyMap<string, T>> {
  const valueField = value(2);
  const entry = message({ key: text(1), value: valueField });
  return {
    number,
    type: 2,
    initial: () => new Map(),
    encode(writer, values) {
      for (const [key, each] of values) {
        writer.tag(number, 2);
        writer.bytes(entry.encode({ key, value: each } as Parameters<typeof entry.encode>[0]));
      }
    },
    decode(reader, before) {
      if (before.size >= elementLimit) throw malformed(`field ${number} has more than ${elementLimit} elements`);
      const read = entry.readFrom(new WireReader(reader.bytes(), reader.depth + 1));
      (before as Map<string, T>).set(read.key, read.value);
      return before;
    },
  };
}

function single<T>(number: number, kind: Kind<T>): SingleField<T> {
  return {
    number,
    kind,
    type: kind.type,
    initial: () => kind.initial,
    encode(writer, value) {
      if (!kind.isDefault(value)) writeOne(writer, number, kind, value);
    },
    decode: (reader) => kind.read(reader),
  };
}

function writeOne<T>(writer: WireWriter, number: number, kind: Kind<T>, value: T): void {
  writer.tag(number, kind.type);
  kind.write(writer, value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(value: Uint8Array): string {
  try {
    return utf8.decode(value);
  } catch {
    throw malformed('a text is not UTF-8');
  }
}

const textKind: Kind<string> = {
  type: 2,
  initial: '',
  isDefault: (value) => value === '',
  write: (writer, value) => writer.bytes(Buffer.from(value, 'utf8')),
  read: (reader) => decodeText(reader.bytes()),
};

const nameKind: Kind<string> = {
  ...textKind,
  write: (writer, value) => writer.bytes(encodeName(value)),
  read: (reader) => decodeName(reader.bytes()),
};

const bytesKind: Kind<Uint8Array> = {
  type: 2,
  initial: Buffer.alloc(0),
  isDefault: (value) => value.length === 0,
  write: (writer, value) => writer.bytes(value),
  read: (reader) => reader.bytes(),
};

const boolKind: Kind<boolean> = {
  type: 0,
  initial: false,
  isDefault: (value) => !value,
  write: (writer, value) => writer.varint(value ? 1n : 0n),
  read: (reader) => reader.varint() !== 0n,
};

function numberKind(fromWire: (value: bigint) => number): Kind<number> {
  return {
    type: 0,
    initial: 0,
    isDefault: (value) => value === 0,
    write: (writer, value) => writer.varint(BigInt(value)),
    read: (reader) => fromWire(reader.varint()),
  };
}

const uint32Kind = numberKind((value) => Number(BigInt.asUintN(32, value)));
const int32Kind = numberKind((value) => Number(BigInt.asIntN(32, value)));
const int64Kind = numberKind((value) => {
  const number = Number(BigInt.asIntN(64, value));
  if (!Number.isSafeInteger(number)) throw malformed(`the number ${BigInt.asIntN(64, value)} is out of range`);
  return number;
});

const bigInt64Kind: Kind<bigint> = {
  type: 0,
  initial: 0n,
  isDefault: (value) => value === 0n,
  write: (writer, value) => writer.varint(value),
  read: (reader) => BigInt.asIntN(64, reader.varint()),
};

function nestedKind<M>(type: MessageType<M>): Kind<Partial<M> | null> {
  return {
    type: 2,
    initial: null,
    isDefault: (value) => value === null,
    write: (writer, value) => writer.bytes(type.encode(value ?? {})),
    read: (reader) => type.readFrom(new WireReader(reader.bytes(), reader.depth + 1)),
  };
}
