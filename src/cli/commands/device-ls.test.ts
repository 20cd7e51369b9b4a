import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DeviceSummary } from '../../client/device-api.ts';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
after(() => home[Symbol.dispose]());

const device = (Name: string, rest: Partial<DeviceSummary> = {}): DeviceSummary => ({
  ...{ Name, Source: 'discovered', Maker: 'nvidia', Model: 'NVIDIA H100', UUID: '', Memory: 80 * 2 ** 30, HeldBy: [], Problem: '' },
  ...rest,
});
const web = { Id: 'a'.repeat(64), Title: 'container web (aaaaaaaaaaaa)', Exclusive: true };
const devices = [
  device('nvidia.com/gpu=10', { UUID: 'GPU-b' }),
  device('nvidia.com/gpu=2', { UUID: 'GPU-a', HeldBy: [web] }),
  device('nvidia.com/gpu=GPU-a', { UUID: 'GPU-a', HeldBy: [web] }),
  device('nvidia.com/gpu=GPU-b', { UUID: 'GPU-b' }),
  device('nvidia.com/gpu=all', { Model: '', Memory: 0 }),
  device('v.com/camera=front', { Source: '/etc/cdi/v.yaml', Model: '', Memory: 0, Problem: '/dev/video0 is gone' }),
];

let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(home.folder, (path, response) => {
    if (path === 'GET /devices' || path === '/devices')
      sendJson(response, 200, { Devices: devices, Problems: [{ Source: '/etc/cdi/x.json', Text: 'kind is missing' }] });
    else if (path.endsWith('/devices/nvidia.com/gpu%3D2'))
      sendJson(response, 200, { ...devices[1], Description: { kind: 'nvidia.com/gpu' } });
    else if (path.endsWith('/info')) {
      const DiscoveredDevices = [{ Source: 'cdi', ID: 'v.com/camera=front' }];
      sendJson(response, 200, {
        Plugins: { Log: ['local'] },
        CDISpecDirs: ['/etc/cdi'],
        DiscoveredDevices,
        Swarm: { LocalNodeState: 'x' },
      });
    } else sendJson(response, 404, { message: `no such device: ${path}` });
  });
});
after(() => daemon[Symbol.asyncDispose]());

const gantry = (line: string) => home.gantry(line.split(' '), { env: daemon.env });

describe('device ls', () => {
  it('shows each device once, in natural order, with its holders; problems go to standard error', async () => {
    const { code, stdout, stderr } = await gantry('device ls');
    assert.equal(code, 0);
    assert.deepEqual(
      stdout.split('\n').map((line) => line.trimEnd().split(/ {2,}/)),
      [
        ['NAME', 'MODEL', 'MEMORY', 'SOURCE', 'HELD BY'],
        ['nvidia.com/gpu=2', 'NVIDIA H100', '80GiB', 'discovered', 'web (exclusive)'],
        ['nvidia.com/gpu=10', 'NVIDIA H100', '80GiB', 'discovered'],
        ['nvidia.com/gpu=all', 'discovered'],
        ['v.com/camera=front', '/etc/cdi/v.yaml'],
        [''],
      ],
    );
    assert.equal(stderr, 'WARNING: /etc/cdi/x.json: kind is missing\nWARNING: v.com/camera=front: /dev/video0 is gone\n');
  });

  it('--all shows every name; --format, -q and --no-trunc as in other lists', async () => {
    assert.equal((await gantry('device ls --all -q')).stdout.split('\n').length - 1, devices.length);
    assert.equal((await gantry('device list -q')).stdout.split('\n')[0], 'nvidia.com/gpu=2');
    assert.equal(
      (await gantry('device ls --no-trunc --format {{.UUID}}:{{.HeldBy}}')).stdout.split('\n')[0],
      `GPU-a:${web.Title} (exclusive)`,
    );
    assert.equal(JSON.parse((await gantry('device ls --format json')).stdout.split('\n')[1] ?? '').UUID, 'GPU-b');
  });
});

it('device inspect shows a document, and what was not found', async () => {
  const { code, stdout, stderr } = await gantry('device inspect nvidia.com/gpu=2 a/b=c');
  assert.equal(code, 1);
  assert.equal(JSON.parse(stdout)[0].Description.kind, 'nvidia.com/gpu');
  assert.match(stderr, /no such device: /);
});

it('info prints devices where docker does', async () => {
  const { stdout } = await gantry('info');
  assert.match(
    stdout,
    / {2}Log: local\n CDI spec directories:\n {2}\/etc\/cdi\n Discovered Devices:\n {2}cdi: v.com\/camera=front\n Swarm: x\n/,
  );
});
