/** Compares our filters with those that libseccomp (which runc uses) makes of the same rules. Needs x86_64 and libseccomp.so.2. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Seccomp, SeccompAction, SeccompArgument, SeccompOperator, SeccompRule } from '../../src/oci/runtime-spec.ts';
import { actionValue } from '../../src/runtime/seccomp/action-values.ts';
import { compileSeccomp } from '../../src/runtime/seccomp/compile-seccomp.ts';
import { defaultProfile } from '../../src/runtime/seccomp/default-profile.ts';
import { interpretBpf } from '../../src/runtime/seccomp/interpret-bpf.ts';
import { resolveProfile } from '../../src/runtime/seccomp/resolve-profile.ts';
import { syscallTable } from '../../src/runtime/seccomp/syscall-table.ts';

const library = '/usr/lib/x86_64-linux-gnu/libseccomp.so.2';
const skip = process.arch !== 'x64' ? 'needs x86_64' : existsSync(library) ? false : `needs ${library}`;

const architectureTokens: Readonly<Record<string, number>> = { SCMP_ARCH_X86: 0x40000003, SCMP_ARCH_X32: 0x4000003e };
const operators: readonly SeccompOperator[] = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];

type Native = (...values: readonly unknown[]) => unknown;

/** libseccomp by FFI, called in the order in which runc calls it. */
class LibSeccomp {
  readonly #call: (name: string, result: string, parameters: string[]) => Native;
  readonly #directory = mkdtempSync(join(tmpdir(), 'gantry-libseccomp-'));

  constructor() {
    const koffi = createRequire(import.meta.url)('koffi') as {
      load(path: string): { func(name: string, result: string, parameters: string[]): Native };
    };
    const loaded = koffi.load(library);
    const functions = new Map<string, Native>();
    this.#call = (name, result, parameters) => {
      const known = functions.get(name) ?? loaded.func(name, result, parameters);
      functions.set(name, known);
      return known;
    };
  }

  /** Also the names that this libseccomp is too old to know. */
  compile(seccomp: Seccomp): { program: Uint8Array; unknown: Set<string> } {
    const byDefault = actionValue(seccomp.defaultAction, seccomp.defaultErrnoRet);
    const filter = this.#call('seccomp_init', 'void *', ['uint32_t'])(byDefault);
    for (const name of seccomp.architectures?.slice(1) ?? []) {
      assert.equal(this.#call('seccomp_arch_add', 'int', ['void *', 'uint32_t'])(filter, architectureTokens[name]), 0);
    }
    const unknown = new Set<string>();
    for (const rule of seccomp.syscalls ?? []) {
      const action = actionValue(rule.action, rule.errnoRet);
      for (const name of action === byDefault ? [] : rule.names) {
        const number = this.#call('seccomp_syscall_resolve_name', 'int', ['str'])(name);
        if (number === -1) unknown.add(name);
        else this.#addRule(filter, action, number, rule.args ?? []);
      }
    }
    const file = join(this.#directory, 'filter');
    const output = openSync(file, 'w');
    assert.equal(this.#call('seccomp_export_bpf', 'int', ['void *', 'int'])(filter, output), 0);
    closeSync(output);
    this.#call('seccomp_release', 'void', ['void *'])(filter);
    return { program: readFileSync(file), unknown };
  }

  /** struct scmp_arg_cmp { unsigned arg; int op; u64 a; u64 b } */
  #addRule(filter: unknown, action: number, number: unknown, args: readonly SeccompArgument[]): void {
    const bytes = Buffer.alloc(24 * Math.max(1, args.length));
    args.forEach(({ index, op, value, valueTwo }, at) => {
      bytes.writeUInt32LE(index, at * 24);
      bytes.writeInt32LE(operators.indexOf(op) + 1, at * 24 + 4);
      bytes.writeBigUInt64LE(BigInt(value), at * 24 + 8);
      bytes.writeBigUInt64LE(BigInt(valueTwo ?? 0), at * 24 + 16);
    });
    const add = this.#call('seccomp_rule_add_array', 'int', ['void *', 'uint32_t', 'int', 'uint', 'void *']);
    assert.equal(add(filter, action, number, args.length, bytes), 0);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}

const values = [0n, 1n, 2n, 8n, 17n, 38n, 39n, 40n, 41n, 0x20008n, 0x10011n, 0x20000000n, 0xffffffffn];
const abis = [
  ['x86_64', 0xc000003e, 0],
  ['x86', 0x40000003, 0],
  ['x32', 0xc000003e, 0x40000000],
] as const;

test('compileSeccomp: the default profile means the same as in libseccomp', { skip }, () => {
  using theirs = new LibSeccomp();
  for (const capabilities of [[], ['CAP_SYS_ADMIN'], ['CAP_SYS_PTRACE', 'CAP_BPF', 'CAP_SYS_TIME']]) {
    const kernel = { major: 6, minor: 1 };
    const seccomp = resolveProfile(defaultProfile, { capabilities: new Set(capabilities), architecture: 'amd64', kernel });
    const { program, unknown } = theirs.compile(seccomp);
    const ours = compileSeccomp(seccomp, 'amd64');
    for (const [abi, arch, bit] of abis) {
      const newer = new Set([...unknown].map((name) => syscallTable(abi).get(name)));
      for (let number = 0; number < 451; number++) {
        if (newer.has(number)) continue;
        for (const value of values) {
          const data = { nr: number + bit, arch, args: [value] };
          assert.equal(interpretBpf(ours, data), interpretBpf(program, data), `${abi} ${number}(${value})`);
        }
      }
    }
  }
});

test('compileSeccomp: random rules mean the same as in libseccomp', { skip }, () => {
  using theirs = new LibSeccomp();
  // Calls without int arguments, one rule each, and none of a socket: there we differ on purpose.
  const names = ['read', 'getcwd', 'mmap', 'mount', 'chdir', 'brk'];
  const numbers = [0n, 1n, 2n, 0xffffffffn, 0x100000000n, 0x100000001n, 2n ** 64n - 1n];
  const number = fc.constantFrom(...numbers);
  const argument = fc.record({ value: number, valueTwo: number, op: fc.constantFrom(...operators) });
  const args = fc.array(argument, { maxLength: 3 }).map((list) => list.map((each, index): SeccompArgument => ({ ...each, index })));
  const ruleSets = fc.uniqueArray(fc.record({ name: fc.constantFrom(...names), args }), { minLength: 1, selector: ({ name }) => name });
  fc.assert(
    fc.property(ruleSets, fc.boolean(), (rules, isAllowList) => {
      const action: SeccompAction = isAllowList ? 'SCMP_ACT_ALLOW' : 'SCMP_ACT_ERRNO';
      const syscalls = rules.map((rule): SeccompRule => ({ names: [rule.name], action, args: rule.args }));
      // Names the newest call there is, so that no call is unknown to the profile: libseccomp alone has no ENOSYS for those.
      const newest: SeccompRule = { names: ['process_mrelease', 'file_setattr'], action };
      const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'];
      const seccomp: Seccomp = {
        defaultAction: isAllowList ? 'SCMP_ACT_ERRNO' : 'SCMP_ACT_ALLOW',
        architectures,
        syscalls: [...syscalls, newest],
      };
      const { program } = theirs.compile(seccomp);
      const ours = compileSeccomp(seccomp, 'amd64');
      for (const [abi, arch] of abis.slice(0, 2)) {
        for (const nr of names.map((name) => syscallTable(abi).get(name) ?? 0)) {
          for (const first of numbers) {
            for (const second of numbers) {
              const registers = [first, second, 1n].map((value) => (abi === 'x86' ? BigInt.asUintN(32, value) : value));
              const data = { nr, arch, args: registers };
              assert.equal(interpretBpf(ours, data), interpretBpf(program, data), `${abi} ${nr}(${registers})`);
            }
          }
        }
      }
    }),
    { numRuns: 100 },
  );
});
