/**
 * An inspect document as templates see it. Docker's client decodes into Go structs, where names differ a little from the JSON, a null has
 * a type (`[]`, `map[]`, `<nil>`), and some absent fields exist with a zero value. The tables here carry that knowledge.
 */
import { GoDuration, GoMap, Struct, TypedNil, type Value } from '../template/go-value.ts';

/** Objects under these names are maps: any key may be asked for. */
const MAPS = new Set([
  'Annotations', 'Containers', 'Data', 'DriverOpts', 'ExposedPorts', 'IndexConfigs', 'Labels', 'Networks', 'Options', 'PortBindings', 'Ports', 'Runtimes', 'StorageOpt', 'Sysctls', 'Tmpfs', 'Volumes',
]); // biome-ignore format: a list of words

/** Maps whose values are plain text: a missing key reads as empty. */
const TEXT_MAPS = new Set(['Annotations', 'Data', 'DriverOpts', 'Labels', 'LogConfig.Config', 'Options', 'StorageOpt', 'Sysctls', 'Tmpfs']);

const SLICES = new Set([
  'Aliases', 'Args', 'Binds', 'BlkioDeviceReadBps', 'BlkioDeviceReadIOps', 'BlkioDeviceWriteBps', 'BlkioDeviceWriteIOps', 'BlkioWeightDevice', 'CapAdd', 'CapDrop', 'Cmd', 'Config',
  'DNSNames', 'DeviceCgroupRules', 'DeviceRequests', 'Devices', 'Dns', 'DnsOptions', 'DnsSearch', 'Entrypoint', 'Env', 'ExecIDs', 'ExtraHosts', 'GroupAdd', 'Layers', 'Links', 'MaskedPaths',
  'Mounts', 'OnBuild', 'ReadonlyPaths', 'RepoDigests', 'RepoTags', 'SecurityOpt', 'Shell', 'Ulimits', 'VolumesFrom', 'Warnings', 'Log',
]); // biome-ignore format: a list of words

const POINTERS = new Set([
  'Health',
  'Healthcheck',
  'IPAMConfig',
  'Init',
  'MemorySwappiness',
  'OomKillDisable',
  'PidsLimit',
  'StopTimeout',
  'UsageData',
  'GraphDriver',
]);

/** Fields that Docker's structs have although the document may not, by the name of the object that holds them ('' is the document). */
const OPTIONAL: Readonly<Record<string, readonly string[]>> = {
  '': ['SizeRw', 'SizeRootFs', 'Warnings', 'UsageData', 'Status'],
  State: ['Health'],
  Config: ['ExposedPorts', 'Healthcheck', 'OnBuild', 'Shell', 'StopSignal', 'StopTimeout', 'Volumes'],
  HostConfig: ['Annotations', 'Init', 'Mounts', 'Runtime', 'StorageOpt', 'Sysctls', 'Tmpfs'],
};

/** The same for what stands in lists and pointers, with the zero values of its fields. */
const ZEROS: Readonly<Record<string, Readonly<Record<string, Value>>>> = {
  Mounts: {
    Type: '', Name: '', Source: '', Destination: '', Driver: '', Mode: '', RW: false, Propagation: '', Target: '', ReadOnly: false, Consistency: '',
    BindOptions: new TypedNil('pointer'), VolumeOptions: new TypedNil('pointer'), ImageOptions: new TypedNil('pointer'), TmpfsOptions: new TypedNil('pointer'),
  },
  Healthcheck: { Test: new TypedNil('slice'), Interval: new GoDuration(0), Timeout: new GoDuration(0), StartPeriod: new GoDuration(0), StartInterval: new GoDuration(0), Retries: 0 },
}; // biome-ignore format: a table

/** Names of Go's struct fields where they differ from the JSON. */
const GO_NAMES: Readonly<Record<string, string>> = {
  Id: 'ID', CpuShares: 'CPUShares', CpuPeriod: 'CPUPeriod', CpuQuota: 'CPUQuota', CpuRealtimePeriod: 'CPURealtimePeriod', CpuRealtimeRuntime: 'CPURealtimeRuntime', CpuCount: 'CPUCount',
  CpuPercent: 'CPUPercent', NanoCpus: 'NanoCPUs', Dns: 'DNS', DnsOptions: 'DNSOptions', DnsSearch: 'DNSSearch',
}; // biome-ignore format: a table

export function inspectValue(json: unknown): Value {
  return convert(json, '', '');
}

function convert(json: unknown, name: string, parent: string): Value {
  if (json === null || json === undefined) return nilOf(name, parent);
  if (Array.isArray(json)) return json.map((item) => convert(item, '[]', name));
  if (typeof json === 'number' && parent === 'Healthcheck' && name !== 'Retries') return new GoDuration(json);
  if (typeof json !== 'object') return json as Value;
  const entries = Object.entries(json);
  if (isMap(name, parent)) {
    const zero = TEXT_MAPS.has(name) || TEXT_MAPS.has(`${parent}.${name}`) ? '' : undefined;
    return new GoMap(new Map(entries.map(([key, value]) => [key, convert(value, '{}', name)])), zero);
  }
  const fields: Record<string, Value> = Object.create(null);
  const unlisted: Record<string, Value> = Object.create(null);
  for (const [key, value] of entries) {
    fields[key] = convert(value, key, name);
    const goName = GO_NAMES[key];
    if (goName !== undefined) unlisted[goName] = fields[key];
  }
  for (const optional of OPTIONAL[name] ?? [])
    if (!(optional in fields)) unlisted[optional] = optional === 'StopSignal' || optional === 'Runtime' ? '' : nilOf(optional, name);
  for (const [optional, zero] of Object.entries(ZEROS[name === '[]' ? parent : name] ?? {}))
    if (!(optional in fields)) unlisted[optional] = zero;
  return new Struct(name === '' ? 'object' : name, fields, { unlisted });
}

function isMap(name: string, parent: string): boolean {
  return MAPS.has(name) || (name === 'Config' && parent === 'LogConfig');
}

function nilOf(name: string, parent: string): Value {
  if (name === '{}' && (parent === 'Ports' || parent === 'PortBindings')) return new TypedNil('slice');
  if (isMap(name, parent)) return new TypedNil('map');
  if (SLICES.has(name)) return new TypedNil('slice');
  if (POINTERS.has(name) || name === 'SizeRw' || name === 'SizeRootFs') return new TypedNil('pointer');
  return null;
}
