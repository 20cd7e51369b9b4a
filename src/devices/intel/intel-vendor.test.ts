import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFakeDriver } from '../../../test/harness/fake-driver.ts';
import { intelVendor } from './intel-vendor.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-intel-'));
after(() => rmSync(folder, { recursive: true }));

test('intelVendor: GPUs by index and PCI address, with the DRM nodes of Intel alone', async () => {
  const { root, intel } = makeFakeDriver(join(folder, 'two'), { gpus: 1, amd: 1, intel: 2, nodes: 'empty' });
  const look = await intelVendor({ deviceRoot: root }).look();
  assert.ok(look.present);
  assert.match(look.driverVersion, /^xe \d/);
  assert.deepEqual(
    look.gpus.map(({ names }) => names),
    [
      ['0', '0000:40:00.0'],
      ['1', '0000:41:00.0'],
    ],
  );
  const spec = look.describe(null);
  assert.equal(spec.kind, 'intel.com/gpu');
  const nodes = spec.devices.map(({ name, containerEdits }) => [name, containerEdits.deviceNodes?.map(({ path }) => path)]);
  assert.deepEqual(nodes, [
    ['0', intel[0]?.nodes],
    ['0000:40:00.0', intel[0]?.nodes],
    ['1', intel[1]?.nodes],
    ['0000:41:00.0', intel[1]?.nodes],
    ['all', [...(intel[0]?.nodes ?? []), ...(intel[1]?.nodes ?? [])]],
  ]);
  assert.deepEqual(spec.devices[0]?.containerEdits.hooks?.[0]?.args?.slice(3), [
    'create-symlinks',
    '--link',
    '../card3::/dev/dri/by-path/pci-0000:40:00.0-card',
    '--link',
    '../renderD130::/dev/dri/by-path/pci-0000:40:00.0-render',
  ]);
});

test('intelVendor: why there is none', async () => {
  const { root } = makeFakeDriver(join(folder, 'none'), { gpus: 1, nodes: 'empty' });
  assert.deepEqual(await intelVendor({ deviceRoot: root }).look(), { present: false, why: 'no Intel GPU is on the PCI bus' });
});
