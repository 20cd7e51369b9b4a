import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFakeDriver } from '../../../test/harness/fake-driver.ts';
import type { GpuLook } from '../gpu-vendor.ts';
import { amdVendor } from './amd-vendor.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-amd-'));
after(() => rmSync(folder, { recursive: true }));

async function presentLook(root: string): Promise<Extract<GpuLook, { present: true }>> {
  const look = await amdVendor({ deviceRoot: root }).look();
  assert.ok(look.present, look.present ? '' : look.why);
  return look;
}

test('amdVendor: GPUs of the topology with their own DRM nodes, and /dev/kfd for all', async () => {
  const { root, amd } = makeFakeDriver(join(folder, 'two'), { gpus: 1, amd: 2, nodes: 'empty' });
  const look = await presentLook(root);
  assert.deepEqual(look.problems, []);
  assert.equal(look.driverVersion, '6.12.12');
  assert.deepEqual(
    look.gpus,
    amd.map(({ nodes: _, ...gpu }) => ({ ...gpu, names: [String(gpu.index), gpu.uuid] })),
  );
  const spec = look.describe(null);
  assert.equal(spec.kind, 'amd.com/gpu');
  assert.deepEqual(spec.containerEdits?.deviceNodes, [{ path: '/dev/kfd', hostPath: join(root, 'dev/kfd'), permissions: 'rw' }]);
  const nodes = new Map(spec.devices.map(({ name, containerEdits }) => [name, containerEdits.deviceNodes?.map(({ path }) => path)]));
  assert.deepEqual(nodes.get('1'), amd[1]?.nodes);
  assert.deepEqual(nodes.get(amd[1]?.uuid ?? ''), amd[1]?.nodes);
  assert.deepEqual(nodes.get('all'), [...(amd[0]?.nodes ?? []), ...(amd[1]?.nodes ?? [])]);
});

test('amdVendor: partitions of one GPU share its UUID, which is then no name', async () => {
  const { root } = makeFakeDriver(join(folder, 'shared'), { gpus: 0, amd: 2, nodes: 'empty' });
  const second = join(root, 'sys/devices/virtual/kfd/kfd/topology/nodes/2/properties');
  const unique = readFileSync(second.replace('/2/', '/1/'), 'utf8').match(/unique_id \d+/)?.[0] ?? '';
  writeFileSync(second, readFileSync(second, 'utf8').replace(/unique_id \d+/, unique));
  assert.deepEqual(
    (await presentLook(root)).gpus.map(({ names }) => names),
    [['0'], ['1']],
  );
});

test('amdVendor: without KFD GPUs are known by their DRM nodes, and it is told', async () => {
  const { root, amd } = makeFakeDriver(join(folder, 'drm'), { gpus: 1, amd: 1, nodes: 'empty' });
  rmSync(join(root, 'sys/devices/virtual'), { recursive: true });
  rmSync(join(root, 'dev/kfd'));
  const look = await presentLook(root);
  assert.deepEqual(
    look.gpus.map(({ pciAddress, uuid }) => [pciAddress, uuid]),
    [[amd[0]?.pciAddress, null]],
  );
  assert.match(look.problems.join(), /no \/dev\/kfd/);
  assert.equal(look.describe(null).containerEdits?.deviceNodes, undefined);
});

test('amdVendor: why there is none', async () => {
  const { root } = makeFakeDriver(join(folder, 'none'), { gpus: 1, nodes: 'empty' });
  assert.deepEqual(await amdVendor({ deviceRoot: root }).look(), { present: false, why: 'no AMD GPU is on the PCI bus' });
  const device = join(root, 'sys/bus/pci/devices/0000:01:00.0');
  writeFileSync(join(device, 'vendor'), '0x1002\n');
  rmSync(join(root, 'sys/class/drm'), { recursive: true });
  assert.deepEqual(await amdVendor({ deviceRoot: root }).look(), {
    present: false,
    why: 'the AMD GPU at 0000:01:00.0 has the driver nvidia, which cannot be used for this: give it to the driver amdgpu',
  });
});
