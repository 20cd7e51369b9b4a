/** Makes real cgroups below a name of its own. Needs root and writable cgroups; what a host's version or controllers lack is skipped with that reason. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachDeviceProgram } from '../../src/linux/bpf-syscall.ts';
import { devicePolicy, deviceProgram } from '../../src/linux/cgroup-devices.ts';
import { cgroupFacts } from '../../src/linux/cgroup-facts.ts';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import type { CgroupResources } from '../../src/linux/cgroup-resources.ts';
import {
  type CgroupPlacement,
  cgroupPlacement,
  createCgroup,
  ensureCgroup,
  readOomKills,
  removeCgroup,
  updateCgroup,
} from '../../src/linux/cgroups.ts';
import type { Resources } from '../../src/oci/runtime-spec.ts';

const parent = `/gantry-test-${process.pid}`;
const host = existsSync('/proc/self/mountinfo') ? cgroupHost() : null;
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';
const needs = (...controllers: readonly string[]): string | false => {
  const missing = controllers.filter((name) => !(host?.v1.has(name) ?? false));
  return needsRoot || (missing.length === 0 ? false : `needs the cgroup v1 controller ${missing.join(', ')}`);
};
const needsUnified = needsRoot || ((host?.unified ?? null) === null ? 'needs a cgroup2 mount' : false);

after(async () => {
  if (needsRoot === false) await removeCgroup(parent);
});

/** A shell that joins as the monitor's child does, then runs the script. */
function runInside(placement: CgroupPlacement, script: string): { status: number | null; signal: string | null; output: string } {
  const { status, signal, stdout, stderr } = spawnSync('/bin/sh', ['-c', `${join(placement)}; ${script}`], { encoding: 'utf8' });
  return { status, signal, output: stdout + stderr };
}

function join({ joinFiles, v2Directory }: CgroupPlacement): string {
  const files = v2Directory === null ? joinFiles : [...joinFiles, `${v2Directory}/cgroup.procs`];
  return files.map((file) => `echo 0 > '${file}'`).join('; ');
}

async function sleeperIn(placement: CgroupPlacement): Promise<ChildProcess> {
  const child = spawn('/bin/sh', ['-c', `${join(placement)}; echo in; exec sleep 60`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

function value(placement: CgroupPlacement, controller: string, file: string): string {
  return readFileSync(`${placement.paths[controller]}/${file}`, 'utf8').trim();
}

/** The OCI type fits without conversion. */
const limits: Resources = {
  memory: { limit: 2 ** 28, swap: 2 ** 29, reservation: 2 ** 27, swappiness: 10, disableOOMKiller: true },
  cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: '0', mems: '0' },
  pids: { limit: 50 },
};

test('createCgroup: every limit is in force in v1', { skip: needs('memory', 'cpu', 'cpuset', 'pids') }, async () => {
  const { placement, warnings } = await createCgroup(`${parent}/limits`, limits satisfies CgroupResources);
  assert.deepEqual(warnings, []);
  assert.equal(value(placement, 'memory', 'memory.limit_in_bytes'), String(2 ** 28));
  assert.equal(value(placement, 'memory', 'memory.memsw.limit_in_bytes'), String(2 ** 29));
  assert.equal(value(placement, 'memory', 'memory.soft_limit_in_bytes'), String(2 ** 27));
  assert.equal(value(placement, 'memory', 'memory.swappiness'), '10');
  assert.match(value(placement, 'memory', 'memory.oom_control'), /^oom_kill_disable 1/);
  assert.equal(value(placement, 'cpu', 'cpu.shares'), '512');
  assert.equal(value(placement, 'cpu', 'cpu.cfs_quota_us'), '50000');
  assert.equal(value(placement, 'cpuset', 'cpuset.cpus'), '0');
  assert.equal(value(placement, 'pids', 'pids.max'), '50');
  assert.equal(runInside(placement, 'nproc').output, '1\n');
  const joined = runInside(placement, 'cat /proc/self/cgroup').output.split('\n');
  assert.equal(joined.filter((line) => line.endsWith(`:${parent}/limits`)).length, placement.directories.length);
  await removeCgroup(`${parent}/limits`);
  assert.deepEqual(placement.directories.filter(existsSync), []);
});

test('createCgroup: without limits a process can join at once', { skip: needsRoot }, async () => {
  const { placement } = await createCgroup(`${parent}/deep/er/plain`, {});
  assert.equal(runInside(placement, 'echo ok').output, 'ok\n');
  await removeCgroup(`${parent}/deep`);
  assert.deepEqual(placement.directories.filter(existsSync), []);
});

test('createCgroup: when a limit is refused nothing is left', { skip: needs('memory', 'cpuset') }, async () => {
  await assert.rejects(
    createCgroup(`${parent}/refused`, { memory: { limit: 2 ** 28 }, cpu: { cpus: '9999' } }),
    /Cannot set the CPUs to run on to 9999: the kernel refuses it \(E/,
  );
  assert.deepEqual(cgroupPlacement(`${parent}/refused`).directories.filter(existsSync), []);
});

test('createCgroup: block I/O limits go to the device, an unknown device is told', { skip: needs('blkio') }, async () => {
  const throttle = { major: 253, minor: 255, rate: 1024 };
  await assert.rejects(
    createCgroup(`${parent}/io`, { blockIO: { throttleReadBpsDevice: [throttle] } }),
    /read_bps to 253:255 1024: the kernel/,
  );
  assert.deepEqual(cgroupPlacement(`${parent}/io`).directories.filter(existsSync), []);
  const { warnings } = await createCgroup(`${parent}/io`, { blockIO: { weight: 300 } });
  assert.ok(warnings.length <= 1);
  await removeCgroup(`${parent}/io`);
});

test('devices: only what the rules allow can be opened or made', { skip: needs('devices') }, async () => {
  const rules: CgroupResources['devices'] = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
    { allow: true, type: 'c', major: 1, minor: 9, access: 'r' },
  ];
  const { placement } = await createCgroup(`${parent}/devices`, { devices: rules });
  assert.equal(value(placement, 'devices', 'devices.list'), 'c *:* m\nc 1:3 rwm\nc 1:9 r');
  const probe = 'echo > /dev/null && echo null; head -c1 /dev/zero > /dev/null && echo zero; head -c1 /dev/urandom | wc -c';
  const { output } = runInside(placement, probe);
  assert.match(output, /^null\n/);
  assert.match(output, /\/dev\/zero.*Operation not permitted/);
  assert.match(output, /^1$/m);
  // Changed while it runs, by the difference only.
  await updateCgroup(`${parent}/devices`, { devices: [...rules.slice(0, 3), { allow: true, type: 'c', major: 1, minor: 5, access: 'r' }] });
  assert.equal(value(placement, 'devices', 'devices.list'), 'c *:* m\nc 1:3 rwm\nc 1:5 r');
  await removeCgroup(`${parent}/devices`);
});

test('deviceProgram: the kernel takes it and obeys, and a second one replaces the first', { skip: needsUnified }, async (context) => {
  const placement = await ensureCgroup(`${parent}/bpf`);
  const directory = placement.v2Directory ?? '';
  const attach = (minor: number): void =>
    attachDeviceProgram(
      directory,
      deviceProgram(
        devicePolicy([{ allow: false }, ...[3, minor].map((each) => ({ allow: true, type: 'c', major: 1, minor: each }) as const)]),
      ),
    );
  try {
    attach(5);
  } catch (error) {
    await removeCgroup(`${parent}/bpf`);
    context.skip(`this kernel has no device programs for cgroups: ${(error as Error).message}`);
    return;
  }
  const can = (device: string): boolean => runInside(placement, `head -c1 ${device} > /dev/null`).status === 0;
  assert.deepEqual([can('/dev/zero'), can('/dev/urandom')], [true, false]);
  attach(9);
  assert.deepEqual([can('/dev/zero'), can('/dev/urandom')], [false, true]);
  await removeCgroup(`${parent}/bpf`);
});

test('updateCgroup: memory and swap grow and shrink together', { skip: needs('memory') }, async () => {
  const path = `${parent}/update`;
  const { placement } = await createCgroup(path, { memory: { limit: 2 ** 26, swap: 2 ** 26 } });
  for (const [limit, swap] of [
    [2 ** 28, 2 ** 29],
    [2 ** 25, 2 ** 26],
    [-1, -1],
    [2 ** 26, 2 ** 27],
    [-1, 0],
  ] as const) {
    await updateCgroup(path, { memory: { limit, swap } });
    const expected = limit === -1 ? 2 ** 62 : limit;
    const actual = Number(value(placement, 'memory', 'memory.limit_in_bytes'));
    assert.ok(limit === -1 ? actual > expected : actual === expected, `${limit}: ${actual}`);
  }
  await removeCgroup(path);
});

test('readOomKills: counts a process that took too much', { skip: needs('memory') }, async () => {
  const path = `${parent}/oom`;
  const { placement } = await createCgroup(path, { memory: { limit: 16 * 2 ** 20, swap: 16 * 2 ** 20 } });
  assert.equal(readOomKills(path), 0);
  // tail keeps the last lines, and there is only one.
  runInside(placement, 'head -c 200M /dev/zero | tail > /dev/null');
  assert.ok(readOomKills(path) >= 1);
  await removeCgroup(path);
});

test('killFile and freezerDirectory: work from the cgroup2 tree', { skip: needsUnified }, async () => {
  const path = `${parent}/kill`;
  const { placement } = await createCgroup(path, {});
  const child = await sleeperIn(placement);
  const events = (): string => readFileSync(`${placement.v2Directory}/cgroup.events`, 'utf8');
  writeFileSync(`${placement.freezerDirectory}/cgroup.freeze`, '1');
  for (let tries = 0; tries < 100 && !events().includes('frozen 1'); tries++) await sleep(10);
  assert.match(events(), /frozen 1/);
  await assert.rejects(createCgroup(path, {}), /exists and has processes/);
  writeFileSync(placement.killFile ?? '', '1');
  const [, signal] = await once(child, 'exit');
  assert.equal(signal, 'SIGKILL');
  await removeCgroup(path);
  assert.deepEqual(placement.directories.filter(existsSync), []);
});

test('removeCgroup: takes what a container made below, waits for the dying', { skip: needsRoot }, async () => {
  const path = `${parent}/nested`;
  const { placement } = await createCgroup(path, {});
  for (const directory of placement.directories) mkdirSync(`${directory}/inner`);
  const child = await sleeperIn(placement);
  setTimeout(() => child.kill('SIGKILL'), 50);
  await removeCgroup(path);
  assert.deepEqual(placement.directories.filter(existsSync), []);
});

test('cgroupFacts: agree with what limits can be set', { skip: needsRoot }, async () => {
  const facts = cgroupFacts();
  assert.equal(facts.version, host?.mode === 'v2' ? '2' : '1');
  const set: [boolean, CgroupResources][] = [
    [facts.memoryLimit, { memory: { limit: 2 ** 28 } }],
    [facts.cpuShares, { cpu: { shares: 100 } }],
    [facts.cpuCfsQuota, { cpu: { quota: 50_000 } }],
    [facts.cpuSet, { cpu: { cpus: '0' } }],
    [facts.pidsLimit, { pids: { limit: 9 } }],
  ];
  for (const [there, resources] of set) {
    const attempt = createCgroup(`${parent}/facts`, resources);
    if (there) await attempt;
    else await assert.rejects(attempt, /this host has no/);
    await removeCgroup(`${parent}/facts`);
  }
});
