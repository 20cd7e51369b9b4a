/**
 * Which devices the processes of a cgroup may open and make: OCI's list of rules, as what cgroup v1 is told and as the eBPF program of cgroup v2.
 *
 * Both come from one normal form, `DevicePolicy`: a default and exceptions from it. v1's kernel keeps the same two things, and a rule that agrees with the default
 * only takes back an exception with the very same numbers. A rule that would cut a hole in a wider exception would be without effect there, so it is refused.
 */
import { invalid } from '../base/errors.ts';
import type { CgroupDeviceRule } from './cgroup-resources.ts';

export interface DevicePolicy {
  readonly allowByDefault: boolean;
  readonly exceptions: readonly DeviceException[];
}

export interface DeviceException {
  readonly type: 'c' | 'b';
  /** Null: any. */
  readonly major: number | null;
  readonly minor: number | null;
  readonly access: number;
}

/** BPF_DEVCG_ACC_*. */
const accessBits: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const allAccess = 7;

export function devicePolicy(rules: readonly CgroupDeviceRule[]): DevicePolicy {
  let allowByDefault = false;
  const exceptions = new Map<string, DeviceException>();
  for (const rule of rules) {
    const access = parseAccess(rule);
    if (isForAll(rule, access)) {
      allowByDefault = rule.allow;
      exceptions.clear();
      continue;
    }
    for (const type of rule.type === 'c' || rule.type === 'b' ? [rule.type] : (['c', 'b'] as const)) {
      const exception = { type, major: numberOf(rule.major), minor: numberOf(rule.minor), access };
      if (rule.allow === allowByDefault) takeBack(exceptions, exception);
      else merge(exceptions, exception);
    }
  }
  return { allowByDefault, exceptions: [...exceptions.values()] };
}

function isForAll(rule: CgroupDeviceRule, access: number): boolean {
  const anyType = rule.type === undefined || rule.type === 'a';
  return anyType && numberOf(rule.major) === null && numberOf(rule.minor) === null && access === allAccess;
}

function numberOf(value: number | undefined): number | null {
  if (value === undefined || value === -1) return null;
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) throw invalid(`Invalid device number ${value} in a device rule.`);
  return value;
}

function parseAccess(rule: CgroupDeviceRule): number {
  const text = rule.access ?? '';
  if (text === '') return allAccess;
  return [...text].reduce((bits, letter) => {
    const bit = Object.hasOwn(accessBits, letter) ? accessBits[letter] : undefined;
    if (bit === undefined) throw invalid(`Invalid access ${JSON.stringify(text)} in a device rule: it must be some of "rwm".`);
    return bits | bit;
  }, 0);
}

function keyOf({ type, major, minor }: DeviceException): string {
  return `${type} ${major ?? '*'}:${minor ?? '*'}`;
}

function merge(exceptions: Map<string, DeviceException>, added: DeviceException): void {
  const key = keyOf(added);
  exceptions.set(key, { ...added, access: added.access | (exceptions.get(key)?.access ?? 0) });
}

function takeBack(exceptions: Map<string, DeviceException>, taken: DeviceException): void {
  const key = keyOf(taken);
  const wider = [...exceptions.values()].find((each) => keyOf(each) !== key && covers(each, taken));
  if (wider !== undefined) {
    throw invalid(
      `Cannot apply the device rule "${keyOf(taken)}": it would cut a hole in "${keyOf(wider)}", which the kernel cannot express.`,
    );
  }
  for (const each of [...exceptions.values()].filter((one) => covers(taken, one))) {
    const access = each.access & ~taken.access;
    if (access === 0) exceptions.delete(keyOf(each));
    else exceptions.set(keyOf(each), { ...each, access });
  }
}

/** Whether every device of `narrow` is one of `wide`, and they share some access. */
function covers(wide: DeviceException, narrow: DeviceException): boolean {
  const number = (a: number | null, b: number | null): boolean => a === null || a === b;
  const sharesAccess = (wide.access & narrow.access) !== 0;
  return wide.type === narrow.type && number(wide.major, narrow.major) && number(wide.minor, narrow.minor) && sharesAccess;
}

export interface DeviceWrite {
  readonly file: 'devices.allow' | 'devices.deny';
  readonly value: string;
}

/** What brings a v1 cgroup to the policy. `current` is its `devices.list`, null for a new one (which has its parent's). */
export function deviceWrites(policy: DevicePolicy, current: string | null): readonly DeviceWrite[] {
  const exceptionFile = policy.allowByDefault ? 'devices.deny' : 'devices.allow';
  const wanted = policy.exceptions.map(printException);
  const old = current === null ? null : current.split('\n').filter(Boolean);
  const isAllowList = old !== null && !old.some((line) => line.startsWith('a '));
  if (policy.allowByDefault || old === null || !isAllowList) {
    const reset: DeviceWrite = { file: policy.allowByDefault ? 'devices.allow' : 'devices.deny', value: 'a' };
    return [reset, ...wanted.map((value): DeviceWrite => ({ file: exceptionFile, value }))];
  }
  // Between two allow-lists only the difference is written: a reset would refuse the container its own /dev/null for a moment.
  return [
    ...wanted.filter((value) => !old.includes(value)).map((value): DeviceWrite => ({ file: 'devices.allow', value })),
    ...old.flatMap((line) => surplus(line, policy.exceptions)).map((value): DeviceWrite => ({ file: 'devices.deny', value })),
  ];
}

/** The access that a line of `devices.list` gives and the policy does not. */
function surplus(line: string, exceptions: readonly DeviceException[]): string[] {
  const [type = '', numbers = '', access = ''] = line.split(' ');
  const wanted = exceptions.find((each) => keyOf(each) === `${type} ${numbers}`)?.access ?? 0;
  const letters = [...access].filter((letter) => ((accessBits[letter] ?? 0) & wanted) === 0).join('');
  return letters === '' ? [] : [`${type} ${numbers} ${letters}`];
}

function printException(exception: DeviceException): string {
  // The order of devices.list.
  const letters = ['r', 'w', 'm'].filter((letter) => (exception.access & (accessBits[letter] ?? 0)) !== 0).join('');
  return `${keyOf(exception)} ${letters}`;
}

/**
 * The policy as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE: returns 1 to allow.
 *
 *   struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor }    access_type: access << 16 | type
 *   struct bpf_insn { u8 code; u8 dst:4, src:4; s16 off; s32 imm }         8 bytes, little endian
 */
export function deviceProgram(policy: DevicePolicy): Uint8Array<ArrayBuffer> {
  const instructions = [
    load(2, 0), // r2 = access_type
    load(3, 0), // r3 = access_type
    instruction(0x54, 2, 0, 0, 0xffff), // r2 &= 0xffff: type
    instruction(0x74, 3, 0, 0, 16), // r3 >>= 16: access
    load(4, 4), // r4 = major
    load(5, 8), // r5 = minor
    ...policy.exceptions.flatMap((exception) => exceptionBlock(exception, !policy.allowByDefault)),
    ...answer(policy.allowByDefault),
  ];
  const bytes = new Uint8Array(instructions.length * 8);
  instructions.forEach((each, index) => {
    bytes.set(each, index * 8);
  });
  return bytes;
}

/** Skips to the next block unless the exception is about this access. */
function exceptionBlock({ type, major, minor, access }: DeviceException, allow: boolean): readonly Uint8Array[] {
  const checks: ((skip: number) => Uint8Array)[] = [];
  const always = (bytes: Uint8Array): number => checks.push(() => bytes);
  checks.push((skip) => instruction(0x55, 2, 0, skip, type === 'b' ? 1 : 2)); // if r2 != type
  if (access !== allAccess) {
    always(instruction(0xbc, 1, 3, 0, 0)); // r1 = r3
    always(instruction(0x54, 1, 0, 0, access)); // r1 &= access
    // Allowed is an access whose every part is; refused one of which any part is.
    if (allow)
      checks.push((skip) => instruction(0x5d, 1, 3, skip, 0)); // if r1 != r3
    else checks.push((skip) => instruction(0x15, 1, 0, skip, 0)); // if r1 == 0
  }
  if (major !== null) checks.push((skip) => instruction(0x55, 4, 0, skip, major)); // if r4 != major
  if (minor !== null) checks.push((skip) => instruction(0x55, 5, 0, skip, minor)); // if r5 != minor
  const end = answer(allow);
  return [...checks.map((check, index) => check(checks.length - index - 1 + end.length)), ...end];
}

/** r0 = allow; exit. */
function answer(allow: boolean): readonly Uint8Array[] {
  return [instruction(0xb4, 0, 0, 0, allow ? 1 : 0), instruction(0x95, 0, 0, 0, 0)];
}

/** A 32-bit word of the context, which r1 points to. */
function load(register: number, offset: number): Uint8Array {
  return instruction(0x61, register, 1, offset, 0);
}

function instruction(code: number, destination: number, source: number, offset: number, immediate: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, code);
  view.setUint8(1, destination | (source << 4));
  view.setInt16(2, offset, true);
  view.setInt32(4, immediate, true);
  return bytes;
}
