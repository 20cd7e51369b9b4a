import assert from 'node:assert/strict';
import { test } from 'node:test';
import { invalid } from '../base/errors.ts';
import type { CdiSpec } from './cdi/cdi-spec.ts';
import { noReadings } from './create-devices.ts';
import { type DeviceEdits, noEdits } from './device-edits.ts';
import type { DeviceRequest } from './device-request.ts';
import { DeviceService, type DeviceServiceParts } from './device-service.ts';
import { type DeviceHolder, noGrant } from './devices.ts';
import type { Gpu, GpuLook, GpuMaker, GpuVendor } from './gpu-vendor.ts';

const gpu = (index: number): Gpu => ({
  index,
  uuid: `GPU-${index}`,
  model: 'Fake',
  pciAddress: '',
  memoryBytes: 1024,
  parts: [],
  names: [String(index), `GPU-${index}`],
});

const describe = (kind: string, names: readonly string[], capabilities: ReadonlySet<string> | null): CdiSpec => ({
  cdiVersion: '1.0.0',
  kind,
  containerEdits: { env: [`DRIVER=${[...(capabilities ?? ['everything'])].join('+')}`] },
  devices: names.map((name) => ({ name, containerEdits: { deviceNodes: [{ path: `/dev/${name}` }] } })),
});

function vendor(maker: GpuMaker, count: number, { problems = [] as string[], fatal = '', forwardCompatible = false } = {}): GpuVendor {
  const kind = `${maker}.com/gpu`;
  const gpus = Array.from({ length: count }, (_, index) => gpu(index));
  const names = gpus.flatMap((each) => each.names);
  const here: GpuLook = {
    present: true,
    driverVersion: '535.54.03',
    forwardCompatible,
    gpus,
    problems,
    describe(capabilities) {
      if (fatal !== '') throw invalid(fatal);
      return describe(kind, [...names, 'all'], capabilities);
    },
  };
  return { maker, kind, look: async () => (count === 0 ? { present: false, why: `no ${maker} driver is loaded` } : here) };
}

const files = (...specs: readonly CdiSpec[]): DeviceServiceParts['files'] => ({
  directories: ['/etc/cdi'],
  look: async () => ({ files: specs.map((spec, index) => ({ file: `/etc/cdi/${index}.yaml`, priority: 0, spec })), problems: [] }),
});

/** Nodes alone; that of `gone` is not there. */
const resolve: DeviceServiceParts['resolve'] = async (parts) => {
  const nodes = parts.flatMap(({ edits }) => edits.deviceNodes ?? []).map(({ path }) => path);
  if (nodes.includes('/dev/gone')) throw invalid('the device node /dev/gone is not there');
  return {
    ...noEdits,
    env: parts.flatMap(({ edits }) => edits.env ?? []),
    nodes: nodes.map((path) => ({ path })) as unknown as DeviceEdits['nodes'],
  };
};

const service = (parts: Partial<DeviceServiceParts> = {}) =>
  new DeviceService({
    files: files(),
    vendors: [vendor('nvidia', 3)],
    readings: noReadings,
    resolve,
    gpusFromEnvironment: false,
    ...parts,
  });

const holder = (id: string): DeviceHolder => ({ id, title: `container ${id}` });
const request = (given: Partial<DeviceRequest>): DeviceRequest => ({
  Driver: '',
  Count: 0,
  DeviceIDs: null,
  Capabilities: [['gpu']],
  Options: null,
  ...given,
});
const cdi = (...names: readonly string[]) => request({ Driver: 'cdi', DeviceIDs: names });

async function grant(devices: DeviceService, id: string, requests: readonly DeviceRequest[], environment: readonly string[] = []) {
  const { edits, held } = await devices.grant(holder(id), { requests, environment, byRuntime: false });
  return { env: edits.env, nodes: edits.nodes.map(({ path }) => path), held };
}

test('grant: nothing asked, nothing looked at', async () => {
  const strict: GpuVendor = { ...vendor('nvidia', 1), look: () => Promise.reject(new Error('looked')) };
  const devices = service({ vendors: [strict] });
  assert.equal(await devices.grant(holder('a'), { requests: [], environment: ['NVIDIA_VISIBLE_DEVICES=all'], byRuntime: false }), noGrant);
});

test('grant: GPUs by number, what the driver brings, what the container is told, who holds them', async () => {
  const devices = service();
  assert.deepEqual(await grant(devices, 'a', [request({ Count: 2, Capabilities: [['gpu', 'video']] })]), {
    env: ['DRIVER=video', 'NVIDIA_VISIBLE_DEVICES=0,1', 'NVIDIA_DRIVER_CAPABILITIES=video'],
    nodes: ['/dev/0', '/dev/1'],
    held: [
      { device: 'nvidia.com/gpu=GPU-0', exclusive: false },
      { device: 'nvidia.com/gpu=GPU-1', exclusive: false },
    ],
  });
  assert.deepEqual((await grant(devices, 'b', [request({ Count: 1 })])).env, ['DRIVER=compute+utility', 'NVIDIA_VISIBLE_DEVICES=2']);
  assert.deepEqual((await grant(devices, 'c', [request({ DeviceIDs: ['none'] })])).env, [
    'DRIVER=compute+utility',
    'NVIDIA_VISIBLE_DEVICES=none',
  ]);
  assert.deepEqual(await grant(devices, 'd', [request({})]), { env: ['NVIDIA_VISIBLE_DEVICES=void'], nodes: [], held: [] });
  assert.deepEqual(
    devices.holders().map((each) => each.holder.id),
    ['a', 'b'],
  );
  devices.release('a');
  assert.deepEqual(
    devices.holders().map((each) => each.holder.id),
    ['b'],
  );
});

test('grant: two requests of one wish get different GPUs', async () => {
  const both = await grant(service(), 'a', [request({ Count: 1 }), request({ Count: 1, Options: { exclusive: '' } })]);
  assert.deepEqual(both.nodes, ['/dev/0', '/dev/1']);
  assert.equal(both.env.at(-1), 'NVIDIA_VISIBLE_DEVICES=0,1');
  assert.deepEqual(
    both.held.map(({ exclusive }) => exclusive),
    [false, true],
  );
});

test('grant: the first maker that is here; none: Docker’s words and why', async () => {
  const amd = service({ vendors: [vendor('nvidia', 0), vendor('amd', 1)] });
  assert.deepEqual((await grant(amd, 'a', [request({ Count: -1 })])).env, ['DRIVER=everything', 'AMD_VISIBLE_DEVICES=all']);
  await assert.rejects(
    grant(service({ vendors: [vendor('nvidia', 0), vendor('amd', 0)] }), 'a', [request({ Count: -1 })]),
    /could not select device driver "" with capabilities: \[\[gpu\]\]: no nvidia driver is loaded; no amd driver is loaded/,
  );
});

test('grant: GPUs that only want their driver are not stood in for by those of another maker, unless these are asked for', async () => {
  const idle: GpuVendor = {
    ...vendor('nvidia', 0),
    look: async () => ({ present: false, why: 'the GPU has no driver', lacksDriver: true }),
  };
  const devices = service({ vendors: [idle, vendor('intel', 1)] });
  await assert.rejects(grant(devices, 'a', [request({ Count: -1 })]), /capabilities: \[\[gpu\]\]: the GPU has no driver$/);
  assert.equal((await grant(devices, 'a', [request({ Count: -1, Driver: 'intel' })])).nodes.length, 1);
});

test('grant: without a driver that discovery finds, a description in a file will do', async () => {
  const devices = service({ vendors: [vendor('nvidia', 0)], files: files(describe('nvidia.com/gpu', ['0', '1', 'all'], null)) });
  const { nodes, held, env } = await grant(devices, 'a', [request({ Count: 1, Options: { exclusive: 'true' } })]);
  assert.deepEqual(
    [nodes, held, env],
    [['/dev/0'], [{ device: 'nvidia.com/gpu=0', exclusive: true }], ['DRIVER=everything', 'NVIDIA_VISIBLE_DEVICES=0']],
  );
  await assert.rejects(
    grant(devices, 'b', [cdi('nvidia.com/gpu=all')]),
    /nvidia.com\/gpu=all cannot be had: GPU 0 is held exclusively by container a/,
  );
});

test('grant: by qualified name, from files before discovery; GPUs are held whichever way they are asked for', async () => {
  const camera: CdiSpec = {
    cdiVersion: '1.0.0',
    kind: 'v.com/camera',
    devices: [{ name: 'front', containerEdits: { deviceNodes: [{ path: '/dev/video0' }] } }],
  };
  const devices = service({ files: files(camera, describe('nvidia.com/gpu', ['0'], new Set(['file']))) });
  assert.deepEqual(await grant(devices, 'a', [cdi('v.com/camera=front', 'nvidia.com/gpu=0', 'nvidia.com/gpu=GPU-1')]), {
    env: ['DRIVER=file', 'DRIVER=everything'],
    nodes: ['/dev/video0', '/dev/0', '/dev/GPU-1'],
    held: [
      { device: 'v.com/camera=front', exclusive: false },
      { device: 'nvidia.com/gpu=GPU-0', exclusive: false },
      { device: 'nvidia.com/gpu=GPU-1', exclusive: false },
    ],
  });
  await assert.rejects(
    grant(devices, 'b', [request({ DeviceIDs: ['0'], Options: { exclusive: '' } })]),
    /GPU 0 .* cannot be had exclusively: container a has it too/,
  );
  await assert.rejects(grant(devices, 'b', [cdi('v.com/camera=back')]), /unresolvable CDI devices v.com\/camera=back/);
  assert.deepEqual(
    devices.holders().map((each) => each.holder.id),
    ['a'],
  );
});

test('grant: what fails leaves nothing held, and what was held before stays', async () => {
  const gone: CdiSpec = {
    cdiVersion: '1.0.0',
    kind: 'v.com/x',
    devices: [{ name: 'gone', containerEdits: { deviceNodes: [{ path: '/dev/gone' }] } }],
  };
  const devices = service({ files: files(gone) });
  await assert.rejects(grant(devices, 'a', [request({ Count: 1 }), cdi('v.com/x=gone')]), /\/dev\/gone is not there/);
  assert.deepEqual(devices.holders(), []);
  const { held } = await grant(devices, 'a', [request({ Count: 1 })]);
  await assert.rejects(grant(devices, 'a', [cdi('v.com/x=gone')]), /is not there/);
  assert.deepEqual(devices.holders()[0]?.held, held);
});

test('grant: two starts at the same moment never get the same exclusive GPU', async () => {
  const devices = service();
  const exclusive = [request({ Count: 1, Options: { exclusive: '' } })];
  const results = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((id) => grant(devices, id, exclusive)));
  const granted = results.flatMap((result) => (result.status === 'fulfilled' ? result.value.nodes : []));
  assert.deepEqual(granted.sort(), ['/dev/0', '/dev/1', '/dev/2']);
});

test('adopt: what ran before the daemon keeps its devices', async () => {
  const devices = service();
  devices.adopt(holder('a'), [{ device: 'nvidia.com/gpu=GPU-0', exclusive: true }]);
  assert.deepEqual((await grant(devices, 'b', [request({ Count: 2 })])).nodes, ['/dev/1', '/dev/2']);
});

test('grant: an image that needs a newer driver is told so', async () => {
  const inventory = async () => [{ cudaVersion: '12.2' }] as unknown as Awaited<ReturnType<typeof noReadings.inventory>>;
  const devices = service({ readings: { ...noReadings, inventory } });
  const needs = (version: string, ...more: readonly string[]) =>
    grant(devices, 'a', [request({ Count: 1 })], [`NVIDIA_REQUIRE_CUDA=cuda>=${version}`, ...more]);
  await assert.rejects(needs('12.4'), /unsatisfied condition: cuda>=12.4 .* the driver 535.54.03, which offers CUDA 12.2/);
  assert.deepEqual(devices.holders(), []);
  assert.equal((await needs('12.4', 'NVIDIA_DISABLE_REQUIRE=1')).nodes.length, 1);
  assert.equal((await needs('12.1')).nodes.length, 1);
});

test('grant: an image that brings a newer CUDA than the driver has needs none of it, where the GPUs take it', async () => {
  const inventory = async () => [{ cudaVersion: '12.2' }] as unknown as Awaited<ReturnType<typeof noReadings.inventory>>;
  const asked: string[] = [];
  const needs = async (forwardCompatible: boolean, brings: boolean, text: string) => {
    const devices = service({ readings: { ...noReadings, inventory }, vendors: [vendor('nvidia', 1, { forwardCompatible })] });
    const hasNewerCuda = (driver: string): boolean => asked.push(driver) > 0 && brings;
    const wish = { requests: [request({ Count: 1 })], environment: [`NVIDIA_REQUIRE_CUDA=${text}`], byRuntime: false, hasNewerCuda };
    return (await devices.grant(holder('a'), wish)).held.length;
  };
  assert.equal(await needs(true, true, 'cuda>=12.4'), 1);
  await assert.rejects(needs(true, false, 'cuda>=12.4'), /unsatisfied condition/);
  await assert.rejects(needs(false, true, 'cuda>=12.4'), /unsatisfied condition/);
  await assert.rejects(needs(true, true, 'cuda>=12.4,driver>=550'), /unsatisfied condition/);
  assert.deepEqual(asked, ['535.54.03', '535.54.03', '535.54.03']);
});

test('grant by the environment: where there is no driver, how to go without is told', async () => {
  const devices = service({ vendors: [vendor('nvidia', 0)], gpusFromEnvironment: true });
  await assert.rejects(
    grant(devices, 'a', [], ['NVIDIA_VISIBLE_DEVICES=all']),
    /could not select device driver "nvidia" with capabilities: \[\[gpu\]\]: no nvidia driver is loaded; NVIDIA_VISIBLE_DEVICES .* --env NVIDIA_VISIBLE_DEVICES=void/,
  );
  assert.deepEqual(await grant(devices, 'a', [], ['NVIDIA_VISIBLE_DEVICES=void']), { env: [], nodes: [], held: [] });
});

test('list and inspect: everything that can be named, who has it, and what is wrong', async () => {
  const gone: CdiSpec = {
    cdiVersion: '1.0.0',
    kind: 'v.com/x',
    devices: [{ name: 'gone', containerEdits: { deviceNodes: [{ path: '/dev/gone' }] } }],
  };
  const devices = service({ files: files(gone), vendors: [vendor('nvidia', 1, { problems: ['no nvidia-uvm'] })] });
  await grant(devices, 'a', [request({ Count: 1 })]);
  const { devices: found, problems } = await devices.list();
  assert.deepEqual(
    found.map(({ name, maker, model, uuid, file }) => [name, maker, model, uuid, file]),
    [
      ['nvidia.com/gpu=0', 'nvidia', 'Fake', 'GPU-0', null],
      ['nvidia.com/gpu=GPU-0', 'nvidia', 'Fake', 'GPU-0', null],
      ['nvidia.com/gpu=all', 'nvidia', '', null, null],
      ['v.com/x=gone', null, '', null, '/etc/cdi/0.yaml'],
    ],
  );
  assert.deepEqual(
    found.map(({ heldBy }) => heldBy.map((each) => each.holder.id)),
    [['a'], ['a'], ['a'], []],
  );
  assert.match(found[3]?.problem ?? '', /\/dev\/gone is not there/);
  assert.deepEqual(problems, [{ source: 'nvidia discovery', text: 'no nvidia-uvm' }]);
  assert.equal((await devices.inspect('nvidia.com/gpu=0')).memoryBytes, 1024);
  await assert.rejects(devices.inspect('nvidia.com/gpu=9'), /no such device: nvidia.com\/gpu=9: did you mean nvidia.com\/gpu=0\?/);
});

test('a look that fails is a problem of that maker alone', async () => {
  const broken: GpuVendor = { ...vendor('amd', 1), look: () => Promise.reject(new Error('EIO: i/o error')) };
  const devices = service({ vendors: [vendor('nvidia', 1), broken] });
  const { devices: found, problems } = await devices.list();
  assert.equal(found.length, 3);
  assert.deepEqual(problems, [{ source: 'amd discovery', text: 'EIO: i/o error' }]);
  assert.equal((await grant(devices, 'a', [request({ Count: 1 })])).nodes.length, 1);
  await assert.rejects(
    grant(devices, 'a', [request({ Count: 1, Driver: 'amd' })]),
    /could not select device driver "amd" .*: EIO: i\/o error/,
  );
});

test('a driver that cannot work is told, and hides no other device', async () => {
  const camera: CdiSpec = {
    cdiVersion: '1.0.0',
    kind: 'v.com/camera',
    devices: [{ name: 'front', containerEdits: { deviceNodes: [{ path: '/dev/video0' }] } }],
  };
  const devices = service({ files: files(camera), vendors: [vendor('nvidia', 1, { fatal: 'library 1 does not match module 2' })] });
  await assert.rejects(grant(devices, 'a', [request({ Count: 1 })]), /library 1 does not match module 2/);
  await assert.rejects(grant(devices, 'a', [cdi('nvidia.com/gpu=0')]), /library 1 does not match module 2/);
  assert.deepEqual((await grant(devices, 'a', [cdi('v.com/camera=front')])).nodes, ['/dev/video0']);
  const { problems } = await devices.list();
  assert.deepEqual(problems, [{ source: 'nvidia discovery', text: 'library 1 does not match module 2' }]);
  await assert.rejects(devices.describe(null), /library 1 does not match/);
  await assert.rejects(devices.describe('amd'), /no GPU of amd is looked for/);
});
