import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeUpdate } from './update-request.ts';

test('decodeUpdate: what the docker command line sends changes nothing but what was asked', () => {
  const body = {
    ...{ CpuShares: 5, Memory: 0, NanoCpus: 0, CgroupParent: '', BlkioWeight: 0, BlkioWeightDevice: null, BlkioDeviceReadBps: null },
    ...{ CpuPeriod: 0, CpuQuota: 0, CpusetCpus: '', CpusetMems: '', Devices: null, DeviceRequests: null, MemorySwappiness: null },
    ...{ OomKillDisable: null, PidsLimit: null, Ulimits: null, CpuCount: 0, RestartPolicy: { Name: '', MaximumRetryCount: 0 } },
  };
  const { limits, pidsLimit, restartPolicy } = decodeUpdate(body);
  assert.deepEqual(
    Object.entries(limits).filter(([, value]) => value !== 0 && value !== ''),
    [['CpuShares', 5]],
  );
  assert.deepEqual([pidsLimit, restartPolicy], [null, null]);
});

test('decodeUpdate: zero processes and a policy are wishes; what cannot change is refused by its name', () => {
  assert.equal(decodeUpdate({ PidsLimit: 0 }).pidsLimit, 0);
  assert.deepEqual(decodeUpdate({ RestartPolicy: { Name: 'always' } }).restartPolicy, { Name: 'always', MaximumRetryCount: 0 });
  assert.throws(() => decodeUpdate({ Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 1 }] }), /^EngineError: Ulimits cannot be updated/);
  assert.throws(() => decodeUpdate({ OomKillDisable: true }), /OomKillDisable cannot be updated/);
});
