/** What the peer's recordings (test/differential/spec.test.ts) do not show: a v2 host, withheld capabilities, what must never be in a spec. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { capabilityNames } from '../linux/constants.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import type { HostFacts } from './host-facts.ts';
import { plainMounts } from './mounts.ts';
import { runtimeSpec } from './runtime-spec.ts';
import { nothingJoined } from './spec-namespaces.ts';
import { everyLimit } from './testing/every-limit.ts';

const id = 'abcdef0123456789'.repeat(4) as ContainerId;
const host: HostFacts = {
  hostname: 'vm',
  architecture: 'amd64',
  kernel: { major: 6, minor: 18 },
  cgroupVersion: 2,
  limits: everyLimit,
  capabilities: new Set(capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE')),
  cpus: 2,
  onlineCpus: '0-1',
  onlineMemoryNodes: '0',
  hardLimits: {},
  thermalThrottlePaths: ['/sys/devices/system/cpu/cpu0/thermal_throttle'],
};

function specOf(config: Partial<ContainerConfig> = {}, hostConfig: Partial<HostConfig> = {}, uid = 0): RuntimeSpec {
  return runtimeSpec({
    id,
    config: defaultContainerConfig({ Cmd: ['sh'], ...config }),
    hostConfig: defaultHostConfig(hostConfig),
    user: { uid, gid: uid, additionalGids: [uid], home: '/home' },
    host,
    files: { resolvConf: '/c/resolv.conf', hostname: '/c/hostname', hosts: '/c/hosts' },
    mounts: plainMounts(defaultHostConfig(hostConfig)),
    cgroupsPath: `/gantry/${id}`,
    joined: nothingJoined,
    findDevices: () => [],
  });
}

test('runtimeSpec: pure and JSON throughout', () => {
  assert.deepEqual(specOf(), specOf());
  assert.deepEqual(JSON.parse(JSON.stringify(specOf())), specOf());
});

test('runtimeSpec: a v2 host gives a cgroup namespace, a v1 host does not', () => {
  assert.ok(specOf().linux.namespaces.some(({ type }) => type === 'cgroup'));
  assert.ok(!specOf({}, { CgroupnsMode: 'host' }).linux.namespaces.some(({ type }) => type === 'cgroup'));
});

test('runtimeSpec: privileged means what the host gives', () => {
  const { capabilities } = specOf({}, { Privileged: true }).process;
  assert.equal(capabilities?.bounding?.length, capabilityNames.length - 1);
  assert.ok(!capabilities?.bounding?.includes('CAP_SYS_RESOURCE'));
});

test('SEC-14 runtimeSpec: nothing is inheritable or ambient, and only root starts with capabilities', () => {
  for (const [uid, hostConfig] of [
    [0, {}],
    [1000, {}],
    [1000, { Privileged: true }],
    [0, { CapAdd: ['ALL'] }],
  ] as const) {
    const { capabilities } = specOf({}, { ...hostConfig, CapAdd: 'CapAdd' in hostConfig ? [...hostConfig.CapAdd] : null }, uid).process;
    assert.deepEqual([capabilities?.inheritable, capabilities?.ambient], [undefined, undefined]);
    assert.equal(capabilities?.effective === undefined, uid !== 0);
    assert.ok((capabilities?.bounding ?? []).length >= 14);
  }
});

test('runtimeSpec: the filter knows the capabilities that were added', () => {
  const names = (spec: RuntimeSpec) => new Set(spec.linux.seccomp?.syscalls?.flatMap((rule) => rule.names));
  assert.ok(!names(specOf()).has('mount'));
  assert.ok(names(specOf({}, { CapAdd: ['SYS_ADMIN'] })).has('mount'));
});

test('runtimeSpec: masks include what depends on the host, unless the request brings its own', () => {
  assert.ok(specOf().linux.maskedPaths?.includes('/sys/devices/system/cpu/cpu0/thermal_throttle'));
  assert.deepEqual(specOf({}, { MaskedPaths: ['/proc/x'] }).linux.maskedPaths, ['/proc/x']);
  assert.deepEqual(specOf({}, { SecurityOpt: ['systempaths=unconfined'] }).linux.readonlyPaths, []);
});

test('runtimeSpec: hostname is the name given, the start of the id, or that of the host', () => {
  const nameOf = (spec: RuntimeSpec) => [spec.hostname, spec.process.env.find((entry) => entry.startsWith('HOSTNAME='))];
  assert.deepEqual(nameOf(specOf({ Hostname: 'box' })), ['box', 'HOSTNAME=box']);
  assert.deepEqual(nameOf(specOf()), ['abcdef012345', 'HOSTNAME=abcdef012345']);
  assert.deepEqual(nameOf(specOf({}, { UTSMode: 'host' })), [undefined, 'HOSTNAME=vm']);
});

test('runtimeSpec: a namespace of a container that does not run cannot be joined', () => {
  assert.throws(() => specOf({}, { PidMode: 'container:db' }), { message: 'cannot join the pid namespace of db: it does not run' });
});

test('runtimeSpec: no command is an invalid request', () => {
  assert.throws(() => specOf({ Cmd: null }), { code: 'invalid', message: 'No command specified' });
});

test('runtimeSpec: unlimited stays exact', () => {
  const { rlimits } = specOf({}, { Ulimits: [{ Name: 'core', Soft: 0, Hard: -1 }] }).process;
  assert.deepEqual(rlimits, [{ type: 'RLIMIT_CORE', soft: 0, hard: 18_446_744_073_709_551_615n }]);
});
