import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Device } from '../oci/runtime-spec.ts';
import { deviceAccess, hostDevices, parseDeviceRule } from './devices.ts';

const timer: Device = { path: '/dev/snd/timer', type: 'c', major: 116, minor: 33, fileMode: 0o660, uid: 0, gid: 29 };
const disk: Device = { path: '/dev/vda', type: 'b', major: 254, minor: 0, fileMode: 0o660, uid: 0, gid: 6 };
const find = (path: string): readonly Device[] | null => {
  const all = [timer, disk];
  if (path === '/etc/passwd') return [];
  const found = all.filter((device) => device.path === path || device.path.startsWith(`${path}/`));
  return found.length === 0 ? null : found;
};
const device = (PathOnHost: string, PathInContainer = '', CgroupPermissions = '') => ({ PathOnHost, PathInContainer, CgroupPermissions });
const asked = (Devices: ReturnType<typeof device>[], Privileged = false) => ({ Devices, Privileged, DeviceCgroupRules: null });

test('deviceAccess: everything is denied before anything is allowed', () => {
  const { devices, rules } = deviceAccess(asked([]), find);
  assert.deepEqual(devices, []);
  assert.deepEqual(rules[0], { allow: false, access: 'rwm' });
  assert.ok(rules.some(({ allow, major, minor }) => allow && major === 1 && minor === 3));
});

test('deviceAccess: a device under its own or another name, with its permissions', () => {
  const { devices, rules } = deviceAccess(asked([device('/dev/vda', '/dev/disk', 'r')]), find);
  assert.deepEqual(devices, [{ ...disk, path: '/dev/disk' }]);
  assert.ok(rules.some((rule) => rule.type === 'b' && rule.major === 254 && rule.access === 'r'));
});

test('deviceAccess: a directory brings what is below it, renamed with it', () => {
  assert.deepEqual(
    deviceAccess(asked([device('/dev/snd', '/dev/sound')]), find).devices.map(({ path }) => path),
    ['/dev/sound/timer'],
  );
});

test('deviceAccess: privileged has all of /dev and may open anything', () => {
  const { devices, rules } = deviceAccess(asked([device('/dev/vda', '/dev/other')], true), find);
  assert.deepEqual(
    devices.map(({ path }) => path),
    ['/dev/snd/timer', '/dev/vda', '/dev/other'],
  );
  assert.deepEqual(rules, [{ allow: true, access: 'rwm' }]);
});

test('deviceAccess: what is no device, no path or no permission is refused', () => {
  assert.throws(() => deviceAccess(asked([device('/dev/none')]), find), /adding custom device "\/dev\/none": no such file or directory$/);
  assert.throws(() => deviceAccess(asked([device('/etc/passwd')]), find), /not a device node$/);
  assert.throws(() => deviceAccess(asked([device('/dev/vda', 'vda')]), find), /is not absolute/);
  assert.throws(() => deviceAccess(asked([device('/dev/vda', '', 'x')]), find), /invalid device permissions: "x"/);
});

test('parseDeviceRule: the grammar of --device-cgroup-rule', () => {
  assert.deepEqual(parseDeviceRule('c 42:* rmw'), { allow: true, type: 'c', major: 42, minor: -1, access: 'rmw' });
  for (const wrong of ['c 42 rwm', 'd 1:2 r', 'c 1:2 x', 'c 1:2 rr', 'c  1:2 r', 'c -1:2 r', '']) {
    assert.throws(() => parseDeviceRule(wrong), { message: `invalid device cgroup rule format: '${wrong}'` });
  }
});

test('hostDevices: a node by its numbers, a directory by what is below, nothing for what is not there', () => {
  assert.deepEqual(
    hostDevices('/dev/null')?.map(({ type, major, minor }) => [type, major, minor]),
    [['c', 1, 3]],
  );
  const all = (hostDevices('/dev') ?? []).map(({ path }) => path);
  assert.ok(all.includes('/dev/zero') && !all.some((path) => path.startsWith('/dev/pts/') || path === '/dev/console'));
  assert.equal(hostDevices('/dev/there/is/none'), null);
  assert.deepEqual(hostDevices('/etc/passwd'), []);
});
