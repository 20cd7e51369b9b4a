/**
 * What differs between two documents, path by path, in the order of the first. Pure.
 *
 * Names that are values (ids, addresses, times) differ between any two objects and say nothing; those are left out. Lists are compared as
 * sets of entries where their order means nothing to a reader (Env, Mounts by destination, …), else place by place.
 */

export type Difference =
  | { readonly kind: 'changed'; readonly path: string; readonly from: unknown; readonly to: unknown }
  | { readonly kind: 'removed'; readonly path: string; readonly from: unknown }
  | { readonly kind: 'added'; readonly path: string; readonly to: unknown };

/** At the top of a document, or below any of its objects. */
const IDENTITY = new Set([
  'Id', 'ID', 'Name', 'Created', 'CreatedAt', 'StartedAt', 'FinishedAt', 'Pid', 'LogPath', 'HostnamePath', 'HostsPath', 'ResolvConfPath', 'MergedDir', 'UpperDir', 'WorkDir', 'LowerDir',
  'SandboxID', 'SandboxKey', 'EndpointID', 'NetworkID', 'IPAddress', 'MacAddress', 'GlobalIPv6Address', 'ExecIDs', 'DNSNames', 'LastTagTime', 'Mountpoint', 'Log',
]); // biome-ignore format: a list of words

/** Lists of texts whose order is nobody's business. */
const SETS = new Set([
  'Env',
  'CapAdd',
  'CapDrop',
  'SecurityOpt',
  'Binds',
  'Dns',
  'DnsSearch',
  'DnsOptions',
  'ExtraHosts',
  'GroupAdd',
  'Links',
  'VolumesFrom',
  'Aliases',
  'RepoTags',
  'RepoDigests',
]);

/** Lists of objects that one of their fields tells apart. */
const KEYS: Readonly<Record<string, string>> = { Mounts: 'Destination', Devices: 'PathInContainer', Ulimits: 'Name' };

export function differences(from: unknown, to: unknown): readonly Difference[] {
  return [...walk('', '', from, to)];
}

function* walk(path: string, name: string, from: unknown, to: unknown): Generator<Difference> {
  if (IDENTITY.has(name)) return;
  if (same(from, to)) return;
  const [one, other] = [entriesOf(from, name), entriesOf(to, name)];
  if (one === null || other === null) {
    yield* leaf(path, from, to);
    return;
  }
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    const below = `${path}${Array.isArray(from ?? to) ? `[${key}]` : path === '' ? key : `.${key}`}`;
    yield* walk(below, Array.isArray(from ?? to) ? '' : key, one.get(key), other.get(key));
  }
}

function* leaf(path: string, from: unknown, to: unknown): Generator<Difference> {
  if (isNothing(from)) yield { kind: 'added', path, to };
  else if (isNothing(to)) yield { kind: 'removed', path, from };
  else yield { kind: 'changed', path, from, to };
}

/** By what its entries are told apart; null: it is a value. Nothing is as an empty object beside one that is filled. */
function entriesOf(value: unknown, name: string): ReadonlyMap<string, unknown> | null {
  if (value === null || value === undefined) return new Map();
  if (typeof value !== 'object') return null;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const key = KEYS[name];
  if (key !== undefined) return new Map(value.map((item: Record<string, unknown>) => [String(item?.[key]), item]));
  if (SETS.has(name)) return new Map(value.map((item) => setEntry(String(item))));
  return new Map(value.map((item, at) => [String(at), item]));
}

/** `KEY=value` is told apart by its key. */
function setEntry(item: string): readonly [string, string] {
  const equals = item.indexOf('=');
  return equals === -1 ? [item, item] : [item.slice(0, equals), item];
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** What is not said (null, empty) is the same however it is not said. */
function same(one: unknown, other: unknown): boolean {
  if (isNothing(one) && isNothing(other)) return true;
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].every((key) => same((one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key]));
}
