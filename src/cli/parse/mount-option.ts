/** `--mount type=bind,src=/a,dst=/b,…` → an entry of HostConfig.Mounts. */

import { parseByteSize } from '../../base/byte-size.ts';
import { csvFields } from '../../base/csv-fields.ts';
import { parseBool } from '../flags/flag-values.ts';

export interface MountOption {
  Type: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: {
    Propagation?: string;
    NonRecursive?: boolean;
    CreateMountpoint?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
    Idmap?: string;
  };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    DriverConfig?: { Name?: string; Options?: Record<string, string> };
    Subpath?: string;
    Idmap?: string;
  };
  ImageOptions?: { Subpath?: string };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** Beyond Docker: `uid=`, `gid=` and `idmap=` say who owns the files as the container sees them. */
interface Owners {
  uid?: number;
  gid?: number;
  idmap?: string;
}

export function parseMountOption(text: string): MountOption {
  if (text === '') throw new Error('EOF');
  if (text.trim() === '') throw new Error('value is empty');
  const mount: MountOption = { Type: 'volume' };
  const owners: Owners = {};
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    const key = (equals === -1 ? field : field.slice(0, equals)).toLowerCase();
    const value = field.slice(equals + 1);
    if (equals === -1) bareKey(mount, key, field);
    else if (key === 'uid' || key === 'gid') owners[key] = accountId(key, value);
    else if (key === 'idmap') owners.idmap = value;
    else keyValue(mount, key, value, field);
  }
  applyOwners(mount, owners);
  check(mount);
  return mount;
}

function applyOwners(mount: MountOption, { uid, gid, idmap }: Owners): void {
  if (uid === undefined && gid === undefined && idmap === undefined) return;
  if (idmap !== undefined && (uid !== undefined || gid !== undefined))
    throw new Error('idmap already says who owns what: leave uid and gid out');
  if (mount.Type !== 'bind' && mount.Type !== 'volume')
    throw new Error(`uid, gid and idmap are for mounts of type bind and volume, not '${mount.Type}'`);
  if (idmap === '') throw new Error('idmap is empty');
  if (uid === undefined && idmap === undefined) throw new Error('gid needs uid');
  const options = mount.Type === 'bind' ? bind(mount) : volume(mount);
  // A group of the same number goes with most users.
  options.Idmap = idmap ?? `owner=${uid}:${gid ?? uid}`;
}

function accountId(key: string, value: string): number {
  const id = Number(value);
  if (!/^\d{1,10}$/.test(value) || id > 2_147_483_647) throw new Error(`invalid value for ${key}: ${value}`);
  return id;
}

function bareKey(mount: MountOption, key: string, field: string): void {
  if (key === 'readonly' || key === 'ro') mount.ReadOnly = true;
  else if (key === 'volume-nocopy') volume(mount).NoCopy = true;
  else if (key === 'bind-nonrecursive') bind(mount).NonRecursive = true;
  else if (key === 'bind-create-src') bind(mount).CreateMountpoint = true;
  else throw new Error(`invalid field '${field}' must be a key=value pair`);
}

function keyValue(mount: MountOption, key: string, value: string, field: string): void {
  const setters: Readonly<Record<string, () => void>> = {
    type: () => set(mount, { Type: value.toLowerCase() }),
    source: () => set(mount, { Source: value }),
    src: () => set(mount, { Source: value }),
    target: () => set(mount, { Target: value }),
    dst: () => set(mount, { Target: value }),
    destination: () => set(mount, { Target: value }),
    readonly: () => set(mount, { ReadOnly: boolean(key, value) }),
    ro: () => set(mount, { ReadOnly: boolean(key, value) }),
    consistency: () => set(mount, { Consistency: value.toLowerCase() }),
    'bind-propagation': () => set(bind(mount), { Propagation: value.toLowerCase() }),
    'bind-nonrecursive': () => set(bind(mount), { NonRecursive: boolean(key, value) }),
    'bind-create-src': () => set(bind(mount), { CreateMountpoint: boolean(key, value) }),
    'bind-recursive': () => bindRecursive(mount, value),
    'volume-subpath': () => set(volume(mount), { Subpath: value }),
    'volume-nocopy': () => set(volume(mount), { NoCopy: boolean(key, value) }),
    'volume-label': () => addLabel(volume(mount), value),
    'volume-driver': () => set(driver(mount), { Name: value }),
    'volume-opt': () => addDriverOption(driver(mount), value),
    'image-subpath': () => set(image(mount), { Subpath: value }),
    'tmpfs-size': () => set(tmpfs(mount), { SizeBytes: parseByteSizeOf(key, value) }),
    'tmpfs-mode': () => set(tmpfs(mount), { Mode: octal(key, value) }),
  };
  const setter = Object.hasOwn(setters, key) ? setters[key] : undefined;
  if (setter === undefined) throw new Error(`unexpected key '${key}' in '${field}'`);
  setter();
}

function set<T extends object>(target: T, values: Partial<T>): void {
  Object.assign(target, values);
}

type Options<K extends keyof MountOption> = NonNullable<MountOption[K]>;

function bind(mount: MountOption): Options<'BindOptions'> {
  mount.BindOptions ??= {};
  return mount.BindOptions;
}

function volume(mount: MountOption): Options<'VolumeOptions'> {
  mount.VolumeOptions ??= {};
  return mount.VolumeOptions;
}

function image(mount: MountOption): Options<'ImageOptions'> {
  mount.ImageOptions ??= {};
  return mount.ImageOptions;
}

function tmpfs(mount: MountOption): Options<'TmpfsOptions'> {
  mount.TmpfsOptions ??= {};
  return mount.TmpfsOptions;
}

function driver(mount: MountOption): { Name?: string; Options?: Record<string, string> } {
  const options = volume(mount);
  options.DriverConfig ??= {};
  return options.DriverConfig;
}

function bindRecursive(mount: MountOption, value: string): void {
  if (value === 'enabled') return;
  if (value === 'disabled') bind(mount).NonRecursive = true;
  else if (value === 'writable') bind(mount).ReadOnlyNonRecursive = true;
  else if (value === 'readonly') bind(mount).ReadOnlyForceRecursive = true;
  else throw new Error(`invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`);
}

function addLabel(options: { Labels?: Record<string, string> }, value: string): void {
  options.Labels ??= Object.create(null) as Record<string, string>;
  addPair(options.Labels, value);
}

function addDriverOption(options: { Options?: Record<string, string> }, value: string): void {
  options.Options ??= Object.create(null) as Record<string, string>;
  addPair(options.Options, value);
}

function addPair(map: Record<string, string>, value: string): void {
  const equals = value.indexOf('=');
  map[equals === -1 ? value : value.slice(0, equals)] = equals === -1 ? '' : value.slice(equals + 1);
}

function boolean(key: string, value: string): boolean {
  const parsed = parseBool(value);
  if (parsed === null) throw new Error(`invalid value for ${key}: ${value}`);
  return parsed;
}

function parseByteSizeOf(key: string, value: string): number {
  try {
    return parseByteSize(value);
  } catch {
    throw new Error(`invalid value for ${key}: ${value}`);
  }
}

function octal(key: string, value: string): number {
  if (!/^[0-7]+$/.test(value)) throw new Error(`invalid value for ${key}: ${value}`);
  return Number.parseInt(value, 8);
}

function check(mount: MountOption): void {
  if (mount.Type === '') throw new Error('type is required');
  if (mount.Target === undefined || mount.Target === '') throw new Error('target is required');
  const foreign = (type: string, options: unknown): void => {
    if (options !== undefined && mount.Type !== type) throw new Error(`cannot mix '${type}-*' options with mount type '${mount.Type}'`);
  };
  foreign('bind', mount.BindOptions);
  foreign('volume', mount.VolumeOptions);
  foreign('image', mount.ImageOptions);
  foreign('tmpfs', mount.TmpfsOptions);
  if (mount.BindOptions?.ReadOnlyNonRecursive === true && mount.ReadOnly !== true)
    throw new Error("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  if (mount.BindOptions?.ReadOnlyForceRecursive === true) {
    if (mount.ReadOnly !== true) throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
    if (mount.BindOptions.Propagation !== 'rprivate')
      throw new Error("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction");
  }
}
