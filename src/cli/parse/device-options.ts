/** `--device`, `--gpus`, `--ulimit`, `--blkio-weight-device`, `--device-read-bps` and their like. */
import { isAbsolute, normalize } from 'node:path';
import { parseByteSize } from '../../base/byte-size.ts';
import { csvFields } from '../../base/csv-fields.ts';
import { errorText } from '../../base/errors.ts';
import { integerComplaint } from '../flags/go-integer.ts';

export interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

/** `/dev/a[:/dev/b][:rwm]` */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(':');
  const [source = '', second = '', third = ''] = parts;
  if (parts.length > 3 || source === '') throw new Error(`bad format for path: ${text}`);
  if (parts.length === 3 && !isMode(third)) throw new Error(`bad mode specified: ${third}`);
  const secondIsMode = parts.length === 2 && isMode(second);
  const mode = secondIsMode ? second : third;
  const inside = parts.length === 1 || secondIsMode ? source : second;
  if (!isAbsolute(inside)) throw new Error(`${inside} is not an absolute path`);
  return {
    PathOnHost: parts.length === 1 || secondIsMode ? normalize(source) : source,
    PathInContainer: parts.length === 3 ? inside : normalize(inside),
    CgroupPermissions: mode === '' ? 'rwm' : mode,
  };
}

/** `c 1:3 rwm` */
export function parseDeviceRule(text: string): string {
  if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(text)) throw new Error(`invalid device cgroup format '${text}'`);
  return text;
}

function isMode(text: string): boolean {
  return text !== '' && /^[rwm]+$/.test(text) && new Set(text).size === text.length;
}

export interface DeviceRequest {
  Driver: string;
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string>;
}

/** `all`, a number, or `device=0,capabilities=…`; a word without a value is the count. Beyond Docker: the word `exclusive`. */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: '', Count: 0, DeviceIDs: null, Capabilities: null, Options: Object.create(null) };
  const seen = new Set<string>();
  if (text === '') throw new Error('EOF');
  for (const field of csvFields(text)) {
    const [key, value] = cut(field);
    if (seen.has(key)) throw new Error(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    if (value === null && key === 'exclusive') continue;
    if (value === null) seen.add('count');
    assignGpu(request, value === null ? 'count' : key, value ?? key, field);
  }
  if (!seen.has('count') && request.DeviceIDs === null) request.Count = 1;
  if (seen.has('exclusive')) request.Options.exclusive = 'true';
  request.Capabilities ??= [['gpu']];
  return request;
}

function assignGpu(request: DeviceRequest, key: string, value: string, field: string): void {
  if (key === 'driver') request.Driver = value;
  else if (key === 'count') request.Count = gpuCount(value);
  else if (key === 'device') request.DeviceIDs = value.split(',');
  else if (key === 'capabilities') request.Capabilities = [[...value.split(','), 'gpu']];
  else if (key === 'options') assignGpuOptions(request, value);
  else throw new Error(`unexpected key '${key}' in '${field}'`);
}

function assignGpuOptions(request: DeviceRequest, text: string): void {
  if (text === '') throw new Error('failed to read gpu options: EOF');
  try {
    for (const [name, value] of csvFields(text).map(cut)) request.Options[name] = value ?? '';
  } catch (thrown) {
    throw new Error(`failed to read gpu options: ${errorText(thrown)}`, { cause: thrown });
  }
}

/** As Go's strconv.Atoi: decimal, with a sign or without. */
function gpuCount(text: string): number {
  if (text === 'all') return -1;
  const complaint = (why: string) => new Error(`invalid count (${text}): value must be either "all" or an integer: ${why}`);
  if (!/^[-+]?\d+$/.test(text)) throw complaint('invalid syntax');
  if (integerComplaint('int64', text.replace(/^([-+]?)0+(?=\d)/, '$1')) !== null) throw complaint('value out of range');
  return Number(text);
}

/** At the first `=`; null: there is none. */
function cut(field: string): [key: string, value: string | null] {
  const equals = field.indexOf('=');
  return equals === -1 ? [field, null] : [field.slice(0, equals), field.slice(equals + 1)];
}

const ULIMITS = [
  'as',
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
];

export interface UlimitOption {
  readonly Name: string;
  readonly Hard: number;
  readonly Soft: number;
}

/** `nofile=1024[:2048]` */
export function parseUlimit(text: string): UlimitOption {
  const match = /^([^=]+)=(.*)$/s.exec(text);
  if (match === null) throw new Error(`invalid ulimit argument: ${text}`);
  const [, name = '', limits = ''] = match;
  if (!ULIMITS.includes(name)) throw new Error(`invalid ulimit type: ${name}`);
  const [first = '', second, ...more] = limits.split(':');
  if (more.length > 0) throw new Error(`too many limit value arguments - ${limits}, can only have up to two, \`soft[:hard]\``);
  const soft = ulimitValue(first);
  const hard = second === undefined ? soft : ulimitValue(second);
  if (hard !== -1 && soft === -1)
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: ${hard}`);
  if (hard !== -1 && soft > hard) throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return { Name: name, Soft: soft, Hard: hard };
}

function ulimitValue(text: string): number {
  if (!/^[-+]?\d+$/.test(text)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** `/dev/sda:100` */
export function parseWeightDevice(text: string): { readonly Path: string; readonly Weight: number } {
  const { path, value } = splitDeviceValue(text);
  const weight = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(weight === 0 || (weight >= 10 && weight <= 1000))) throw new Error(`invalid weight for device: ${text}`);
  return { Path: path, Weight: weight };
}

/** `/dev/sda:1mb`; the unit is optional. */
export function parseThrottleBps(text: string): { readonly Path: string; readonly Rate: number } {
  const { path, value } = splitDeviceValue(text);
  try {
    return { Path: path, Rate: parseByteSize(value) };
  } catch {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb`,
    );
  }
}

export function parseThrottleIops(text: string): { readonly Path: string; readonly Rate: number } {
  const { path, value } = splitDeviceValue(text);
  if (!/^\d+$/.test(value))
    throw new Error(`invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`);
  return { Path: path, Rate: Number(value) };
}

function splitDeviceValue(text: string): { readonly path: string; readonly value: string } {
  const colon = text.indexOf(':');
  if (colon <= 0) throw new Error(`bad format: ${text}`);
  const path = text.slice(0, colon);
  if (!path.startsWith('/dev/')) throw new Error(`bad format for device path: ${text}`);
  return { path, value: text.slice(colon + 1) };
}
