import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceRequestsOf } from './named-devices.ts';

const mapping = (PathOnHost: string, PathInContainer = PathOnHost) => ({ PathOnHost, PathInContainer, CgroupPermissions: 'rwm' });

test('deviceRequestsOf: names among devices are one request more', () => {
  const gpus = { Driver: '', Count: -1, DeviceIDs: null, Capabilities: [['gpu']], Options: null };
  const named = { Driver: 'cdi', Count: 0, Capabilities: null, Options: null };
  assert.deepEqual(deviceRequestsOf({ DeviceRequests: [gpus], Devices: [mapping('/dev/null'), mapping('/dev/a=b', '/dev/c')] }), [gpus]);
  assert.deepEqual(deviceRequestsOf({ DeviceRequests: null, Devices: null }), []);
  const Devices = [mapping('a.com/b=c'), mapping('nvidia.com/gpu=0', '1'), mapping('a.com/b=c', '/dev/x'), mapping('a.com/b=d', '')];
  assert.deepEqual(deviceRequestsOf({ DeviceRequests: null, Devices }), [
    { ...named, DeviceIDs: ['a.com/b=c', 'nvidia.com/gpu=0:1', 'a.com/b=d'] },
  ]);
});
