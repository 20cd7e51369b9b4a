/** How large the build cache may grow: `--build-cache-limit`, or `builder.gc` of dockerd's configuration file. */
import { parseByteSize } from '../base/byte-size.ts';
import { invalid } from '../base/errors.ts';
import type { Setting } from './setting.ts';

export interface BuildOptions {
  /** Null: a tenth of the disk, 20 GiB at most. */
  readonly cacheLimitBytes: number | null;
}

const noLimit = 'off';
/** One by one what dockerd's newer names mean: all of them end at this many bytes. */
const limitKeys = ['defaultKeepStorage', 'defaultMaxUsedSpace'];

export const buildSettings: readonly Setting[] = [
  {
    flag: 'build-cache-limit',
    key: 'builder.gc',
    kind: 'text',
    help: 'size of the build cache, or off (a tenth of the disk, 20GB at most)',
    fromJson: limitFromJson,
  },
];

export function buildOptions(values: ReadonlyMap<string, readonly string[]>): BuildOptions {
  const text = values.get('build-cache-limit')?.at(-1) ?? '';
  if (text === '') return { cacheLimitBytes: null };
  return { cacheLimitBytes: text === noLimit ? Number.POSITIVE_INFINITY : sizeOf(text) };
}

function sizeOf(text: string): number {
  try {
    return parseByteSize(text);
  } catch {
    throw invalid(`invalid value for --build-cache-limit: ${JSON.stringify(text)} is no size. Write 20GB, a number of bytes, or off`);
  }
}

/** `{"enabled": true, "defaultKeepStorage": "20GB"}` */
function limitFromJson(value: unknown, name: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} must be an object`);
  const { enabled = true, ...rest } = value as Record<string, unknown>;
  if (typeof enabled !== 'boolean') throw invalid(`${name}.enabled must be true or false`);
  const strange = Object.keys(rest).find((key) => !limitKeys.includes(key));
  if (strange !== undefined)
    throw invalid(`${name}.${strange} is not supported: the cache has one limit (${limitKeys[0]}), and lets go of what was unused longest`);
  if (!enabled) return [noLimit];
  const size = limitKeys.map((key) => rest[key]).find((each) => each !== undefined);
  if (size === undefined) return [];
  if (typeof size !== 'string' && typeof size !== 'number') throw invalid(`${name}: the limit must be a size, such as "20GB"`);
  return [String(size)];
}
