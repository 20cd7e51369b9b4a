/** On fake machines without device nodes (no root is needed); with nodes and whole descriptions: test/devices/nvidia-description.test.ts. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { type FakeDriver, type FakeDriverOptions, makeFakeDriver } from '../../../test/harness/fake-driver.ts';
import type { CdiSpec } from '../cdi/cdi-spec.ts';
import type { GpuLook, GpuVendor } from '../gpu-vendor.ts';
import type { NvmlGpu } from '../nvml/gpu-readings.ts';
import { nvidiaVendor } from './nvidia-vendor.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-nvidia-'));
after(() => rmSync(folder, { recursive: true }));

let made = 0;
function fakeDriver(options: FakeDriverOptions): FakeDriver {
  made++;
  return makeFakeDriver(join(folder, String(made)), { nodes: 'empty', with32Bit: false, ...options });
}

function vendorOf({ root }: FakeDriver, inventory: readonly NvmlGpu[] | null = null): GpuVendor {
  return nvidiaVendor({ deviceRoot: root, driverRoot: root, readings: { inventory: () => Promise.resolve(inventory) } });
}

async function presentLook(vendor: GpuVendor): Promise<Extract<GpuLook, { present: true }>> {
  const look = await vendor.look();
  assert.ok(look.present, look.present ? '' : look.why);
  return look;
}

async function whyNot(options: FakeDriverOptions): Promise<string> {
  const fake = fakeDriver(options);
  const look = await vendorOf(fake).look();
  assert.ok(!look.present);
  return look.why.replaceAll(fake.root, '');
}

const nodesOf = (spec: CdiSpec, name: string): readonly string[] =>
  (spec.devices.find((device) => device.name === name)?.containerEdits.deviceNodes ?? []).map(({ path }) => path);
const mountsOf = (spec: CdiSpec): readonly string[] =>
  (spec.containerEdits?.mounts ?? []).map(({ containerPath }) => containerPath.replace(/.*\//, ''));

test('nvidiaVendor: GPUs by index and UUID without NVML, of the proprietary module too', async () => {
  const fake = fakeDriver({ gpus: 2, open: false, driverVersion: '535.104.05' });
  const look = await presentLook(vendorOf(fake));
  assert.equal(look.driverVersion, '535.104.05');
  assert.deepEqual(look.problems, []);
  assert.deepEqual(
    look.gpus.map(({ index, uuid, pciAddress, names, memoryBytes }) => ({ index, uuid, pciAddress, names, memoryBytes })),
    fake.gpus.map(({ index, uuid, pciAddress }) => ({ index, uuid, pciAddress, names: [String(index), uuid], memoryBytes: null })),
  );
  const spec = look.describe(null);
  assert.deepEqual(
    spec.devices.map(({ name }) => name),
    ['0', fake.gpus[0]?.uuid, '1', fake.gpus[1]?.uuid, 'all'],
  );
});

test('nvidiaVendor: NVML numbers GPUs and knows the memory', async () => {
  const fake = fakeDriver({ gpus: 2, without: ['uuid'] });
  const inventory = fake.inventory.map((gpu) => ({ ...gpu, index: 1 - gpu.index, pciAddress: `0000${gpu.pciAddress.toUpperCase()}` }));
  const look = await presentLook(vendorOf(fake, inventory));
  assert.deepEqual(
    look.gpus.map(({ index, pciAddress, uuid, memoryBytes }) => [index, pciAddress, uuid, memoryBytes]),
    [
      [0, '0000:02:00.0', fake.inventory[1]?.uuid, fake.inventory[1]?.memoryBytes],
      [1, '0000:01:00.0', fake.inventory[0]?.uuid, fake.inventory[0]?.memoryBytes],
    ],
  );
  assert.deepEqual(nodesOf(look.describe(new Set(['compute'])), '0'), ['/dev/nvidia1']);
});

test('nvidiaVendor: nodes that are not there yet are described by their numbers', async () => {
  const fake = fakeDriver({ without: ['nodes', 'dri'] });
  const spec = (await presentLook(vendorOf(fake))).describe(null);
  const nodes = [...(spec.devices[0]?.containerEdits.deviceNodes ?? []), ...(spec.containerEdits?.deviceNodes ?? [])];
  assert.deepEqual(
    nodes.map(({ path, type, major, minor, permissions }) => [path, type, major, minor, permissions]),
    [
      ['/dev/nvidia0', 'c', 195, 0, 'rw'],
      ['/dev/nvidiactl', 'c', 195, 255, 'rw'],
      ['/dev/nvidia-modeset', 'c', 195, 254, 'rw'],
      ['/dev/nvidia-uvm', 'c', 511, 0, 'rw'],
      ['/dev/nvidia-uvm-tools', 'c', 511, 1, 'rw'],
    ],
  );
});

test('nvidiaVendor: parts (MIG) by number and UUID; the whole GPU has all of their nodes', async () => {
  const fake = fakeDriver({ gpus: 2, mig: { 1: [{ gpuInstance: 9 }, { gpuInstance: 3, profile: '2g.20gb' }] } });
  const look = await presentLook(vendorOf(fake, fake.inventory));
  const [first, second] = fake.gpus[1]?.parts ?? [];
  assert.deepEqual(look.gpus[1]?.parts, [
    { name: '1:0', uuid: first?.uuid, profile: '1g.10gb', names: ['1:0', first?.uuid] },
    { name: '1:1', uuid: second?.uuid, profile: '2g.20gb', names: ['1:1', second?.uuid] },
  ]);
  const spec = look.describe(new Set(['compute', 'utility']));
  assert.deepEqual(nodesOf(spec, '1:0'), ['/dev/nvidia1', ...(first?.nodes ?? [])]);
  assert.deepEqual(nodesOf(spec, second?.uuid ?? ''), ['/dev/nvidia1', ...(second?.nodes ?? [])]);
  assert.deepEqual([...nodesOf(spec, '1')].sort(), ['/dev/nvidia1', ...(first?.nodes ?? []), ...(second?.nodes ?? [])].sort());
  assert.deepEqual(nodesOf(spec, '0'), ['/dev/nvidia0']);
});

test('nvidiaVendor: without NVML parts are numbered by their instances, and it is told that UUIDs are not known', async () => {
  const fake = fakeDriver({ mig: { 0: [{ gpuInstance: 9 }, { gpuInstance: 3 }] } });
  const look = await presentLook(vendorOf(fake));
  assert.deepEqual(
    look.gpus[0]?.parts.map(({ name, uuid }) => [name, uuid]),
    [
      ['0:0', null],
      ['0:1', null],
    ],
  );
  assert.match(look.problems.join(), /the UUIDs of the parts of GPU 0 are not known/);
  assert.deepEqual(nodesOf(look.describe(null), '0:0'), ['/dev/nvidia0', ...(fake.gpus[0]?.parts[1]?.nodes ?? [])]);
});

test('describe: capabilities choose libraries, programs and nodes', async () => {
  const look = await presentLook(vendorOf(fakeDriver({ with32Bit: true })));
  const utility = look.describe(new Set(['utility']));
  assert.deepEqual(mountsOf(utility), [
    'libnvidia-cfg.so.580.159.04',
    'libnvidia-ml.so.580.159.04',
    'nvidia-smi',
    'nvidia-debugdump',
    'nvidia-persistenced',
    'socket',
  ]);
  assert.deepEqual(
    utility.containerEdits?.deviceNodes?.map(({ path }) => path),
    ['/dev/nvidiactl'],
  );
  assert.deepEqual(nodesOf(utility, '0'), ['/dev/nvidia0']);
  const compute = mountsOf(look.describe(new Set(['compute'])));
  assert.ok(
    compute.includes('libcuda.so.580.159.04') && !compute.some((name) => /smi|GLX|nvcuvid|libnvidia-ml/.test(name)),
    compute.join(' '),
  );
  const graphics = look.describe(new Set(['graphics']));
  assert.ok(mountsOf(graphics).includes('libGLX_nvidia.so.580.159.04') && mountsOf(graphics).includes('nvidia_icd.json'));
  assert.deepEqual(nodesOf(graphics, 'all'), ['/dev/nvidia0', '/dev/dri/card1', '/dev/dri/renderD128']);
  const narrow = (spec: CdiSpec): number =>
    (spec.containerEdits?.mounts ?? []).filter(({ containerPath }) => containerPath.includes('i386')).length;
  assert.equal(narrow(look.describe(null)), 0);
  assert.equal(narrow(look.describe(new Set(['compute', 'compat32']))), 6);
});

test('describe: the module and the libraries are of different versions', async () => {
  const look = await presentLook(vendorOf(fakeDriver({ driverVersion: '550.54.14', libraryVersion: '560.35.03' })));
  const words =
    /the NVIDIA kernel module is 550\.54\.14, the driver's libraries are 560\.35\.03: the driver was updated.*restart the machine/s;
  assert.match(look.problems.join(), words);
  assert.throws(() => look.describe(null), words);
});

test('describe: libraries are not there', async () => {
  const fake = fakeDriver({ without: ['libraries'] });
  const look = await presentLook(vendorOf(fake));
  assert.throws(
    () => look.describe(null),
    /its libraries \(libcuda\.so\.580\.159\.04\) are not found below .*install the driver's libraries/,
  );
});

test('nvidiaVendor: why there is none', async () => {
  assert.equal(
    await whyNot({ without: ['hardware'] }),
    'no NVIDIA driver is loaded (there is no /proc/driver/nvidia/version), and no NVIDIA GPU is on the PCI bus',
  );
  assert.match(await whyNot({ without: ['module'] }), /^the NVIDIA GPU at 0000:01:00\.0 has no driver .*modprobe nvidia$/);
  assert.match(
    await whyNot({ without: ['nouveau'], gpus: 2 }),
    /^2 NVIDIA GPUs \(the first at 0000:01:00\.0\) have the driver nouveau, .*install NVIDIA's driver/,
  );
});

test('nvidiaVendor: why there is none on Windows and on a Jetson', async () => {
  for (const [file, words] of [
    ['dev/dxg', /Windows' Linux subsystem.*--mode=wsl/],
    ['etc/nv_tegra_release', /Jetson.*--mode=csv/],
  ] as const) {
    const fake = fakeDriver({ without: ['hardware'] });
    mkdirSync(dirname(join(fake.root, file)), { recursive: true });
    writeFileSync(join(fake.root, file), '');
    const look = await vendorOf(fake).look();
    assert.match(look.present ? '' : look.why, words);
  }
});

test('nvidiaVendor: CUDA without nvidia-uvm is a problem that is told', async () => {
  const fake = fakeDriver({ without: ['nodes'] });
  writeFileSync(join(fake.root, 'proc/devices'), 'Character devices:\n195 nvidia\n');
  assert.match((await presentLook(vendorOf(fake))).problems.join(), /nvidia-uvm is not loaded.*modprobe nvidia-uvm/);
});

test('nvidiaVendor: libraries are found in folders that no loader cache lists, and those of another version are left alone', async () => {
  const fake = fakeDriver({ without: ['loader-cache'] });
  const lib = libraryFolder(fake);
  renameSync(join(lib, `libcuda.so.${fake.driverVersion}`), join(fake.root, 'usr/lib/libcuda.so.580.159.04'));
  writeFileSync(join(lib, 'libcuda.so.470.1'), 'old');
  const mounts = (await presentLook(vendorOf(fake))).describe(new Set(['compute'])).containerEdits?.mounts ?? [];
  const cuda = mounts.filter(({ containerPath }) => containerPath.includes('libcuda.so'));
  assert.deepEqual(
    cuda.map(({ containerPath }) => containerPath),
    ['/usr/lib/libcuda.so.580.159.04'],
  );
});

test('nvidiaVendor: a look sees what was installed since the last one, and NVML is asked once for one machine', async () => {
  const fake = fakeDriver({ mig: { 0: [{}] } });
  let asked = 0;
  const readings = { inventory: () => Promise.resolve(++asked === 1 ? null : fake.inventory) };
  const vendor = nvidiaVendor({ deviceRoot: fake.root, driverRoot: fake.root, readings });
  assert.equal((await presentLook(vendor)).gpus[0]?.parts[0]?.uuid, null);
  assert.equal((await presentLook(vendor)).gpus[0]?.parts[0]?.uuid, fake.inventory[0]?.parts[0]?.uuid);
  await presentLook(vendor);
  assert.equal(asked, 2);
  const smi = join(fake.root, 'usr/bin/nvidia-smi');
  rmSync(smi);
  assert.ok(!mountsOf((await presentLook(vendor)).describe(null)).includes('nvidia-smi'));
});

test('nvidiaVendor: in a sandbox that hides the part of /proc, NVML says which GPUs there are', async () => {
  const fake = fakeDriver({ gpus: 1 });
  rmSync(join(fake.root, 'proc/driver'), { recursive: true });
  const look = await presentLook(vendorOf(fake, fake.inventory));
  assert.equal(look.driverVersion, fake.libraryVersion);
  assert.deepEqual(
    look.gpus.map(({ uuid }) => uuid),
    [fake.inventory[0]?.uuid],
  );
  assert.equal((await vendorOf(fake).look()).present, false);
});

test('nvidiaVendor: a driver below /usr/local/nvidia, whose programs are put into the search path', async () => {
  const fake = fakeDriver({ without: ['loader-cache', 'graphics'] });
  mkdirSync(join(fake.root, 'usr/local/nvidia'), { recursive: true });
  renameSync(libraryFolder(fake), join(fake.root, 'usr/local/nvidia/lib64'));
  renameSync(join(fake.root, 'usr/bin'), join(fake.root, 'usr/local/nvidia/bin'));
  const { containerEdits } = (await presentLook(vendorOf(fake))).describe(null);
  const mounts = new Map(
    (containerEdits?.mounts ?? []).map(({ hostPath, containerPath }) => [containerPath, hostPath.replace(fake.root, '')]),
  );
  assert.equal(mounts.get('/usr/local/nvidia/lib64/libcuda.so.580.159.04'), '/usr/local/nvidia/lib64/libcuda.so.580.159.04');
  assert.equal(mounts.get('/usr/bin/nvidia-smi'), '/usr/local/nvidia/bin/nvidia-smi');
  assert.deepEqual(containerEdits?.hooks?.at(-2)?.args?.slice(3), ['update-ldcache', '--folder', '/usr/local/nvidia/lib64']);
});

test('nvidiaVendor: newer CUDA libraries of images are for GPUs that take them, and for who computes', async () => {
  const compat = async (model: string, capability: string): Promise<readonly unknown[]> => {
    const fake = fakeDriver({ gpus: 2 });
    const information = join(fake.root, 'proc/driver/nvidia/gpus', fake.gpus[1]?.pciAddress ?? '', 'information');
    writeFileSync(information, readFileSync(information, 'utf8').replace(/Model:.*/, `Model: \t\t ${model}`));
    const look = await presentLook(
      nvidiaVendor({ deviceRoot: fake.root, driverRoot: fake.root, readings: { inventory: () => Promise.resolve(null) } }),
    );
    const hooks = look.describe(new Set([capability])).containerEdits?.hooks ?? [];
    return [look.forwardCompatible, hooks.some(({ args }) => args?.includes('enable-cuda-compat') === true)];
  };
  assert.deepEqual(await compat('NVIDIA H100 80GB HBM3', 'compute'), [true, true]);
  assert.deepEqual(await compat('NVIDIA H100 80GB HBM3', 'utility'), [true, false]);
  assert.deepEqual(await compat('NVIDIA GeForce RTX 3090', 'compute'), [false, false]);
});

test("nvidiaVendor: Debian's alternatives, whose links are absolute, lead to the true files", async () => {
  const fake = fakeDriver({ without: ['graphics'] });
  const lib = libraryFolder(fake);
  const place = lib.replace(fake.root, '');
  mkdirSync(join(lib, 'nvidia/current'), { recursive: true });
  mkdirSync(join(fake.root, 'etc/alternatives'), { recursive: true });
  for (const name of ['libcuda.so.580.159.04', 'libcuda.so.1', 'libcuda.so'])
    renameSync(join(lib, name), join(lib, 'nvidia/current', name));
  symlinkSync('/etc/alternatives/nvidia--libcuda.so.1', join(lib, 'libcuda.so.1'));
  symlinkSync(`${place}/nvidia/current/libcuda.so.1`, join(fake.root, 'etc/alternatives/nvidia--libcuda.so.1'));
  const { containerEdits } = (await presentLook(vendorOf(fake))).describe(new Set(['compute']));
  const cuda = (containerEdits?.mounts ?? []).filter(({ containerPath }) => containerPath.includes('libcuda.so'));
  assert.deepEqual(
    cuda.map(({ hostPath, containerPath }) => [hostPath.replace(fake.root, ''), containerPath]),
    [[`${place}/nvidia/current/libcuda.so.580.159.04`, `${place}/nvidia/current/libcuda.so.580.159.04`]],
  );
});

test('nvidiaVendor: a GPU that the administrator excluded is none', async () => {
  const fake = fakeDriver({ gpus: 2 });
  const file = join(fake.root, 'proc/driver/nvidia/gpus/0000:01:00.0/information');
  writeFileSync(file, readFileSync(file, 'utf8').replace('GPU Excluded:\t No', 'GPU Excluded:\t Yes'));
  const look = await presentLook(vendorOf(fake));
  assert.deepEqual(
    look.gpus.map(({ index, pciAddress }) => [index, pciAddress]),
    [[0, '0000:02:00.0']],
  );
  assert.deepEqual(nodesOf(look.describe(new Set(['compute'])), '0'), ['/dev/nvidia1']);
});

test('nvidiaVendor: the module is loaded and serves nothing', async () => {
  const fake = fakeDriver({});
  rmSync(join(fake.root, 'proc/driver/nvidia/gpus'), { recursive: true });
  const look = await vendorOf(fake).look();
  assert.match(
    look.present ? '' : look.why,
    /^the NVIDIA driver 580\.159\.04 is loaded, but it has no GPU: it refuses those there are; .*dmesg/,
  );
});

function libraryFolder({ root }: FakeDriver): string {
  return join(root, 'usr/lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
}
