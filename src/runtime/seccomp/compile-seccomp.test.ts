import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Seccomp, SeccompAction, SeccompArgument, SeccompOperator, SeccompRule } from '../../oci/runtime-spec.ts';
import { maximumInstructions } from './bpf-program.ts';
import { abisFor, compileSeccomp, seccompFlags } from './compile-seccomp.ts';
import { defaultProfile } from './default-profile.ts';
import { isIntArgument } from './int-arguments.ts';
import { interpretBpf } from './interpret-bpf.ts';
import { resolveProfile } from './resolve-profile.ts';
import { type Abi, type Architecture, auditArchitecture, ipcNumbers, socketcallNumbers, syscallTable } from './syscall-table.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL_PROCESS = 0x80000000;

const dockerCapabilities = new Set(
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE'
    .split(' ')
    .map((name) => `CAP_${name}`),
);

function defaultFor(architecture: Architecture, ...added: readonly string[]): Seccomp {
  return resolveProfile(defaultProfile, {
    capabilities: new Set([...dockerCapabilities, ...added]),
    architecture,
    kernel: { major: 6, minor: 1 },
  });
}

/** The answer for a call of `abi` by name. */
function answer(seccomp: Seccomp, abi: Abi, name: string, ...args: readonly (number | bigint)[]): number {
  const number = syscallTable(abi).get(name);
  assert.ok(number !== undefined, `${abi} has ${name}`);
  return run(seccomp, abi, number, args);
}

function run(seccomp: Seccomp, abi: Abi, number: number, args: readonly (number | bigint)[] = []): number {
  const architecture = abi === 'aarch64' || abi === 'arm' ? 'arm64' : 'amd64';
  const nr = abi === 'x32' ? number + 0x40000000 : number;
  return interpretBpf(compileSeccomp(seccomp, architecture), { nr, arch: auditArchitecture[abi], args });
}

test('default profile: what Docker allows and refuses on x86_64', () => {
  const seccomp = defaultFor('amd64');
  for (const name of ['read', 'execve', 'mknod', 'chroot', 'ptrace', 'statmount', 'uretprobe', 'arch_prctl']) {
    assert.equal(answer(seccomp, 'x86_64', name), ALLOW, name);
  }
  for (const name of ['keyctl', 'add_key', 'unshare', 'setns', 'mount', 'bpf', 'reboot', 'io_uring_setup', 'userfaultfd', 'kexec_load']) {
    assert.equal(answer(seccomp, 'x86_64', name), EPERM, name);
  }
  assert.equal(answer(seccomp, 'x86_64', 'clone3'), ENOSYS);
  assert.equal(answer(seccomp, 'x86_64', 'clone', 0x00010f00), ALLOW);
  for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
    assert.equal(answer(seccomp, 'x86_64', 'clone', flag | 17), EPERM, `clone 0x${flag.toString(16)}`);
  }
});

test('default profile: socket refuses AF_ALG and AF_VSOCK only, also with bits that the kernel drops', () => {
  for (const [architecture, abi] of [
    ['amd64', 'x86_64'],
    ['amd64', 'x86'],
    ['amd64', 'x32'],
    ['arm64', 'aarch64'],
    ['arm64', 'arm'],
  ] as const) {
    const seccomp = defaultFor(architecture);
    for (let family = 0; family < 64; family++) {
      const expected = family === 38 || family === 40 ? EPERM : ALLOW;
      assert.equal(answer(seccomp, abi, 'socket', family), expected, `${abi} socket(${family})`);
      assert.equal(answer(seccomp, abi, 'socket', BigInt(family) + 0x1_0000_0000n), expected, `${abi} socket(2^32 + ${family})`);
    }
  }
});

test('default profile: personality takes five values', () => {
  const seccomp = defaultFor('amd64');
  for (const value of [0, 8, 0x20000, 0x20008, 0xffffffff, -1n])
    assert.equal(answer(seccomp, 'x86_64', 'personality', value), ALLOW, String(value));
  for (const value of [1, 0x40000, 0x60000]) assert.equal(answer(seccomp, 'x86_64', 'personality', value), EPERM, String(value));
});

test('default profile: a capability opens its calls', () => {
  const seccomp = defaultFor('amd64', 'CAP_SYS_ADMIN');
  for (const name of ['mount', 'unshare', 'setns', 'clone3', 'bpf']) assert.equal(answer(seccomp, 'x86_64', name), ALLOW, name);
  assert.equal(answer(seccomp, 'x86_64', 'clone', 0x7e020000), ALLOW);
  assert.equal(answer(seccomp, 'x86_64', 'reboot'), EPERM);
});

test('default profile: arm has its private calls, and newer calls are unknown', () => {
  const seccomp = defaultFor('arm64');
  assert.equal(answer(seccomp, 'arm', 'set_tls'), ALLOW);
  assert.equal(run(seccomp, 'arm', 466), ALLOW);
  assert.equal(run(seccomp, 'arm', 467), ENOSYS);
  assert.equal(run(seccomp, 'arm', 0x0f0003), EPERM);
  assert.equal(run(seccomp, 'arm', 0x0f0006), ENOSYS);
});

test('compileSeccomp: calls newer than the profile answer ENOSYS, unless the default lets them through', () => {
  const seccomp = defaultFor('amd64');
  for (const abi of ['x86_64', 'x86'] as const) {
    assert.equal(run(seccomp, abi, 466), ALLOW);
    assert.equal(run(seccomp, abi, 467), ENOSYS);
    assert.equal(run(seccomp, abi, 0xffffffff), ENOSYS);
  }
  // The largest of x32 is pwritev2, in a range of its own.
  assert.equal(run(seccomp, 'x32', 548), ENOSYS);
  const open: Seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['getcwd'], action: 'SCMP_ACT_ERRNO', errnoRet: 7 }] };
  assert.equal(answer(open, 'x86_64', 'getcwd'), 0x00050007);
  assert.equal(run(open, 'x86_64', 1000), ALLOW);
});

test('compileSeccomp: a foreign architecture and an unlisted x32 are killed, -1 is not', () => {
  const seccomp: Seccomp = { ...defaultFor('amd64'), architectures: ['SCMP_ARCH_X86_64'] };
  const program = compileSeccomp(seccomp, 'amd64');
  for (const abi of ['x86', 'aarch64', 'arm'] as const) {
    assert.equal(interpretBpf(program, { nr: 0, arch: auditArchitecture[abi], args: [] }), KILL_PROCESS, abi);
  }
  assert.equal(run(seccomp, 'x32', 0), KILL_PROCESS);
  assert.equal(run(seccomp, 'x86_64', 0xfffffffe), KILL_PROCESS);
  assert.equal(run(seccomp, 'x86_64', 0xffffffff), ENOSYS);
});

test('compileSeccomp: on 32-bit x86 a rule for a socket call also decides socketcall', () => {
  const seccomp: Seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86'],
    syscalls: [{ names: ['socket', 'shmget'], action: 'SCMP_ACT_ERRNO' }],
  };
  assert.equal(answer(seccomp, 'x86', 'socketcall', 1), EPERM);
  assert.equal(answer(seccomp, 'x86', 'socketcall', 2), ALLOW);
  assert.equal(answer(seccomp, 'x86', 'ipc', 0x10017), EPERM);
  assert.equal(answer(seccomp, 'x86', 'ipc', 24), ALLOW);
});

test('compileSeccomp: on 32-bit x86 a condition on a socket call closes socketcall and never opens it', () => {
  const args: readonly SeccompArgument[] = [{ index: 0, value: 38, op: 'SCMP_CMP_EQ' }];
  const rule = (action: SeccompAction): SeccompRule => ({ names: ['socket'], action, args });
  const base = { architectures: ['SCMP_ARCH_X86'] };
  const refusing: Seccomp = { ...base, defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule('SCMP_ACT_ERRNO')] };
  assert.equal(answer(refusing, 'x86', 'socketcall', 1), EPERM);
  const allowing: Seccomp = { ...base, defaultAction: 'SCMP_ACT_ERRNO', syscalls: [rule('SCMP_ACT_ALLOW')] };
  assert.equal(answer(allowing, 'x86', 'socketcall', 1), EPERM);
});

test('compileSeccomp: the actions and their data', () => {
  const value = (action: SeccompAction, errnoRet?: number): number =>
    answer(
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['getcwd'], action, ...(errnoRet === undefined ? {} : { errnoRet }) }] },
      'x86_64',
      'getcwd',
    );
  assert.equal(value('SCMP_ACT_KILL'), 0);
  assert.equal(value('SCMP_ACT_KILL_THREAD'), 0);
  assert.equal(value('SCMP_ACT_KILL_PROCESS'), 0x80000000);
  assert.equal(value('SCMP_ACT_TRAP'), 0x00030000);
  assert.equal(value('SCMP_ACT_ERRNO'), 0x00050001);
  assert.equal(value('SCMP_ACT_ERRNO', 4095), 0x00050fff);
  assert.equal(value('SCMP_ACT_TRACE', 5), 0x7ff00005);
  assert.equal(value('SCMP_ACT_LOG'), 0x7ffc0000);
});

test('compileSeccomp: refuses what it cannot do', () => {
  assert.throws(() => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_VAX'] }, 'amd64'), /SCMP_ARCH_VAX/);
  const manyRules: SeccompRule[] = Array.from({ length: 3000 }, (_, value) => ({
    names: ['ioctl'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 2, value, op: 'SCMP_CMP_EQ' }],
  }));
  assert.throws(
    () => compileSeccomp({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: manyRules }, 'amd64'),
    /12\d\d\d instructions and the kernel takes 4096/,
  );
  assert.throws(
    () => seccompFlags({ defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] }),
    /NEW_LISTENER is not supported/,
  );
});

test('seccompFlags: SPEC_ALLOW without a list, as the specification has it', () => {
  assert.equal(seccompFlags({ defaultAction: 'SCMP_ACT_ALLOW' }), 4);
  assert.equal(seccompFlags({ defaultAction: 'SCMP_ACT_ALLOW', flags: [] }), 0);
  assert.equal(seccompFlags({ defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC'] }), 2);
});

test('compileSeccomp: equal content gives the same program object', () => {
  assert.equal(compileSeccomp(defaultFor('amd64'), 'amd64'), compileSeccomp(defaultFor('amd64'), 'amd64'));
  assert.notEqual(compileSeccomp(defaultFor('amd64'), 'amd64'), compileSeccomp(defaultFor('amd64', 'CAP_SYS_TIME'), 'amd64'));
});

test('compileSeccomp: jumps longer than 255 instructions', () => {
  const syscalls: SeccompRule[] = Array.from({ length: 400 }, (_, value) => ({
    names: ['ioctl', 'getcwd', 'mount'],
    action: value % 2 === 0 ? 'SCMP_ACT_ALLOW' : 'SCMP_ACT_LOG',
    args: [{ index: 1, value: value * 3, op: 'SCMP_CMP_EQ' }],
  }));
  const seccomp: Seccomp = { defaultAction: 'SCMP_ACT_ERRNO', syscalls };
  assert.ok(compileSeccomp(seccomp, 'amd64').length / 8 < maximumInstructions);
  for (const value of [0, 3, 600, 1197, 1, 1200]) {
    for (const name of ['ioctl', 'getcwd', 'mount', 'read']) {
      assert.equal(
        answer(seccomp, 'x86_64', name, 0, value),
        evaluate(seccomp, 'x86_64', syscallTable('x86_64').get(name) ?? 0, [0, value]),
        `${name} ${value}`,
      );
    }
  }
});

test('compileSeccomp: agrees with the rules for every number of every ABI', () => {
  const interesting = [[], [0], [1], [17], [38], [39], [40], [0x20008], [0xffffffff], [0x40000000], [0x1_0000_0026n]];
  for (const architecture of ['amd64', 'arm64'] as const) {
    for (const added of [[], ['CAP_SYS_ADMIN']]) {
      const seccomp = defaultFor(architecture, ...added);
      for (const abi of abisFor(seccomp, architecture)) {
        const program = compileSeccomp(seccomp, architecture);
        for (let number = 0; number < 1024; number++) {
          const expected = evaluator(seccomp, abi, number);
          const nr = abi === 'x32' ? number + 0x40000000 : number;
          for (const args of interesting) {
            const actual = interpretBpf(program, { nr, arch: auditArchitecture[abi], args });
            assert.equal(actual, expected(args), `${abi} ${number} (${args})`);
          }
        }
      }
    }
  }
});

test('compileSeccomp: agrees with the rules of random profiles', () => {
  fc.assert(
    fc.property(profiles(), fc.array(calls(), { minLength: 5, maxLength: 20 }), (seccomp, samples) => {
      for (const { abi, number, args } of samples) {
        if (!abisFor(seccomp, 'amd64').includes(abi)) continue;
        assert.equal(run(seccomp, abi, number, args), evaluate(seccomp, abi, number, args), `${abi} ${number} (${args})`);
      }
    }),
    { numRuns: 300 },
  );
});

const sampledNames = [
  'read',
  'socket',
  'ioctl',
  'clone',
  'socketcall',
  'ipc',
  'getcwd',
  'semop',
  'rt_sigaction',
  'map_shadow_stack',
  'statx',
  'bind',
];
const sampledValues = [0n, 1n, 2n, 0xffn, 0x7e020000n, 0xffffffffn, 0x100000000n, 0x100000001n, 0xffffffff00000000n, 2n ** 64n - 1n];

function profiles(): fc.Arbitrary<Seccomp> {
  const actions = fc.constantFrom<SeccompAction>(
    'SCMP_ACT_ALLOW',
    'SCMP_ACT_ERRNO',
    'SCMP_ACT_LOG',
    'SCMP_ACT_KILL_PROCESS',
    'SCMP_ACT_TRACE',
  );
  const operators = fc.constantFrom<SeccompOperator>(
    'SCMP_CMP_NE',
    'SCMP_CMP_LT',
    'SCMP_CMP_LE',
    'SCMP_CMP_EQ',
    'SCMP_CMP_GE',
    'SCMP_CMP_GT',
    'SCMP_CMP_MASKED_EQ',
  );
  const values = fc.constantFrom(...sampledValues);
  const args: fc.Arbitrary<SeccompArgument> = fc.record({ index: fc.nat(3), value: values, valueTwo: values, op: operators });
  const rules: fc.Arbitrary<SeccompRule> = fc.record({
    names: fc.subarray(sampledNames, { minLength: 1 }),
    action: actions,
    errnoRet: fc.nat(3),
    args: fc.array(args, { maxLength: 3 }),
  });
  return fc.record({
    defaultAction: actions,
    architectures: fc.subarray(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_MIPS']),
    syscalls: fc.array(rules, { maxLength: 30 }),
  });
}

function calls(): fc.Arbitrary<{ abi: Abi; number: number; args: bigint[] }> {
  const abis = fc.constantFrom<Abi>('x86_64', 'x86', 'x32');
  const args = fc.array(fc.oneof(fc.constantFrom(...sampledValues), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), {
    minLength: 4,
    maxLength: 6,
  });
  return fc.tuple(abis, fc.constantFrom(...sampledNames), fc.nat(600), fc.boolean(), args).map(([abi, name, other, byName, registers]) => ({
    abi,
    number: (byName ? syscallTable(abi).get(name) : undefined) ?? other,
    args: abi === 'x86' ? registers.map((register) => BigInt.asUintN(32, register)) : registers,
  }));
}

/** The rules read out directly, written apart from `decide-syscalls.ts`. */
function evaluator(seccomp: Seccomp, abi: Abi, number: number): (args: readonly (number | bigint)[]) => number {
  const table = syscallTable(abi);
  const rules = seccomp.syscalls ?? [];
  const permissive = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(seccomp.defaultAction);
  const named = rules.flatMap((rule) => rule.names.map((name) => table.get(name) ?? 0)).filter((each) => each < 0xf0000);
  const largest = Math.max(0, ...named);
  if (!permissive && largest > 0 && number > largest && number < 0xf0000) return () => ENOSYS;
  const byDefault = answerOf(seccomp.defaultAction, seccomp.defaultErrnoRet);
  const relevant = rules.flatMap((rule) => {
    const value = answerOf(rule.action, rule.errnoRet);
    return value === byDefault
      ? []
      : rule.names.flatMap((name) => tests(rule, name, abi, number, table).map((holds) => ({ value, ...holds })));
  });
  const always = relevant.find((each) => each.always);
  if (always !== undefined) return () => always.value;
  return (args) => {
    const registers = Array.from({ length: 6 }, (_, index) => BigInt.asUintN(64, BigInt(args[index] ?? 0)));
    return relevant.find((each) => each.holds(registers))?.value ?? byDefault;
  };
}

function evaluate(seccomp: Seccomp, abi: Abi, number: number, args: readonly (number | bigint)[]): number {
  return evaluator(seccomp, abi, number)(args);
}

interface Holds {
  readonly always: boolean;
  readonly holds: (registers: readonly bigint[]) => boolean;
}

function tests(rule: SeccompRule, name: string, abi: Abi, number: number, table: ReadonlyMap<string, number>): Holds[] {
  const args = rule.args ?? [];
  const found: Holds[] = [];
  if (table.get(name) === number) {
    const shared = new Set(args.map(({ index }) => index)).size < args.length;
    if (args.length === 0) found.push({ always: true, holds: () => true });
    else if (shared)
      found.push(...args.map((arg) => ({ always: false, holds: (registers: readonly bigint[]) => matches(arg, name, abi, registers) })));
    else found.push({ always: false, holds: (registers) => args.every((arg) => matches(arg, name, abi, registers)) });
  }
  const isRefusing = !['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(rule.action);
  if (abi !== 'x86' || (args.length > 0 && !isRefusing)) return found;
  const first = (registers: readonly bigint[]): number => Number(BigInt.asUintN(32, registers[0] ?? 0n));
  if (number === table.get('socketcall') && name in socketcallNumbers) {
    found.push({ always: false, holds: (registers) => first(registers) === socketcallNumbers[name] });
  }
  if (number === table.get('ipc') && name in ipcNumbers) {
    found.push({ always: false, holds: (registers) => (first(registers) & 0xffff) === ipcNumbers[name] });
  }
  return found;
}

function matches(arg: SeccompArgument, name: string, abi: Abi, registers: readonly bigint[]): boolean {
  const bits = abi === 'x86' || abi === 'arm' || isIntArgument(name, arg.index) ? 32 : 64;
  const [actual, value, second] = [registers[arg.index] ?? 0n, BigInt(arg.value), BigInt(arg.valueTwo ?? 0)].map((each) =>
    BigInt.asUintN(bits, each),
  );
  if (actual === undefined || value === undefined || second === undefined) return false;
  if (arg.op === 'SCMP_CMP_NE') return actual !== value;
  if (arg.op === 'SCMP_CMP_LT') return actual < value;
  if (arg.op === 'SCMP_CMP_LE') return actual <= value;
  if (arg.op === 'SCMP_CMP_EQ') return actual === value;
  if (arg.op === 'SCMP_CMP_GE') return actual >= value;
  if (arg.op === 'SCMP_CMP_GT') return actual > value;
  return (actual & value) === (second & value);
}

function answerOf(action: SeccompAction, errno = 1): number {
  if (action === 'SCMP_ACT_ERRNO') return 0x50000 + errno;
  if (action === 'SCMP_ACT_TRACE') return 0x7ff00000 + errno;
  return {
    SCMP_ACT_ALLOW: ALLOW,
    SCMP_ACT_LOG: 0x7ffc0000,
    SCMP_ACT_KILL_PROCESS: KILL_PROCESS,
    SCMP_ACT_TRAP: 0x30000,
    SCMP_ACT_KILL: 0,
    SCMP_ACT_KILL_THREAD: 0,
  }[action];
}
