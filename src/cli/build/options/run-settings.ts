/** What holds for every RUN: network, host names, limits, GPUs. */
import { parseByteSize } from '../../../base/byte-size.ts';
import type { GpuRequestBody, RunSettingsBody } from '../../../client/build-types.ts';
import type { FlagValues } from '../../flags/flag-values.ts';
import { parseByteSizeOrUnlimited } from '../../parse/byte-size.ts';
import { type DeviceRequest, parseGpus, parseUlimit } from '../../parse/device-options.ts';
import { parseExtraHost } from '../../parse/host-options.ts';

export function runSettings(flags: FlagValues): RunSettingsBody {
  const resources = new Map(flags.parsedList('resource', parseResource));
  const size = (name: string, parse: (text: string) => number): number | null =>
    flags.parsed(name, parse) ?? fromResource(resources, name, parse);
  const count = (name: string): number | null => (flags.has(name) ? flags.int(name) : fromResource(resources, name, wholeNumber));
  const text = (name: string): string | null => (flags.string(name) || resources.get(name)) ?? null;
  const gpus = flags.parsedList('gpus', parseGpus);
  return {
    ...(flags.parsed('network', parseNetwork) ?? parseNetwork('default')),
    extraHosts: flags.parsedList('add-host', parseExtraHost),
    hostname: null,
    shmSizeBytes: flags.parsed('shm-size', positiveSize) ?? null,
    ulimits: flags.parsedList('ulimit', parseUlimit).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
    cgroupParent: flags.string('cgroup-parent') || null,
    memoryBytes: size('memory', parseByteSize),
    memorySwapBytes: size('memory-swap', parseByteSizeOrUnlimited),
    cpuShares: count('cpu-shares'),
    cpuPeriod: count('cpu-period'),
    cpuQuota: count('cpu-quota'),
    cpus: text('cpuset-cpus'),
    memoryNodes: text('cpuset-mems'),
    ...(gpus.length === 0 ? {} : { gpus: gpus.map(gpuRequest) }),
  };
}

function gpuRequest({ Driver, Count, DeviceIDs, Capabilities, Options }: DeviceRequest): GpuRequestBody {
  return { driver: Driver, count: Count, ids: DeviceIDs ?? [], capabilities: Capabilities ?? [], options: { ...Options } };
}

function fromResource<T>(resources: ReadonlyMap<string, string>, name: string, parse: (text: string) => T): T | null {
  const text = resources.get(name);
  return text === undefined ? null : parse(text);
}

const RESOURCES = ['memory', 'memory-swap', 'cpu-shares', 'cpu-period', 'cpu-quota', 'cpuset-cpus', 'cpuset-mems'];

function parseResource(text: string): readonly [string, string] {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals));
  const value = text.slice(equals + 1);
  if (!RESOURCES.includes(name)) throw new Error(`write NAME=VALUE, where NAME is one of ${RESOURCES.join(', ')}`);
  if (name.startsWith('cpu-')) wholeNumber(value);
  else if (name === 'memory') parseByteSize(value);
  else if (name === 'memory-swap') parseByteSizeOrUnlimited(value);
  return [name, value];
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`'${text}' is not a whole number`);
  return Number(text);
}

function positiveSize(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === 0) throw new Error('it is more than 0: write 64m, for example');
  return bytes;
}

function parseNetwork(text: string): Pick<RunSettingsBody, 'network' | 'networkName'> {
  if (text === '' || text === 'default' || text === 'bridge') return { network: 'default', networkName: null };
  if (text === 'none' || text === 'host') return { network: text, networkName: null };
  if (text.startsWith('container:'))
    throw new Error("a build cannot join a container's network: write default, none, host, or the name of a network");
  return { network: 'default', networkName: text };
}
