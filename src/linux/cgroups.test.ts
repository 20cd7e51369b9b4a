import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CgroupFiles } from './cgroup-files.ts';
import type { CgroupHost } from './cgroup-host.ts';
import { type CgroupSystem, createCgroup, ensureCgroup, placementBeside, readOomKills, removeCgroup, updateCgroup } from './cgroups.ts';

const root = '/sys/fs/cgroup';

/** A cgroup2 tree in memory that hands controllers down as the kernel does. */
class FakeV2 implements CgroupFiles {
  readonly files = new Map<string, string>();
  readonly writes: string[] = [];
  readonly attached: { directory: string; instructions: number }[] = [];
  readonly refused = new Map<string, string>();
  readonly #controllers: readonly string[];

  constructor(...controllers: readonly string[]) {
    this.#controllers = controllers;
    this.#populate(root, controllers);
  }

  get system(): CgroupSystem {
    const host: CgroupHost = { mode: 'v2', v1: new Map(), unified: root, unifiedControllers: new Set(this.#controllers) };
    const attachDeviceProgram = (directory: string, program: Uint8Array): void => {
      this.attached.push({ directory, instructions: program.length / 8 });
    };
    return { host, files: this, attachDeviceProgram };
  }

  mkdir(path: string): boolean {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (this.files.has(`${path}/cgroup.procs`)) return false;
    const enabled = this.read(`${parent}/cgroup.subtree_control`);
    if (enabled === null) throw errno('ENOENT');
    this.#populate(path, enabled.split(' ').filter(Boolean));
    return true;
  }

  rmdir(path: string): boolean {
    if (!this.files.has(`${path}/cgroup.procs`)) return false;
    if (this.files.get(`${path}/cgroup.procs`) !== '' || this.subdirectories(path).length > 0) throw errno('EBUSY');
    for (const file of [...this.files.keys()].filter((name) => name.startsWith(`${path}/`))) this.files.delete(file);
    return true;
  }

  read(path: string): string | null {
    return this.files.get(path) ?? null;
  }

  write(path: string, value: string): void {
    if (!this.files.has(path)) throw errno('ENOENT');
    const code = this.refused.get(path);
    if (code !== undefined) throw errno(code);
    this.writes.push(`${path.slice(root.length)}=${value}`);
    if (path.endsWith('subtree_control')) this.#enable(path, value.slice(1));
    else this.files.set(path, value);
  }

  writeEach(): void {
    assert.fail('v2 has no file that takes several writes');
  }

  subdirectories(path: string): readonly string[] {
    const found = [...this.files.keys()].flatMap((name) => (name.startsWith(`${path}/`) ? [name.slice(path.length + 1)] : []));
    return [...new Set(found.filter((name) => name.includes('/')).map((name) => name.split('/')[0] ?? ''))];
  }

  #enable(path: string, controller: string): void {
    const directory = path.slice(0, path.lastIndexOf('/'));
    const available = (this.files.get(`${directory}/cgroup.controllers`) ?? '').split(' ');
    if (!available.includes(controller)) throw errno('ENOENT');
    this.files.set(path, `${this.files.get(path) ?? ''} ${controller}`.trim());
    for (const child of this.subdirectories(directory)) this.#addController(`${directory}/${child}`, controller);
  }

  #populate(directory: string, controllers: readonly string[]): void {
    for (const name of ['cgroup.procs', 'cgroup.subtree_control', 'cgroup.controllers', 'cgroup.kill', 'cgroup.freeze']) {
      this.files.set(`${directory}/${name}`, '');
    }
    for (const controller of controllers) this.#addController(directory, controller);
  }

  #addController(directory: string, controller: string): void {
    const names: Readonly<Record<string, readonly string[]>> = {
      memory: ['memory.max', 'memory.swap.max', 'memory.low', 'memory.events'],
      cpu: ['cpu.weight', 'cpu.max'],
      cpuset: ['cpuset.cpus', 'cpuset.mems'],
      pids: ['pids.max'],
      io: ['io.max', 'io.weight'],
    };
    const list = `${directory}/cgroup.controllers`;
    this.files.set(list, `${this.files.get(list) ?? ''} ${controller}`.trim());
    if (directory !== root) for (const name of names[controller] ?? []) this.files.set(`${directory}/${name}`, '');
  }
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: refused`), { code });
}

test('createCgroup in v2: controllers are handed down, limits written to the leaf', async () => {
  const fake = new FakeV2('cpuset', 'cpu', 'io', 'memory', 'pids', 'rdma');
  const { placement, warnings } = await createCgroup(
    '/gantry/abc',
    {
      memory: { limit: 1000, swap: 1000, swappiness: 1 },
      cpu: { shares: 1024 },
      pids: { limit: 5 },
      blockIO: { weight: 100 },
      devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }],
    },
    fake.system,
  );
  assert.deepEqual(placement.joinFiles, []);
  assert.equal(placement.v2Directory, `${root}/gantry/abc`);
  assert.equal(placement.oomFile, `${root}/gantry/abc/memory.events`);
  assert.deepEqual(warnings, [
    'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
  ]);
  assert.deepEqual(fake.writes, [
    ...['cpuset', 'cpu', 'io', 'memory', 'pids'].map((name) => `/cgroup.subtree_control=+${name}`),
    ...['cpuset', 'cpu', 'io', 'memory', 'pids'].map((name) => `/gantry/cgroup.subtree_control=+${name}`),
    '/gantry/abc/memory.swap.max=0',
    '/gantry/abc/memory.max=1000',
    '/gantry/abc/cpu.weight=100',
    '/gantry/abc/pids.max=5',
    '/gantry/abc/io.weight=910',
  ]);
  assert.deepEqual(fake.attached, [{ directory: `${root}/gantry/abc`, instructions: 13 }]);
  fake.writes.length = 0;
  await createCgroup('/gantry/def', { pids: { limit: 5 } }, fake.system);
  assert.deepEqual(fake.writes, ['/gantry/def/pids.max=5'], 'the second needs nothing but its own limits');
});

test('createCgroup in v2: a missing controller is an error for its limit only, and leaves nothing', async () => {
  const fake = new FakeV2('cpu', 'memory');
  await createCgroup('/gantry/a', { memory: { limit: 5 } }, fake.system);
  await assert.rejects(
    createCgroup('/gantry/b', { memory: { limit: 5 }, pids: { limit: 5 } }, fake.system),
    /host has no pids cgroup controller/,
  );
  assert.deepEqual(fake.subdirectories(`${root}/gantry`), ['a']);
  const weight = await createCgroup('/gantry/c', { blockIO: { weight: 10 } }, fake.system);
  assert.equal(weight.warnings.length, 1);
});

test('createCgroup in v2: a controller that an ancestor cannot hand down is named', async () => {
  const fake = new FakeV2('cpu', 'memory');
  fake.refused.set(`${root}/cgroup.subtree_control`, 'EBUSY');
  await assert.rejects(createCgroup('/gantry/a', { memory: { limit: 5 } }, fake.system), /gantry\/a has no memory.max/);
  assert.deepEqual(fake.subdirectories(root), []);
});

test('createCgroup: what the kernel refuses is told with its value', async () => {
  const fake = new FakeV2('cpuset');
  await ensureCgroup('/gantry/launcher', fake.system);
  fake.refused.set(`${root}/gantry/a/cpuset.cpus`, 'EINVAL');
  await assert.rejects(createCgroup('/gantry/a', { cpu: { cpus: '99' } }, fake.system), (error: Error) => {
    assert.match(error.message, /Cannot set the CPUs to run on to 99: the kernel refuses it \(EINVAL/);
    assert.equal((error as Error & { code: string }).code, 'invalid');
    return true;
  });
  assert.deepEqual(fake.subdirectories(`${root}/gantry`), ['launcher']);
});

test('createCgroup: an empty leftover is made anew, one with processes is a conflict', async () => {
  const fake = new FakeV2('pids');
  await createCgroup('/gantry/a', { pids: { limit: 7 } }, fake.system);
  await createCgroup('/gantry/a', {}, fake.system);
  assert.equal(fake.read(`${root}/gantry/a/pids.max`), '');
  fake.files.set(`${root}/gantry/a/cgroup.procs`, '17\n');
  await assert.rejects(createCgroup('/gantry/a', {}, fake.system), /exists and has processes/);
});

test('updateCgroup: changes what is given; a missing cgroup is not found', async () => {
  const fake = new FakeV2('cpu', 'memory');
  await createCgroup('/gantry/a', { cpu: { quota: 50000, period: 100000 } }, fake.system);
  await updateCgroup('/gantry/a', { cpu: { quota: 20000 } }, fake.system);
  assert.equal(fake.read(`${root}/gantry/a/cpu.max`), '20000 100000');
  await assert.rejects(updateCgroup('/gantry/b', {}, fake.system), /does not exist/);
});

test('removeCgroup: takes the cgroups that the container made, and is content when it is gone', async () => {
  const fake = new FakeV2('cpu');
  await createCgroup('/gantry/a', {}, fake.system);
  await ensureCgroup('/gantry/a/b/c', fake.system);
  await removeCgroup('/gantry/a', fake.system);
  await removeCgroup('/gantry/a', fake.system);
  assert.deepEqual(fake.subdirectories(`${root}/gantry`), []);
});

test('removeCgroup: names the processes that keep it', async () => {
  const fake = new FakeV2('cpu');
  await createCgroup('/gantry/a', {}, fake.system);
  fake.files.set(`${root}/gantry/a/cgroup.procs`, '17\n18\n');
  await assert.rejects(removeCgroup('/gantry/a', fake.system), /it has processes: 17, 18/);
});

test('readOomKills: from memory.events', async () => {
  const fake = new FakeV2('memory');
  await createCgroup('/gantry/a', {}, fake.system);
  assert.equal(readOomKills('/gantry/a', fake.system), 0);
  fake.files.set(`${root}/gantry/a/memory.events`, 'low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n');
  assert.equal(readOomKills('/gantry/a', fake.system), 2);
});

test('placementBeside: where the first process went, once the cgroup hands controllers down', async () => {
  const kernel = new FakeV2('memory', 'pids');
  await createCgroup('/gantry/c', {}, kernel.system);
  kernel.files.set('/proc/7/cgroup', '0::/gantry/c/in side\n');
  const directory = (): string | null => placementBeside('/gantry/c', 7, kernel.system).v2Directory;
  assert.equal(directory(), `${root}/gantry/c`);
  kernel.write(`${root}/gantry/c/cgroup.subtree_control`, '+pids');
  assert.equal(directory(), `${root}/gantry/c/in side`);
  kernel.files.set('/proc/7/cgroup', '0::/gantry/other\n');
  assert.equal(directory(), `${root}/gantry/c`);
});

test('updateCgroup in v2: a memory limit that would kill is refused, as v1 does', async () => {
  const fake = new FakeV2('memory', 'pids');
  await createCgroup('/gantry/a', {}, fake.system);
  fake.files.set(`${root}/gantry/a/memory.stat`, 'anon 50000000\nfile 90000000\nshmem 10000000\n');
  fake.files.set('/proc/meminfo', 'MemTotal: 1 kB\nSwapTotal:       0 kB\n');
  const limited = updateCgroup('/gantry/a', { pids: { limit: 5 }, memory: { limit: 40_000_000 } }, fake.system);
  await assert.rejects(limited, /Cannot set the memory limit to 40000000: 60000000 bytes are in use/);
  await updateCgroup('/gantry/a', { memory: { limit: 60_000_000 } }, fake.system);
  fake.files.set('/proc/meminfo', 'SwapTotal:    1024 kB\n');
  await updateCgroup('/gantry/a', { memory: { limit: 40_000_000 } }, fake.system);
});

test('updateCgroup in v2: what was written before a refusal is put back', async () => {
  const fake = new FakeV2('cpu', 'memory', 'pids');
  await createCgroup('/gantry/a', { cpu: { shares: 1024 }, pids: { limit: 7 } }, fake.system);
  const weight = fake.read(`${root}/gantry/a/cpu.weight`);
  fake.refused.set(`${root}/gantry/a/pids.max`, 'EINVAL');
  await assert.rejects(updateCgroup('/gantry/a', { cpu: { shares: 512 }, pids: { limit: 9 } }, fake.system), /limit of processes/);
  assert.equal(fake.read(`${root}/gantry/a/cpu.weight`), weight);
  fake.refused.clear();
  const { undo } = await updateCgroup('/gantry/a', { cpu: { shares: 512 } }, fake.system);
  assert.notEqual(fake.read(`${root}/gantry/a/cpu.weight`), weight);
  undo();
  assert.equal(fake.read(`${root}/gantry/a/cpu.weight`), weight);
});
