/** MessagePack, as much as fluentd's forward protocol needs to be written. */

/** Seconds and nanoseconds: ext type 0, `u32 be seconds | u32 be nanoseconds`. */
export class EventTime {
  readonly timeNano: bigint;

  constructor(timeNano: bigint) {
    this.timeNano = timeNano;
  }
}

export type Packable = string | number | EventTime | readonly Packable[] | { readonly [key: string]: Packable };

export function pack(value: Packable): Buffer {
  if (typeof value === 'string') return packText(value);
  if (typeof value === 'number') return packNumber(value);
  if (value instanceof EventTime) return packTime(value);
  if (Array.isArray(value)) return Buffer.concat([head(value.length, 0x90, 15, 0xdc), ...value.map(pack)]);
  const entries = Object.entries(value);
  return Buffer.concat([head(entries.length, 0x80, 15, 0xde), ...entries.flatMap(([key, item]) => [packText(key), pack(item)])]);
}

/** `fix | count` up to `most`, else `wide` with 16 bits, `wide + 1` with 32. */
function head(count: number, fix: number, most: number, wide: number): Buffer {
  if (count <= most) return Buffer.from([fix | count]);
  return count < 0x10000 ? sized(wide, 2, count) : sized(wide + 1, 4, count);
}

function sized(tag: number, bytes: number, value: number): Buffer {
  const buffer = Buffer.alloc(1 + bytes);
  buffer[0] = tag;
  buffer.writeUIntBE(value, 1, bytes);
  return buffer;
}

function packText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const { length } = bytes;
  const start = length < 32 ? Buffer.from([0xa0 | length]) : length < 256 ? Buffer.from([0xd9, length]) : head(length, 0, -1, 0xda);
  return Buffer.concat([start, bytes]);
}

/** Whole and not negative: counts and seconds are all there is. */
function packNumber(value: number): Buffer {
  if (value < 128) return Buffer.from([value]);
  return value < 2 ** 32 ? sized(0xce, 4, value) : Buffer.concat([Buffer.from([0xcf, 0, 0]), sized(0, 6, value).subarray(1)]);
}

function packTime({ timeNano }: EventTime): Buffer {
  const buffer = Buffer.alloc(10);
  buffer[0] = 0xd7;
  buffer[1] = 0x00;
  buffer.writeUInt32BE(Number(timeNano / 1_000_000_000n) >>> 0, 2);
  buffer.writeUInt32BE(Number(timeNano % 1_000_000_000n), 6);
  return buffer;
}
