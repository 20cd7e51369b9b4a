import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EngineError, notFound } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { noDevices } from '../../devices/create-devices.ts';
import type { Devices, DeviceView } from '../../devices/devices.ts';
import { createApiServer } from '../api-server.ts';
import { deviceFacts } from '../device-facts.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

const node = { path: '/dev/nvidia0' };
const gpu: DeviceView = {
  name: 'nvidia.com/gpu=0',
  file: null,
  maker: 'nvidia',
  model: 'NVIDIA H100',
  uuid: 'GPU-1',
  memoryBytes: 81559 * 2 ** 20,
  description: { cdiVersion: '0.6.0', kind: 'nvidia.com/gpu', device: { name: '0', containerEdits: { deviceNodes: [node] } } },
  heldBy: [{ holder: { id: 'ab12', title: 'container web (ab12)' }, exclusive: true }],
  problem: null,
};
const camera: DeviceView = {
  name: 'vendor.com/camera=front',
  file: '/etc/cdi/camera.yaml',
  maker: null,
  model: '',
  uuid: null,
  memoryBytes: null,
  description: { cdiVersion: '0.6.0', kind: 'vendor.com/camera', device: { name: 'front', containerEdits: {} } },
  heldBy: [],
  problem: '/dev/video0 is gone',
};

const devices: Devices = {
  ...noDevices,
  list: async () => ({ devices: [gpu, camera], problems: [{ source: '/etc/cdi/x.json', text: 'kind is missing' }] }),
  inspect: async (name) => {
    if (name !== gpu.name) throw notFound(`no such device: ${name}`);
    return gpu;
  },
  describe: async (maker) => {
    if (maker === 'amd') throw new EngineError('unavailable', 'no AMD GPU');
    return { cdiVersion: '0.6.0', kind: 'nvidia.com/gpu', devices: [gpu.description.device] };
  },
  specDirectories: ['/etc/cdi', '/var/run/cdi'],
};

async function ask(url: string, known: Devices = devices) {
  const api = createApiServer({ routes: apiRoutes({ ...fakeServices(), devices: known }), engineVersion: '0.1.0', logger: silentLogger });
  await using server = await serveOnUnix(api.createListener());
  const { status, body } = await request(server.path, 'GET', url, {});
  return { status, json: JSON.parse(body) };
}

const gpuJson = {
  ...{ Name: gpu.name, Source: 'discovered', Maker: 'nvidia', Model: 'NVIDIA H100', UUID: 'GPU-1', Memory: 85520809984, Problem: '' },
  HeldBy: [{ Id: 'ab12', Title: 'container web (ab12)', Exclusive: true }],
};

describe('GET /devices', () => {
  it('lists devices and what is wrong', async () => {
    const { status, json } = await ask('/devices');
    assert.equal(status, 200);
    assert.deepEqual(json.Devices[0], gpuJson);
    assert.deepEqual(json.Devices[1], {
      ...{ Name: camera.name, Source: '/etc/cdi/camera.yaml', Maker: '', Model: '', UUID: '', Memory: 0, HeldBy: [] },
      Problem: '/dev/video0 is gone',
    });
    assert.deepEqual(json.Problems, [{ Source: '/etc/cdi/x.json', Text: 'kind is missing' }]);
  });

  it('/NAME shows one with its description, whichever way its name is escaped', async () => {
    for (const path of ['/devices/nvidia.com/gpu=0', '/v1.51/devices/nvidia.com%2Fgpu%3D0'])
      assert.deepEqual(await ask(path), { status: 200, json: { ...gpuJson, Description: gpu.description } });
    assert.deepEqual(await ask('/devices/a/b=c'), { status: 404, json: { message: 'no such device: a/b=c' } });
  });

  it('/description is what discovery makes', async () => {
    assert.equal((await ask('/devices/description')).json.kind, 'nvidia.com/gpu');
    assert.deepEqual(await ask('/devices/description?maker=amd'), { status: 503, json: { message: 'no AMD GPU' } });
    const { status, json } = await ask('/devices/description?maker=matrox');
    assert.deepEqual([status, json.message], [400, 'unknown maker of GPUs "matrox": known are nvidia, amd, intel']);
  });
});

describe('devices in GET /info', () => {
  it('as Docker shows them to each version', async () => {
    const told = async (version: string) => {
      const { CDISpecDirs, DiscoveredDevices, Warnings } = (await ask(`/v${version}/info`)).json;
      return { CDISpecDirs, DiscoveredDevices, Warnings };
    };
    const directories = ['/etc/cdi', '/var/run/cdi'];
    assert.deepEqual(await told('1.43'), { CDISpecDirs: undefined, DiscoveredDevices: undefined, Warnings: null });
    assert.deepEqual(await told('1.49'), { CDISpecDirs: directories, DiscoveredDevices: undefined, Warnings: null });
    assert.deepEqual(await told('1.50'), {
      CDISpecDirs: directories,
      DiscoveredDevices: [
        { Source: 'cdi', ID: gpu.name },
        { Source: 'cdi', ID: camera.name },
      ],
      Warnings: ['/etc/cdi/x.json: kind is missing'],
    });
  });

  it('are left out, with a warning, when looking fails or takes long', async () => {
    const failed = await deviceFacts({ list: () => Promise.reject(new Error('broken')) });
    assert.deepEqual(failed, { discovered: [], warnings: ['Devices are not listed: broken'] });
    const late = await deviceFacts({ list: () => new Promise(() => undefined) }, 1);
    assert.match(late.warnings[0] ?? '', /could not be looked at within/);
  });
});
