/** Granted devices in a spec: beside what the user asked for, and what the device filter of either cgroup version makes of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { type DeviceEdits, type DeviceNode, noEdits } from '../devices/device-edits.ts';
import { devicePolicy, deviceProgram, deviceWrites } from '../linux/cgroup-devices.ts';
import type { Device, RuntimeSpec } from '../oci/runtime-spec.ts';
import { ociBundle } from '../runtime/oci-config.ts';
import type { HostConfig } from './config.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import { readHostFacts } from './host-facts.ts';
import { plainMounts } from './mounts.ts';
import { runtimeSpec } from './runtime-spec.ts';
import { refuseNetDevicesInStep } from './spec-edits.ts';
import { nothingJoined } from './spec-namespaces.ts';

const host = readHostFacts();

function node(path: string, major: number, minor: number, more: Partial<DeviceNode> = {}): DeviceNode {
  return { path, hostPath: path, type: 'c', major, minor, fileMode: 0o660, uid: 0, gid: 44, access: 'rw', ...more };
}

function device(path: string, major: number, minor: number): Device {
  return { path, type: 'c', major, minor, fileMode: 0o666, uid: 0, gid: 0 };
}

function specOf(
  edits: Partial<DeviceEdits>,
  hostConfig: Partial<HostConfig> = {},
  { env = [], found = {} }: { readonly env?: string[]; readonly found?: Readonly<Record<string, readonly Device[]>> } = {},
): RuntimeSpec {
  return runtimeSpec({
    id: 'ab'.repeat(32) as ContainerId,
    config: defaultContainerConfig({ Cmd: ['sh'], Env: env }),
    hostConfig: defaultHostConfig(hostConfig),
    user: { uid: 7, gid: 8, additionalGids: [8, 44], home: '/' },
    host,
    files: { resolvConf: '/c/resolv.conf', hostname: '/c/hostname', hosts: '/c/hosts' },
    mounts: plainMounts(defaultHostConfig(hostConfig)),
    cgroupsPath: '/gantry/x',
    joined: nothingJoined,
    findDevices: (path) => found[path] ?? null,
    edits: { ...noEdits, ...edits },
  });
}

test('runtimeSpec: without devices nothing is different', () => {
  assert.deepEqual(specOf({}), specOf(noEdits));
  assert.deepEqual([specOf({}).hooks, specOf({}).linux.intelRdt, specOf({}).linux.devices], [undefined, undefined, undefined]);
});

test('runtimeSpec: variables replace in place, groups are added once', () => {
  const { env, user } = specOf({ env: ['A=2', 'B=1', 'B=3'], additionalGids: [44, 105] }, {}, { env: ['A=1', 'Z=9'] }).process;
  assert.deepEqual(
    env.filter((entry) => /^[ABZ]=/.test(entry)),
    ['A=2', 'Z=9', 'B=3'],
  );
  assert.deepEqual(user.additionalGids, [8, 44, 105]);
});

test("runtimeSpec: mounts by depth among the user's, whose own win; binds say so", () => {
  const mount = (containerPath: string, options: string[]) =>
    ({ hostPath: `/driver${containerPath}`, containerPath, kind: 'file', options, type: '' }) as const;
  const mounts = [mount('/usr/lib/libcuda.so.1', ['ro', 'nosuid', 'rbind', 'rslave']), mount('/opt/x', ['ro']), mount('/opt/mine', [])];
  const spec = specOf(
    { mounts: [...mounts, { ...mount('/opt/tmp', ['size=1m']), type: 'tmpfs' }] },
    { Binds: ['/mine:/opt/mine', '/usr:/usr'] },
  );
  const made = spec.mounts.filter(({ destination }) => /^\/(opt|usr)/.test(destination));
  assert.deepEqual(
    made.map(({ destination, source, type, options }) => [destination, source, type, options]),
    [
      ['/usr', '/usr', 'bind', ['rbind', 'rprivate']],
      ['/opt/x', '/driver/opt/x', 'bind', ['bind', 'ro']],
      ['/opt/tmp', '/driver/opt/tmp', 'tmpfs', ['size=1m']],
      ['/opt/mine', '/mine', 'bind', ['rbind', 'rprivate']],
      ['/usr/lib/libcuda.so.1', '/driver/usr/lib/libcuda.so.1', 'bind', ['ro', 'nosuid', 'rbind', 'rslave']],
    ],
  );
  assert.equal(spec.linux.rootfsPropagation, 'rslave');
});

test("runtimeSpec: one node a path: the user's, then granted ones, then those of --privileged", () => {
  const found = { '/dev/mine': [device('/dev/mine', 9, 9)], '/dev': [device('/dev/nvidia0', 1, 3), device('/dev/other', 1, 5)] };
  const mapped = { Devices: [{ PathOnHost: '/dev/mine', PathInContainer: '/dev/nvidiactl', CgroupPermissions: 'r' }] };
  const nodes = [node('/dev/nvidia0', 195, 0), node('/dev/nvidiactl', 195, 255), node('/dev/nvidia0', 195, 7, { uid: null, gid: null })];
  const shown = ({ linux: { devices = [] } }: RuntimeSpec) =>
    devices.map(({ path, major, minor, uid, gid }) => [path, major, minor, uid, gid]);
  assert.deepEqual(shown(specOf({ nodes }, mapped, { found })), [
    ['/dev/nvidiactl', 9, 9, 0, 0],
    ['/dev/nvidia0', 195, 7, 7, 8],
  ]);
  const privileged = specOf({ nodes }, { Privileged: true }, { found });
  assert.deepEqual(shown(privileged), [
    ['/dev/other', 1, 5, 0, 0],
    ['/dev/nvidia0', 195, 7, 7, 8],
    ['/dev/nvidiactl', 195, 255, 0, 44],
  ]);
  assert.deepEqual(privileged.linux.resources?.devices, [{ allow: true, access: 'rwm' }]);
});

test('runtimeSpec: the device filter has exactly the granted access, in cgroup v1 and v2', () => {
  const nodes = [
    node('/dev/nvidia0', 195, 0),
    node('/dev/mine', 195, 255, { access: 'w' }),
    node('/dev/disk', 8, 0, { type: 'b', access: 'r' }),
    node('/dev/pipe', 0, 0, { type: 'p' }),
    node('/dev/unbuffered', 99, 1, { type: 'u', access: 'rwm' }),
    node('/dev/seen', 99, 2, { access: '' }),
  ];
  const found = { '/dev/mine': [device('/dev/mine', 195, 255)] };
  const Devices = [{ PathOnHost: '/dev/mine', PathInContainer: '/dev/mine', CgroupPermissions: 'r' }];
  const policy = devicePolicy(specOf({ nodes }, { Devices }, { found }).linux.resources?.devices ?? []);
  const granted = deviceWrites(policy, null).filter(({ value }) => /195|8:0|99|^[cb] 0:/.test(value));
  assert.deepEqual(
    granted.map(({ file, value }) => [file, value]),
    ['c 195:255 rw', 'c 195:0 rw', 'b 8:0 r', 'c 99:1 rwm'].map((value) => ['devices.allow', value]),
  );
  const plain = deviceProgram(devicePolicy(specOf({}).linux.resources?.devices ?? []));
  const program = deviceProgram(policy);
  // Type, access (three instructions, but for rwm), major, minor, and two that answer.
  assert.equal(program.length - plain.length, (3 * 8 + 5) * 8);
});

test('runtimeSpec: hooks by their point and in order, Intel RDT', () => {
  const hook = (point: 'createRuntime' | 'poststop', path: string) => ({ point, path, args: [path], env: [], timeoutSeconds: null });
  const hooks = [hook('poststop', '/a'), { ...hook('createRuntime', '/b'), timeoutSeconds: 3 }, hook('poststop', '/c')];
  const spec = specOf({ hooks, intelRdt: { closID: 'guaranteed' } });
  assert.deepEqual(spec.hooks, {
    poststop: ['/a', '/c'].map((path) => ({ path, args: [path], env: [] })),
    createRuntime: [{ path: '/b', args: ['/b'], env: [], timeout: 3 }],
  });
  assert.deepEqual(spec.linux.intelRdt, { closID: 'guaranteed' });
  assert.throws(
    () => refuseNetDevicesInStep({ ...noEdits, netDevices: [{ hostInterfaceName: 'ib0', name: 'eth1' }] }),
    /the network interface "ib0" .* cannot be given to a step/,
  );
});

test('runtimeSpec: files of devices over /proc are memory for everybody to read; OCI programs, which refuse them, go without', () => {
  const spec = specOf({ procFiles: [{ path: '/proc/driver/nvidia/params', content: 'ModifyDeviceFiles: 0\n' }] }, { Binds: ['/x:/y'] });
  assert.deepEqual(
    spec.mounts.filter(({ type }) => type === 'memory-file'),
    [
      {
        destination: '/proc/driver/nvidia/params',
        type: 'memory-file',
        file: { content: Buffer.from('ModifyDeviceFiles: 0\n'), mode: 0o444, uid: 0, gid: 0 },
      },
    ],
  );
  const { config } = ociBundle(spec, '/root', '/staging');
  assert.doesNotMatch(config, /nvidia|memory-file/);
  assert.match(config, /"destination":"\/y"/);
});
