/** `--device`, `--gpus`, `--ulimit`, `--blkio-weight-device`, `--device-read-bps` and their like. */
import { parseByteSize } from './byte-size.ts';
import { csvFields } from './csv-fields.ts';

export interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

/** `/dev/a[:/dev/b][:rwm]` */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(':');
  const [source = '', second = '', third = ''] = parts;
  if (parts.length > 3 || source === '') throw new Error(`invalid device specification: ${text}`);
  const secondIsMode = parts.length === 2 && isMode(second);
  const mode = secondIsMode ? second : third;
  if (parts.length === 3 && !isMode(third)) throw new Error(`invalid device mode: ${third}`);
  const inside = secondIsMode || second === '' ? source : second;
  return { PathOnHost: source, PathInContainer: inside, CgroupPermissions: mode === '' ? 'rwm' : mode };
}

function isMode(text: string): boolean {
  return text !== '' && /^[rwm]+$/.test(text) && new Set(text).size === text.length;
}

/** `vendor.com/class=name`: a device of the Container Device Interface. */
export function isCdiDevice(text: string): boolean {
  return /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=[\w.:-]+$/.test(text);
}

export interface DeviceRequest {
  Driver: string;
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string>;
}

/** `all`, a number, or `device=0,capabilities=…`. */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: '', Count: 0, DeviceIDs: null, Capabilities: null, Options: Object.create(null) };
  const seen = new Set<string>();
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    const key = equals === -1 ? 'count' : field.slice(0, equals);
    const value = equals === -1 ? field : field.slice(equals + 1);
    if (seen.has(key)) throw new Error(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    assignGpu(request, key, value);
  }
  if (request.Count === 0 && request.DeviceIDs === null) request.Count = 1;
  request.Capabilities ??= [['gpu']];
  return request;
}

function assignGpu(request: DeviceRequest, key: string, value: string): void {
  if (key === 'driver') request.Driver = value;
  else if (key === 'count') request.Count = gpuCount(value);
  else if (key === 'device') request.DeviceIDs = value.split(',');
  else if (key === 'capabilities') request.Capabilities = [[...value.split(','), 'gpu']];
  else if (key === 'options') {
    for (const pair of value.split(',')) request.Options[pair.split('=')[0] ?? ''] = pair.split('=').slice(1).join('=');
  } else throw new Error(`unexpected key '${key}' in '${key}=${value}'`);
}

function gpuCount(text: string): number {
  if (text === 'all') return -1;
  if (!/^-?\d+$/.test(text)) throw new Error(`invalid count (${text}): value must be either "all" or an integer`);
  return Number(text);
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
  const match = /^([^=]+)=([^:]+)(?::(.+))?$/.exec(text);
  if (match === null) throw new Error(`invalid ulimit argument: ${text}`);
  const name = (match[1] ?? '').toLowerCase();
  if (!ULIMITS.includes(name)) throw new Error(`invalid ulimit type: ${match[1]}`);
  const soft = ulimitValue(match[2] ?? '');
  const hard = match[3] === undefined ? soft : ulimitValue(match[3]);
  if (hard !== -1 && (soft === -1 || soft > hard))
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft === -1 ? 'unlimited' : soft} > ${hard}`);
  return { Name: name, Soft: soft, Hard: hard };
}

function ulimitValue(text: string): number {
  if (text === '-1' || text === 'unlimited') return -1;
  if (!/^\d+$/.test(text)) throw new Error(`invalid ulimit value: ${text}`);
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
