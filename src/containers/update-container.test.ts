import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultHostConfig } from './config-defaults.ts';
import type { ContainerUpdate } from './container-update.ts';
import { discardUnsupported } from './discard-limits.ts';
import { everyLimit } from './testing/every-limit.ts';
import { serviceFixture } from './testing/service-fixture.ts';

const nothing: ContainerUpdate['limits'] = {
  ...{
    BlkioWeight: 0,
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpuShares: 0,
    CpusetCpus: '',
    CpusetMems: '',
  },
  ...{ Memory: 0, MemoryReservation: 0, MemorySwap: 0, NanoCpus: 0 },
};

const change = (limits: Partial<ContainerUpdate['limits']>, more: Partial<ContainerUpdate> = {}): ContainerUpdate => ({
  limits: { ...nothing, ...limits },
  pidsLimit: null,
  restartPolicy: null,
  ...more,
});

const mib = 2 ** 20;

test('update: what is given is stored and told, what is not stays', async (context) => {
  const { create, service, actions } = await serviceFixture(context);
  const id = await create({}, { Memory: 64 * mib, MemorySwap: 128 * mib, CpuShares: 100 });
  await service.update(id, change({ Memory: 32 * mib }, { pidsLimit: 10, restartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } }));
  const { hostConfig } = await service.inspect(id);
  assert.deepEqual([hostConfig.Memory, hostConfig.MemorySwap, hostConfig.CpuShares, hostConfig.PidsLimit], [32 * mib, 128 * mib, 100, 10]);
  assert.deepEqual(hostConfig.RestartPolicy, { Name: 'on-failure', MaximumRetryCount: 2 });
  await service.update(id, change({}, { pidsLimit: -1 }));
  assert.equal((await service.inspect(id)).hostConfig.PidsLimit, 0);
  assert.deepEqual(actions(), ['update', 'update']);
});

test("update: Docker's conflicts with what is set, and nothing is stored", async (context) => {
  const { create, service } = await serviceFixture(context);
  const cpus = await create({}, { NanoCpus: 5e8 });
  const quota = await create({}, { CpuQuota: 50_000, CpuPeriod: 100_000 });
  const removed = await create({}, { AutoRemove: true });
  const cases: readonly (readonly [string, ContainerUpdate, string])[] = [
    [cpus, change({ CpuQuota: 2000 }), 'Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set'],
    [cpus, change({ CpuPeriod: 2000 }), 'Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set'],
    [quota, change({ NanoCpus: 1e8 }), 'Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set'],
    [
      cpus,
      change({ Memory: 8 * mib }),
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    ],
    [
      removed,
      change({}, { restartPolicy: { Name: 'always', MaximumRetryCount: 0 } }),
      'Restart policy cannot be updated because AutoRemove is enabled for the container',
    ],
  ];
  for (const [id, update, text] of cases) {
    const before = (await service.inspect(id)).hostConfig;
    await assert.rejects(service.update(id, update), { code: 'conflict', message: `Cannot update container ${id}: ${text}` });
    assert.deepEqual((await service.inspect(id)).hostConfig, before);
  }
  await assert.rejects(service.update(cpus, change({ Memory: 1 })), { code: 'invalid', message: 'Minimum memory limit allowed is 6MB' });
});

test('update: a disk that refuses it leaves everything as it was', async (context) => {
  const { create, service, database, actions } = await serviceFixture(context);
  const id = await create();
  database.refuse = (sql) => (sql.startsWith('UPDATE') ? new Error('no space left on device') : null);
  await assert.rejects(service.update(id, change({ CpuShares: 7 })), /Cannot update container .*: .*no space left/);
  database.refuse = () => null;
  assert.equal((await service.inspect(id)).hostConfig.CpuShares, 0);
  assert.deepEqual(actions(), []);
});

test("discardUnsupported: what the kernel lacks is left out with Docker's warning", () => {
  const asked = defaultHostConfig({ Memory: 64 * mib, MemorySwap: 128 * mib, BlkioWeight: 300, CpuShares: 2, PidsLimit: 5 });
  const all = discardUnsupported(asked, { limits: everyLimit });
  assert.deepEqual([all.hostConfig, all.warnings], [asked, []]);
  const { hostConfig, warnings } = discardUnsupported(asked, { limits: { ...everyLimit, swap: false, blockWeight: false } });
  assert.deepEqual([hostConfig.Memory, hostConfig.MemorySwap, hostConfig.BlkioWeight, hostConfig.CpuShares], [64 * mib, -1, 0, 2]);
  assert.deepEqual(warnings, [
    'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.',
  ]);
  assert.throws(
    () => discardUnsupported(defaultHostConfig({ NanoCpus: 1 }), { limits: { ...everyLimit, cpuTime: false } }),
    /NanoCPUs can not be set/,
  );
});
