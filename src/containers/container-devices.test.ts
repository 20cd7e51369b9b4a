/** Devices of a container over its life, with a service of devices that notes what is asked of it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { conflict } from '../base/errors.ts';
import { noDevices } from '../devices/create-devices.ts';
import { type DeviceEdits, noEdits } from '../devices/device-edits.ts';
import { type DeviceHolder, type Devices, type DeviceWish, type HeldDevice, noGrant } from '../devices/devices.ts';
import { defaultExecConfig } from './config-defaults.ts';
import { serviceFixture } from './testing/service-fixture.ts';

const gpu = { Driver: '', Count: 1, DeviceIDs: null, Capabilities: [['gpu']], Options: null };
const held: readonly HeldDevice[] = [{ device: 'nvidia.com/gpu=0', exclusive: true }];
const never = new AbortController().signal;

class NotedDevices implements Pick<Devices, 'grant' | 'adopt' | 'release'> {
  readonly holding = new Map<string, readonly HeldDevice[]>();
  readonly titles: string[] = [];
  readonly wishes: DeviceWish[] = [];
  edits: DeviceEdits = noEdits;
  refusal: Error | null = null;

  async grant({ id, title }: DeviceHolder, wish: DeviceWish) {
    this.wishes.push(wish);
    if (wish.requests.length === 0) return noGrant;
    if (this.refusal !== null) throw this.refusal;
    this.holding.set(id, held);
    this.titles.push(title);
    return { edits: this.edits, held };
  }

  adopt({ id, title }: DeviceHolder, devices: readonly HeldDevice[]): void {
    this.holding.set(id, devices);
    this.titles.push(title);
  }

  release(id: string): void {
    this.holding.delete(id);
  }
}

/** With a driver of one library. */
async function fixture(context: TestContext) {
  const noted = new NotedDevices();
  const devices: Devices = Object.assign(Object.create(noDevices) as Devices, {
    grant: noted.grant.bind(noted),
    adopt: noted.adopt.bind(noted),
    release: noted.release.bind(noted),
  });
  const made = await serviceFixture(context, undefined, devices);
  const library = join(made.directory, 'libcuda.so.1');
  writeFileSync(library, 'not even ELF');
  noted.edits = {
    ...noEdits,
    env: ['NVIDIA_VISIBLE_DEVICES=0'],
    additionalGids: [44],
    nodes: [
      { path: '/dev/nvidia0', hostPath: '/dev/nvidia0', type: 'c', major: 195, minor: 0, fileMode: 0o666, uid: 0, gid: 0, access: 'rw' },
    ],
    mounts: [{ hostPath: library, containerPath: '/usr/lib/libcuda.so.1', kind: 'file', options: ['ro', 'bind'], type: '' }],
    links: [{ path: '/usr/lib/libcuda.so', target: 'libcuda.so.1' }],
  };
  const layerOf = (id: string) => join(made.directory, 'containers', id, 'devices', 'layer');
  const stored = async (id: string) => {
    const [row] = await made.database.query<{ record: string }>('SELECT record FROM containers WHERE id = ?', id);
    return JSON.parse(row?.record ?? '{}').state;
  };
  return { ...made, noted, layerOf, stored };
}

test('a start without a wish stores, lays and shows nothing of devices', async (context) => {
  const { noted, service, runtime, create, layerOf, stored } = await fixture(context);
  const id = await create({ Env: ['A=1'] });
  await service.start(id);
  const asked = noted.wishes.map(({ requests, environment, byRuntime }) => ({ requests, environment, byRuntime }));
  assert.deepEqual(asked, [{ requests: [], environment: ['A=1', 'PATH=/bin'], byRuntime: false }]);
  assert.deepEqual([existsSync(layerOf(id)), (await service.inspect(id)).devices, (await stored(id)).devices], [false, null, undefined]);
  const { rootfs } = runtime.process(id).request;
  assert.deepEqual(rootfs.kind === 'overlay' ? rootfs.lowers : [], ['i', 'base']);
});

test('granted, it runs on its layer, and is stored with its devices before its process is there', async (context) => {
  const { directory, noted, service, runtime, create, layerOf, stored } = await fixture(context);
  const id = await create({}, { DeviceRequests: [gpu] }, 'train');
  let before: unknown;
  runtime.beforeStart = async () => {
    before = (await stored(id)).devices;
  };
  await service.start(id);
  const given = {
    held,
    nodes: [{ path: '/dev/nvidia0', hostPath: '/dev/nvidia0', access: 'rw' }],
    env: noted.edits.env,
    additionalGids: [44],
    hasLayer: true,
  };
  const view = await service.inspect(id);
  assert.deepEqual([before, view.devices], [given, given]);
  assert.ok(view.graph.LowerDir?.startsWith(`${layerOf(id)}:`));
  const { spec, rootfs } = runtime.process(id).request;
  assert.ok(spec.process.env.includes('NVIDIA_VISIBLE_DEVICES=0') && spec.linux.devices?.some(({ path }) => path === '/dev/nvidia0'));
  assert.deepEqual(rootfs.kind === 'overlay' ? rootfs.lowers : [], [`../containers/${id}/devices/layer`, 'i', 'base']);
  assert.equal(readFileSync(join(layerOf(id), 'usr/lib/libcuda.so.1'), 'utf8'), '');
  await service.rename(id, 'renamed');
  assert.deepEqual(noted.titles, [`container train (${id.slice(0, 12)})`, `container renamed (${id.slice(0, 12)})`]);
  assert.ok(existsSync(join(directory, 'libcuda.so.1')));
});

test('exec gets the variables and groups, after a restart of the daemon too', async (context) => {
  const { service, runtime, create, restart } = await fixture(context);
  const id = await create({}, { DeviceRequests: [gpu] });
  await service.start(id);
  for (const daemon of [service, await restart()]) {
    const config = defaultExecConfig({ Cmd: ['x'] });
    await daemon.startExec(await daemon.createExec(id, config), { detach: true, tty: false, consoleSize: null });
    const { process } = runtime.process(id).execs.at(-1)?.request.spec ?? assert.fail();
    assert.ok(process.env.includes('NVIDIA_VISIBLE_DEVICES=0') && process.user.additionalGids?.includes(44));
  }
});

test('at its end the devices are free before anybody is told; the layer is gone; so after a start that failed', async (context) => {
  const { noted, service, runtime, create, layerOf, stored } = await fixture(context);
  const id = await create({}, { DeviceRequests: [gpu] });
  const told: boolean[] = [];
  service.onEvent(({ action }) => {
    if (action === 'die') told.push(noted.holding.size === 0 && !existsSync(layerOf(id)));
  });
  await service.start(id);
  const { exit } = await service.wait(id, 'next-exit', never);
  runtime.process(id).exit(0);
  await exit;
  assert.deepEqual([told, noted.holding.size], [[true], 0]);
  runtime.beforeStart = () => {
    throw conflict('no room');
  };
  await assert.rejects(service.start(id), /no room/);
  assert.deepEqual([noted.holding.size, existsSync(layerOf(id)), (await stored(id)).devices], [0, false, undefined]);
  noted.refusal = conflict('GPU 0 is held by somebody');
  await assert.rejects(service.start(id), /GPU 0 is held by somebody/);
  assert.equal((await service.inspect(id)).state.exitCode, 128);
});

test('the next daemon: who runs holds on; what never ran, or ended, holds nothing and lays nothing', async (context) => {
  const { noted, service, runtime, database, create, restart, layerOf } = await fixture(context);
  const [runs, ended, never] = [
    await create({}, { DeviceRequests: [gpu] }),
    await create({}, { DeviceRequests: [gpu] }),
    await create({}, { DeviceRequests: [gpu] }),
  ];
  for (const id of [runs, ended]) await service.start(id);
  // It dies while this one starts.
  runtime.beforeStart = () => new Promise(() => {});
  void service.start(never);
  while (!existsSync(join(layerOf(never), 'usr/lib/libcuda.so'))) await new Promise((resolve) => setTimeout(resolve, 5));
  database.refuse = (sql) => (sql.startsWith('UPDATE') ? new Error('killed') : null);
  runtime.process(ended).status = { code: 0, at: new Date(), oomKilled: false, note: null };
  database.refuse = () => null;
  noted.holding.clear();
  const next = await restart();
  assert.deepEqual([...noted.holding.keys()], [runs]);
  assert.deepEqual(
    [runs, ended, never].map((id) => existsSync(layerOf(id))),
    [true, false, false],
  );
  assert.deepEqual((await next.inspect(runs)).devices?.held, held);
  assert.deepEqual(
    (await next.audit()).filter(({ what }) => what.includes('devices')),
    [],
  );
});
