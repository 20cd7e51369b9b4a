import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultProfile } from './default-profile.ts';
import type { Profile, ProfileFilter } from './profile.ts';
import { parseKernelVersion, type ResolveContext, resolveProfile } from './resolve-profile.ts';
import { isKnownSyscall, syscallTable } from './syscall-table.ts';

const plain: ResolveContext = { capabilities: new Set(), architecture: 'amd64', kernel: { major: 5, minor: 10 } };

test('resolveProfile: includes and excludes', () => {
  const cases: readonly [ProfileFilter | undefined, ProfileFilter | undefined, Partial<ResolveContext>, boolean][] = [
    [undefined, undefined, {}, true],
    [{ caps: ['CAP_BPF'] }, undefined, {}, false],
    [{ caps: ['CAP_BPF'] }, undefined, { capabilities: new Set(['CAP_BPF']) }, true],
    [{ caps: ['CAP_BPF', 'CAP_KILL'] }, undefined, { capabilities: new Set(['CAP_BPF']) }, false],
    [{ arches: ['arm64', 'amd64'] }, undefined, {}, true],
    [{ arches: ['arm64'] }, undefined, {}, false],
    [{ minKernel: '5.10' }, undefined, {}, true],
    [{ minKernel: '5.9' }, undefined, {}, true],
    [{ minKernel: '5.11' }, undefined, {}, false],
    [{ minKernel: '6.0' }, undefined, {}, false],
    [undefined, { caps: ['CAP_BPF', 'CAP_KILL'] }, { capabilities: new Set(['CAP_KILL']) }, false],
    [undefined, { caps: ['CAP_BPF'] }, {}, true],
    [undefined, { arches: ['amd64'] }, {}, false],
    [undefined, { minKernel: '4.8' }, {}, false],
    [undefined, { minKernel: '6.8' }, {}, true],
  ];
  for (const [includes, excludes, context, expected] of cases) {
    const profile: Profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', ...(includes && { includes }), ...(excludes && { excludes }) }],
    };
    const resolved = resolveProfile(profile, { ...plain, ...context });
    assert.deepEqual(
      resolved.syscalls,
      expected ? [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }] : [],
      JSON.stringify({ includes, excludes, context }),
    );
  }
});

test('resolveProfile: architectures from the map, the list, or the host', () => {
  const base = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [] } as const;
  assert.deepEqual(resolveProfile(defaultProfile, plain).architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  assert.deepEqual(resolveProfile(defaultProfile, { ...plain, architecture: 'arm64' }).architectures, [
    'SCMP_ARCH_AARCH64',
    'SCMP_ARCH_ARM',
  ]);
  assert.deepEqual(resolveProfile({ ...base, architectures: ['SCMP_ARCH_X86'] }, plain).architectures, ['SCMP_ARCH_X86']);
  assert.deepEqual(resolveProfile(base, plain).architectures, ['SCMP_ARCH_X86_64']);
});

test('parseKernelVersion: releases of distributions', () => {
  assert.deepEqual(parseKernelVersion('6.18.44-fc-v669'), { major: 6, minor: 18 });
  assert.deepEqual(parseKernelVersion('5.10'), { major: 5, minor: 10 });
  assert.equal(parseKernelVersion('unknown'), null);
});

test('syscallTable: every name of the default profile is known, and numbers are where the kernel has them', () => {
  assert.deepEqual(
    defaultProfile.syscalls.flatMap((rule) => rule.names).filter((name) => !isKnownSyscall(name)),
    [],
  );
  assert.equal(defaultProfile.syscalls[0]?.names.length, 361);
  const expected: readonly [Parameters<typeof syscallTable>[0], string, number][] = [
    ['x86_64', 'execve', 59],
    ['x86_64', 'uretprobe', 335],
    ['x32', 'execve', 520],
    ['x86', 'execve', 11],
    ['x86', 'socket', 359],
    ['aarch64', 'execve', 221],
    ['aarch64', 'newfstatat', 79],
    ['arm', 'execve', 11],
    ['arm', 'cacheflush', 0xf0002],
    ['arm', 'mseal', 462],
  ];
  for (const [abi, name, number] of expected) assert.equal(syscallTable(abi).get(name), number, `${abi} ${name}`);
});
