import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import { capabilityNames } from '../linux/constants.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import type { HostFacts } from './host-facts.ts';
import { everyLimit } from './testing/every-limit.ts';
import { validateContainerName, validateCreate } from './validate-create.ts';

const host: HostFacts = {
  hostname: 'vm',
  architecture: 'amd64',
  kernel: { major: 6, minor: 18 },
  cgroupVersion: 1,
  limits: everyLimit,
  capabilities: new Set(capabilityNames),
  cpus: 2,
  onlineCpus: '0-1',
  onlineMemoryNodes: '0',
  hardLimits: { nofile: 4096, core: Number.POSITIVE_INFINITY },
  thermalThrottlePaths: [],
};
const poorHost: HostFacts = { ...host, capabilities: new Set(capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE')) };

function validate(config: Partial<ContainerConfig>, hostConfig: Partial<HostConfig> = {}, facts = host): string[] {
  return validateCreate(defaultContainerConfig(config), defaultHostConfig({ NetworkMode: 'none', ...hostConfig }), {
    host: facts,
    pathExists: (path) => path === '/there',
  });
}

function refuses(message: string, config: Partial<ContainerConfig>, hostConfig: Partial<HostConfig> = {}, facts = host): void {
  assert.throws(
    () => validate(config, hostConfig, facts),
    (error) => {
      assert.ok(error instanceof EngineError && error.code === 'invalid', String(error));
      assert.equal(error.message, message);
      return true;
    },
  );
}

test('validateCreate: defaults pass without a warning', () => {
  assert.deepEqual(validate({}), []);
});

test('validateCreate: memory', () => {
  const mega = 2 ** 20;
  refuses('Minimum memory limit allowed is 6MB', {}, { Memory: 4 * mega });
  refuses('Minimum memory limit allowed is 6MB', {}, { Memory: -1 });
  refuses('Minimum memoryswap limit should be larger than memory limit, see usage', {}, { Memory: 64 * mega, MemorySwap: 32 * mega });
  refuses('You should always set the Memory limit when using Memoryswap limit, see usage', {}, { MemorySwap: 32 * mega });
  refuses('Minimum memory reservation allowed is 6MB', {}, { MemoryReservation: mega });
  const less = 'Minimum memory limit can not be less than memory reservation limit, see usage';
  refuses(less, {}, { Memory: 10 * mega, MemoryReservation: 20 * mega });
  refuses('Invalid value: 101, valid memory swappiness range is 0-100', {}, { MemorySwappiness: 101 });
  validate({}, { Memory: 64 * mega, MemorySwap: -1, MemorySwappiness: -1 });
});

test('validateCreate: processors', () => {
  refuses('Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available', {}, { NanoCpus: 3e9 });
  refuses('Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available', {}, { NanoCpus: -1 });
  refuses('Conflicting options: Nano CPUs and CPU Period cannot both be set', {}, { NanoCpus: 1e9, CpuPeriod: 10_000 });
  refuses('Conflicting options: Nano CPUs and CPU Quota cannot both be set', {}, { NanoCpus: 1e9, CpuQuota: 10_000 });
  refuses('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)', {}, { CpuPeriod: 999 });
  refuses('CPU cfs quota can not be less than 1ms (i.e. 1000)', {}, { CpuQuota: 999 });
  refuses('Invalid value 0-x for cpuset cpus: invalid format: 0-x', {}, { CpusetCpus: '0-x' });
  refuses('Invalid value 0-4294967295 for cpuset cpus: invalid format: 0-4294967295', {}, { CpusetCpus: '0-4294967295' });
  refuses('Requested CPUs are not available - requested 0-2, available: 0-1', {}, { CpusetCpus: '0-2' });
  refuses('Requested memory nodes are not available - requested 1, available: 0', {}, { CpusetMems: '1' });
  validate({}, { NanoCpus: 10_000_000, CpusetCpus: '0,1', CpusetMems: '0' });
});

test('validateCreate: other limits', () => {
  refuses('Range of blkio weight is from 10 to 1000', {}, { BlkioWeight: 5 });
  refuses('SHM size can not be less than 0', {}, { ShmSize: -1 });
  refuses('Invalid value 1001, range for oom score adj is [-1000, 1000]', {}, { OomScoreAdj: 1001 });
  refuses('invalid ulimit type: files', {}, { Ulimits: [{ Name: 'files', Soft: 1, Hard: 1 }] });
  const soft = 'ulimit soft limit must be less than or equal to hard limit: 2 > 1';
  refuses(soft, {}, { Ulimits: [{ Name: 'nofile', Soft: 2, Hard: 1 }] });
  validate({}, { Ulimits: [{ Name: 'core', Soft: 0, Hard: -1 }] });
});

test('validateCreate: what a host without CAP_SYS_RESOURCE cannot give is refused by name, and told where all is asked for', () => {
  const ulimit = { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 8192 }] };
  validate({}, ulimit);
  assert.throws(() => validate({}, ulimit, poorHost), /cannot set ulimit nofile to 8192: this host withholds CAP_SYS_RESOURCE/);
  validate({}, { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 4096 }] }, poorHost);
  assert.throws(
    () => validate({}, { OomScoreAdj: -5 }, poorHost),
    /cannot set the OOM score adjustment to -5: this host withholds CAP_SYS_RESOURCE/,
  );
  assert.throws(() => validate({}, { CapAdd: ['SYS_RESOURCE'] }, poorHost), /CAP_SYS_RESOURCE cannot be given/);
  const [warning] = validate({}, { Privileged: true }, poorHost);
  assert.match(warning ?? '', /withholds CAP_SYS_RESOURCE/);
});

test('validateCreate: the process', () => {
  refuses("the working directory 'data' is invalid, it needs to be an absolute path", { WorkingDir: 'data' });
  refuses('invalid environment variable: =x', { Env: ['=x'] });
  refuses('Invalid signal: SIGNO', { StopSignal: 'SIGNO' });
  refuses('invalid hostname format: "a b"', { Hostname: 'a b' });
  refuses(`invalid hostname format: "${'a'.repeat(65)}"`, { Hostname: 'a'.repeat(65) });
  refuses('invalid command: an argument holds a NUL byte', { Cmd: ['a\0b'] });
  validate({ Hostname: 'with_underscore.example', Env: ['A', 'B=', 'C==='], StopSignal: 'RTMIN+3' });
});

test('validateCreate: a NUL byte in a variable is refused without telling its value', () => {
  refuses('invalid environment variable: TOKEN holds a NUL byte', { Env: ['TOKEN=secret\0'] });
});

test('validateCreate: modes', () => {
  refuses('invalid PID mode: mine', {}, { PidMode: 'mine' });
  refuses('Invalid IPC mode: container:', {}, { IpcMode: 'container:' });
  refuses('invalid UTS mode: private', {}, { UTSMode: 'private' });
  refuses('invalid cgroup namespace mode: shared', {}, { CgroupnsMode: 'shared' });
  refuses("invalid isolation 'hyperv' on linux", {}, { Isolation: 'hyperv' });
  refuses('invalid container format container:<name|id>', {}, { NetworkMode: 'container:' });
  refuses('conflicting options: hostname and the UTS mode', { Hostname: 'x' }, { UTSMode: 'host' });
  refuses('conflicting options: hostname and the network mode', { Hostname: 'x' }, { NetworkMode: 'container:a' });
  refuses('conflicting options: dns and the network mode', {}, { NetworkMode: 'container:a', Dns: ['1.1.1.1'] });
});

test('validateCreate: restart policies are checked', () => {
  const policy = (Name: string, MaximumRetryCount = 0) => ({ RestartPolicy: { Name, MaximumRetryCount } });
  assert.throws(() => validate({}, policy('sometimes')), /unknown policy 'sometimes'/);
  refuses("invalid restart policy: maximum retry count can only be used with 'on-failure'", {}, policy('always', 3));
  refuses('invalid restart policy: maximum retry count cannot be negative', {}, policy('on-failure', -1));
  assert.throws(() => validate({}, { ...policy('always'), AutoRemove: true }), { code: 'conflict' });
});

test('validateCreate: --mount needs its source, -v makes it', () => {
  const message = 'invalid mount config for type "bind": bind source path does not exist: /missing';
  refuses(message, {}, { Mounts: [{ Type: 'bind', Source: '/missing', Target: '/x' }] });
  validate({}, { Mounts: [{ Type: 'bind', Source: '/there', Target: '/x' }] });
  validate({}, { Binds: ['/missing:/x'] });
});

test('validateCreate: log options', () => {
  const log = (Config: Record<string, string>, Type = 'json-file') => ({ LogConfig: { Type, Config } });
  refuses("unknown log opt 'max-sise' for json-file log driver", {}, log({ 'max-sise': '1m' }));
  refuses('failed to initialize logging driver: max-size must be a positive number', {}, log({ 'max-size': '0' }));
  refuses('error looking up logging plugin odd: plugin "odd" not found', {}, log({}, 'odd'));
  validate({}, log({ 'max-size': '10m', 'max-file': '3', mode: 'blocking' }));
});

test('validateCreate: what has no effect is told, when it is not refused', () => {
  assert.deepEqual(validate({}, { NetworkMode: 'default', PublishAllPorts: true }), []);
  assert.deepEqual(validate({}, { NetworkMode: 'host', PublishAllPorts: true }), [
    'Published ports are discarded when using host network mode',
  ]);
});

test('validateContainerName: the pattern and text of Docker', () => {
  assert.equal(validateContainerName('/web_1.a-b'), 'web_1.a-b');
  for (const wrong of ['a', '-web', 'a b', '../x', 'a/b', '', '/', 'ä1', 'web\n']) {
    assert.throws(() => validateContainerName(wrong), {
      code: 'invalid',
      message: `Invalid container name (${wrong}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    });
  }
});
