import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { devicePolicy, deviceProgram, deviceWrites } from './cgroup-devices.ts';
import type { CgroupDeviceRule } from './cgroup-resources.ts';

const denyAll: CgroupDeviceRule = { allow: false, access: 'rwm' };
const allowNull: CgroupDeviceRule = { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' };

test('devicePolicy: the order of rules, and what each takes back', () => {
  assert.deepEqual(devicePolicy([]), { allowByDefault: false, exceptions: [] });
  assert.deepEqual(devicePolicy([{ allow: true, type: 'a' }]), { allowByDefault: true, exceptions: [] });
  assert.deepEqual(devicePolicy([allowNull, denyAll]).exceptions, []);
  assert.deepEqual(devicePolicy([denyAll, { ...allowNull, access: 'r' }, { ...allowNull, access: 'w' }]).exceptions, [
    { type: 'c', major: 1, minor: 3, access: 6 },
  ]);
  assert.deepEqual(devicePolicy([denyAll, allowNull, { ...allowNull, allow: false, access: 'm' }]).exceptions, [
    { type: 'c', major: 1, minor: 3, access: 6 },
  ]);
  assert.deepEqual(devicePolicy([denyAll, allowNull, { allow: false, type: 'c', major: 1 }]).exceptions, []);
  assert.deepEqual(devicePolicy([{ allow: true, major: 7, access: 'r' }]).exceptions, [
    { type: 'c', major: 7, minor: null, access: 2 },
    { type: 'b', major: 7, minor: null, access: 2 },
  ]);
});

test('devicePolicy: refuses holes and nonsense', () => {
  assert.throws(
    () =>
      devicePolicy([
        { allow: true, type: 'c', major: 1 },
        { ...allowNull, allow: false },
      ]),
    /hole in "c 1:\*"/,
  );
  assert.throws(() => devicePolicy([{ ...allowNull, access: 'rx' }]), /Invalid access "rx"/);
  assert.throws(() => devicePolicy([{ ...allowNull, major: 1.5 }]), /Invalid device number 1.5/);
});

test('deviceWrites: what v1 is told', () => {
  const policy = devicePolicy([denyAll, { allow: true, type: 'c', access: 'm' }, allowNull]);
  const allow = (value: string) => ({ file: 'devices.allow', value }) as const;
  const deny = (value: string) => ({ file: 'devices.deny', value }) as const;
  assert.deepEqual(deviceWrites(policy, null), [deny('a'), allow('c *:* m'), allow('c 1:3 rwm')]);
  assert.deepEqual(deviceWrites(policy, 'a *:* rwm\n'), [deny('a'), allow('c *:* m'), allow('c 1:3 rwm')]);
  // Between allow-lists only the difference, additions first.
  assert.deepEqual(deviceWrites(policy, 'c *:* m\nc 1:3 rwm\n'), []);
  assert.deepEqual(deviceWrites(policy, 'c *:* rwm\nb 8:0 rw\n'), [
    allow('c *:* m'),
    allow('c 1:3 rwm'),
    deny('c *:* rw'),
    deny('b 8:0 rw'),
  ]);
  const open = devicePolicy([{ allow: true }, { ...allowNull, allow: false }]);
  assert.deepEqual(deviceWrites(open, 'c *:* m\n'), [allow('a'), deny('c 1:3 rwm')]);
});

test('deviceProgram: the bytes of a small policy', () => {
  const program = deviceProgram(devicePolicy([denyAll, { ...allowNull, access: 'rw' }, { allow: true, type: 'b', access: 'm' }]));
  const hex = [...program].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  assert.deepEqual(hex.match(/.{16}/g), [
    '6112000000000000', // r2 = *(u32 *)(r1 + 0)
    '6113000000000000', // r3 = *(u32 *)(r1 + 0)
    '54020000ffff0000', // w2 &= 0xffff
    '7403000010000000', // w3 >>= 16
    '6114040000000000', // r4 = *(u32 *)(r1 + 4)
    '6115080000000000', // r5 = *(u32 *)(r1 + 8)
    '5502070002000000', // if r2 != BPF_DEVCG_DEV_CHAR goto +7
    'bc31000000000000', // w1 = w3
    '5401000006000000', // w1 &= READ | WRITE
    '5d31040000000000', // if r1 != r3 goto +4
    '5504030001000000', // if r4 != 1 goto +3
    '5505020003000000', // if r5 != 3 goto +2
    'b400000001000000', // w0 = 1
    '9500000000000000', // exit
    '5502050001000000', // if r2 != BPF_DEVCG_DEV_BLOCK goto +5
    'bc31000000000000', // w1 = w3
    '5401000001000000', // w1 &= MKNOD
    '5d31020000000000', // if r1 != r3 goto +2
    'b400000001000000', // w0 = 1
    '9500000000000000', // exit
    'b400000000000000', // w0 = 0
    '9500000000000000', // exit
  ]);
});

test('deviceProgram: agrees with the policy', () => {
  const small = fc.constantFrom(-1, 1, 3, 8);
  const rule: fc.Arbitrary<CgroupDeviceRule> = fc.record({
    allow: fc.boolean(),
    type: fc.constantFrom('a', 'b', 'c'),
    major: small,
    minor: small,
    access: fc.constantFrom('', 'r', 'w', 'm', 'rw', 'rwm'),
  });
  const access = fc.record({ type: fc.constantFrom(1, 2), access: fc.integer({ min: 1, max: 7 }), major: small, minor: small });
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), fc.array(access, { minLength: 10, maxLength: 10 }), (rules, accesses) => {
      let policy: ReturnType<typeof devicePolicy>;
      try {
        policy = devicePolicy(rules);
      } catch {
        return;
      }
      const program = deviceProgram(policy);
      for (const each of accesses) {
        const hits = policy.exceptions.some((one) => {
          const isThis = (one.type === 'b' ? 1 : 2) === each.type && [one.major, null].includes(one.major === null ? null : each.major);
          const isMinor = one.minor === null || one.minor === each.minor;
          const common = one.access & each.access;
          return isThis && isMinor && (policy.allowByDefault ? common !== 0 : common === each.access);
        });
        assert.equal(runProgram(program, each), hits !== policy.allowByDefault, JSON.stringify({ rules, each }));
      }
    }),
    { numRuns: 500 },
  );
});

/** The eBPF instructions that the program uses. */
function runProgram(program: Uint8Array<ArrayBuffer>, context: { type: number; access: number; major: number; minor: number }): boolean {
  const view = new DataView(program.buffer);
  const words = [(context.access << 16) | context.type, context.major, context.minor];
  const registers = new Array<number>(10).fill(0);
  for (let at = 0; at < program.length / 8; at++) {
    const destination = view.getUint8(at * 8 + 1) & 15;
    const source = registers[view.getUint8(at * 8 + 1) >> 4] ?? 0;
    const offset = view.getInt16(at * 8 + 2, true);
    const immediate = view.getInt32(at * 8 + 4, true);
    const value = registers[destination] ?? 0;
    const code = view.getUint8(at * 8);
    if (code === 0x95) return registers[0] === 1;
    else if (code === 0x61) registers[destination] = words[offset / 4] ?? 0;
    else if (code === 0x54) registers[destination] = value & immediate;
    else if (code === 0x74) registers[destination] = value >>> immediate;
    else if (code === 0xbc) registers[destination] = source;
    else if (code === 0xb4) registers[destination] = immediate;
    else if (code === 0x55) at += value === immediate ? 0 : offset;
    else if (code === 0x15) at += value === immediate ? offset : 0;
    else if (code === 0x5d) at += value === source ? 0 : offset;
    else assert.fail(`code 0x${code.toString(16)}`);
  }
  return assert.fail('no exit');
}
