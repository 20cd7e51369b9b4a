/** `containerEdits` of a description: each of its kinds, checked. Empty ones are left out. */
import type { HookPoint, IntelRdt } from '../../oci/runtime-spec.ts';
import type { CdiDeviceNode, CdiEdits, CdiHook, CdiMount } from './cdi-spec.ts';
import { type CdiVersion, isOlder } from './cdi-version.ts';
import { countOf, Fields, type Place, problemAt, shortened, textOf } from './fields.ts';

const maximumId = 0xffff_fffe;
const maximumMajor = 0xfff;
const maximumMinor = 0xf_ffff;
const maximumPathLength = 4095;

const hookPoints: readonly HookPoint[] = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];

export function parseEdits(value: unknown, place: Place, version: CdiVersion): CdiEdits {
  const known = ['env', 'deviceNodes', 'mounts', 'hooks', 'additionalGids', 'intelRdt', 'netDevices'];
  const fields = new Fields(value, place, known, version);
  const lists = {
    env: fields.list('env', variable),
    deviceNodes: fields.list('deviceNodes', (item, at) => deviceNode(item, at, version)),
    mounts: fields.list('mounts', (item, at) => mount(item, at, version)),
    hooks: fields.list('hooks', (item, at) => hook(item, at, version)),
    additionalGids: fields.list('additionalGids', (item, at) => countOf(item, at, maximumId)),
    netDevices: fields.list('netDevices', (item, at) => netDevice(item, at, version)),
  };
  if (lists.additionalGids?.length) fields.needs('additionalGids', '0.7.0');
  if (lists.netDevices !== undefined) fields.needs('netDevices', '1.1.0');
  refuseRepeated(lists.netDevices ?? [], fields.at('netDevices'));
  const rdt = fields.raw('intelRdt');
  if (rdt !== undefined) fields.needs('intelRdt', '0.7.0');
  const filled = Object.fromEntries(Object.entries(lists).filter(([, list]) => list !== undefined && list.length > 0));
  return {
    ...(filled as Partial<typeof lists> as CdiEdits),
    ...(rdt === undefined ? {} : { intelRdt: intelRdt(rdt, fields.at('intelRdt'), version) }),
  };
}

function variable(value: unknown, place: Place): string {
  const text = textOf(value, place);
  if (text.indexOf('=') <= 0) throw problemAt(place, `${JSON.stringify(shortened(text))} must be NAME=VALUE`);
  return text;
}

function deviceNode(value: unknown, place: Place, version: CdiVersion): CdiDeviceNode {
  const known = ['path', 'hostPath', 'type', 'major', 'minor', 'fileMode', 'permissions', 'uid', 'gid'];
  const fields = new Fields(value, place, known, version);
  const path = absolute(fields, 'path', 'where the container sees the device node');
  const hostPath = fields.text('hostPath') ? absolute(fields, 'hostPath', '') : undefined;
  if (hostPath !== undefined) fields.needs('hostPath', '0.5.0');
  const type = fields.text('type') || undefined;
  if (type !== undefined && !['b', 'c', 'u', 'p'].includes(type))
    throw fields.problem('type', `${JSON.stringify(shortened(type))} must be c (or u), b or p`);
  const permissions = fields.text('permissions') || undefined;
  if (permissions !== undefined && permissions !== 'none' && !/^[rwm]+$/.test(permissions))
    throw fields.problem('permissions', `${JSON.stringify(shortened(permissions))} must be made of r, w and m, or be none`);
  return given({
    path,
    hostPath,
    type,
    major: fields.count('major', maximumMajor),
    minor: fields.count('minor', maximumMinor),
    fileMode: fields.count('fileMode', 0xffff_ffff),
    permissions,
    uid: fields.count('uid', maximumId),
    gid: fields.count('gid', maximumId),
  });
}

function mount(value: unknown, place: Place, version: CdiVersion): CdiMount {
  const fields = new Fields(value, place, ['hostPath', 'containerPath', 'type', 'options'], version);
  const type = fields.text('type') || undefined;
  if (type !== undefined) fields.needs('type', '0.4.0');
  const options = fields.list('options', textOf);
  const what = 'what of the host is mounted';
  // A file system of its own has a name there, such as `tmpfs`.
  const hostPath = isBind(type, options) ? absolute(fields, 'hostPath', what) : fields.required('hostPath', what);
  return given({ hostPath, containerPath: absolute(fields, 'containerPath', 'where the container sees it'), type, options });
}

/** Whether a mount shows something of the host, and is not a file system of its own. */
export function isBind(type: string | undefined, options: readonly string[] | undefined): boolean {
  return (
    type === undefined ||
    type === '' ||
    type === 'none' ||
    type === 'bind' ||
    (options ?? []).some((option) => option === 'bind' || option === 'rbind')
  );
}

function hook(value: unknown, place: Place, version: CdiVersion): CdiHook {
  const fields = new Fields(value, place, ['hookName', 'path', 'args', 'env', 'timeout'], version);
  const hookName = fields.required('hookName', `when the program is run, one of ${hookPoints.join(', ')}`);
  if (!hookPoints.some((point) => point === hookName))
    throw fields.problem('hookName', `${JSON.stringify(shortened(hookName))} must be one of ${hookPoints.join(', ')}`);
  const timeout = fields.count('timeout', 0x7fff_ffff);
  if (timeout === 0) throw fields.problem('timeout', 'must be at least 1 second; leave it out to wait as long as it takes');
  return given({
    hookName,
    path: absolute(fields, 'path', 'the program of the host that is run'),
    args: fields.list('args', textOf),
    env: fields.list('env', variable),
    timeout,
  });
}

function intelRdt(value: unknown, place: Place, version: CdiVersion): IntelRdt {
  const known = ['closID', 'l3CacheSchema', 'memBwSchema', 'schemata', 'enableCMT', 'enableMBM', 'enableMonitoring'];
  const fields = new Fields(value, place, known, version);
  const closID = fields.text('closID');
  if (closID !== undefined && closID !== '/' && (closID.length >= 4096 || ['.', '..'].includes(closID) || /[/\n]/.test(closID)))
    throw fields.problem('closID', `${JSON.stringify(shortened(closID))} must be the name of a class of service, without "/"`);
  for (const name of ['schemata', 'enableMonitoring']) if (fields.raw(name) !== undefined) fields.needs(name, '1.1.0');
  for (const name of ['enableCMT', 'enableMBM']) {
    if (fields.raw(name) !== undefined && !isOlder(version, '1.1.0'))
      throw fields.problem(name, `is no field of cdiVersion ${version} any more: use enableMonitoring`);
  }
  return given({
    closID,
    l3CacheSchema: fields.text('l3CacheSchema'),
    memBwSchema: fields.text('memBwSchema'),
    schemata: fields.list('schemata', textOf),
    enableCMT: fields.flag('enableCMT'),
    enableMBM: fields.flag('enableMBM'),
    enableMonitoring: fields.flag('enableMonitoring'),
  });
}

type NetDevice = NonNullable<CdiEdits['netDevices']>[number];

function netDevice(value: unknown, place: Place, version: CdiVersion): NetDevice {
  const fields = new Fields(value, place, ['hostInterfaceName', 'name'], version);
  return {
    hostInterfaceName: interfaceName(fields, 'hostInterfaceName', 'the network interface of the host that the container gets'),
    name: interfaceName(fields, 'name', 'what the container calls the network interface'),
  };
}

/** As the kernel has it. */
function interfaceName(fields: Fields, field: string, what: string): string {
  const name = fields.required(field, what);
  if (Buffer.byteLength(name) > 15 || name === '.' || name === '..' || /[/:\s]/.test(name))
    throw fields.problem(
      field,
      `${JSON.stringify(shortened(name))} is no name of a network interface: at most 15 characters, without "/", ":" and space`,
    );
  return name;
}

function refuseRepeated(devices: readonly NetDevice[], place: Place): void {
  for (const field of ['hostInterfaceName', 'name'] as const) {
    const names = devices.map((device) => device[field]);
    const index = names.findIndex((name, at) => names.indexOf(name) !== at);
    if (index >= 0)
      throw problemAt({ ...place, path: `${place.path}[${index}].${field}` }, `${JSON.stringify(names[index])} is there twice`);
  }
}

function absolute(fields: Fields, name: string, what: string): string {
  const path = fields.required(name, what);
  if (!path.startsWith('/')) throw fields.problem(name, `${JSON.stringify(shortened(path))} must be absolute`);
  if (path.split('/').includes('..')) throw fields.problem(name, `${JSON.stringify(shortened(path))} must not climb with ".."`);
  if (Buffer.byteLength(path) > maximumPathLength) throw fields.problem(name, `is longer than ${maximumPathLength} bytes`);
  return path;
}

type Given<T> = { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Without the fields that are not there. */
function given<T extends object>(object: T): Given<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Given<T>;
}
