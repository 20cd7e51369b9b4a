/**
 * What a filter answers to each system call number of one ABI: the meaning of a `Seccomp`, before any code is made for it.
 *
 * The meaning follows what runc and libseccomp do with the same JSON:
 *   - a rule whose action (with its errno) is the default's is skipped;
 *   - a rule without conditions decides its call, whatever conditional rules say; the first such rule wins;
 *   - conditions of one rule must all hold, except when two of them are about the same argument: then each stands alone;
 *   - calls above the largest number that any rule names are newer than the profile: they answer ENOSYS, so that C libraries fall back to older calls,
 *     unless the default lets unknown calls through (runc's stub; libseccomp alone would answer the default's EPERM);
 *   - on 32-bit x86, where one `socketcall` and one `ipc` stand for many calls, a rule for `socket` also decides `socketcall(1)`. The other arguments are in
 *     memory there, so that a rule with conditions cannot be followed: one that refuses, refuses the call whatever its arguments.
 * Ours:
 *   - such a rule that allows with conditions does not open `socketcall` (libseccomp opens it for any arguments);
 *   - conditional rules that overlap are tried in the order of the profile (libseccomp leaves that open);
 *   - arguments are compared as the kernel reads them: 32 bits of an `int` (`int-arguments.ts`), and all 64 in x32, where libseccomp looks at 32.
 */
import { invalid } from '../../base/errors.ts';
import type { Seccomp, SeccompArgument, SeccompOperator, SeccompRule } from '../../oci/runtime-spec.ts';
import { actionValue, isPermissive } from './action-values.ts';
import { isIntArgument } from './int-arguments.ts';
import { type Abi, armPrivateBase, ipcNumbers, socketcallNumbers, syscallTable } from './syscall-table.ts';

export interface Decisions {
  /** Answers by number; x32 numbers without their bit. */
  readonly verdicts: ReadonlyMap<number, Verdict>;
  readonly otherwise: number;
  /** Above this number calls are unknown to the profile; null: no call is. */
  readonly largest: number | null;
  /** On ARM, the largest of the private calls, which have a range of their own. */
  readonly largestPrivate: number | null;
}

export type Verdict =
  | { readonly kind: 'return'; readonly value: number }
  /** The first rule whose conditions all hold; else `otherwise`. */
  | { readonly kind: 'check'; readonly rules: readonly ConditionalRule[]; readonly otherwise: number };

export interface ConditionalRule {
  readonly conditions: readonly Condition[];
  readonly value: number;
}

export interface Condition {
  readonly argument: number;
  readonly operator: SeccompOperator;
  /** What to compare with; for `SCMP_CMP_MASKED_EQ` after `mask` was applied to the argument. */
  readonly value: bigint;
  readonly mask: bigint;
  /** Only the low 32 bits count. */
  readonly narrow: boolean;
}

export function decideSyscalls(seccomp: Seccomp, abi: Abi): Decisions {
  const otherwise = actionValue(seccomp.defaultAction, seccomp.defaultErrnoRet);
  const table = syscallTable(abi);
  const collected = new Map<number, ConditionalRule[]>();
  let largest = 0;
  let largestPrivate = 0;
  for (const rule of seccomp.syscalls ?? []) {
    const value = actionValue(rule.action, rule.errnoRet);
    for (const name of rule.names) {
      const number = table.get(name);
      if (number !== undefined && number < armPrivateBase) largest = Math.max(largest, number);
      else if (number !== undefined) largestPrivate = Math.max(largestPrivate, number);
      if (value !== otherwise) collectRule(collected, rule, name, number, value, abi);
    }
  }
  const verdicts = new Map<number, Verdict>();
  for (const [number, rules] of collected) verdicts.set(number, verdictOf(rules, otherwise));
  // Number 0 alone says nothing about the age of the profile: runc has no stub then either.
  const known = !isPermissive(seccomp.defaultAction) && largest > 0;
  return { verdicts, otherwise, largest: known ? largest : null, largestPrivate: known && largestPrivate > 0 ? largestPrivate : null };
}

function collectRule(
  collected: Map<number, ConditionalRule[]>,
  rule: SeccompRule,
  name: string,
  number: number | undefined,
  value: number,
  abi: Abi,
): void {
  const isUnconditional = rule.args === undefined || rule.args.length === 0;
  if (number !== undefined) add(collected, number, isUnconditional ? unconditional : alternativesOf(rule, name, abi), value);
  if (abi === 'x86' && (isUnconditional || !isPermissive(rule.action))) addMultiplexed(collected, name, value, syscallTable(abi));
}

const unconditional: readonly (readonly Condition[])[] = [[]];

function add(
  collected: Map<number, ConditionalRule[]>,
  number: number,
  alternatives: readonly (readonly Condition[])[],
  value: number,
): void {
  const rules = collected.get(number) ?? [];
  if (rules.length === 0) collected.set(number, rules);
  for (const conditions of alternatives) rules.push({ conditions, value });
}

function addMultiplexed(collected: Map<number, ConditionalRule[]>, name: string, value: number, table: ReadonlyMap<string, number>): void {
  const socketcall = table.get('socketcall');
  const ipc = table.get('ipc');
  const base = { argument: 0, operator: 'SCMP_CMP_MASKED_EQ', narrow: true } as const;
  if (Object.hasOwn(socketcallNumbers, name) && socketcall !== undefined) {
    add(collected, socketcall, [[{ ...base, value: BigInt(socketcallNumbers[name] ?? 0), mask: 0xffffffffn }]], value);
  }
  if (Object.hasOwn(ipcNumbers, name) && ipc !== undefined) {
    add(collected, ipc, [[{ ...base, value: BigInt(ipcNumbers[name] ?? 0), mask: 0xffffn }]], value);
  }
}

function alternativesOf(rule: SeccompRule, name: string, abi: Abi): readonly (readonly Condition[])[] {
  const conditions = (rule.args ?? []).map((argument) => conditionOf(argument, name, abi));
  const indexes = new Set(conditions.map((condition) => condition.argument));
  return indexes.size === conditions.length ? [conditions] : conditions.map((condition) => [condition]);
}

function conditionOf(argument: SeccompArgument, name: string, abi: Abi): Condition {
  const { index, op } = argument;
  if (!Number.isInteger(index) || index < 0 || index > 5) {
    throw invalid(`Cannot compile the seccomp filter: argument index ${index} of ${name} is not between 0 and 5.`);
  }
  const narrow = abi === 'x86' || abi === 'arm' || isIntArgument(name, index);
  const bits = narrow ? 32 : 64;
  const first = BigInt.asUintN(bits, BigInt(argument.value));
  const second = BigInt.asUintN(bits, BigInt(argument.valueTwo ?? 0));
  const masked = op === 'SCMP_CMP_MASKED_EQ';
  // Bits outside the mask don't count on either side.
  const value = masked ? second & first : first;
  return { argument: index, operator: op, value, mask: masked ? first : BigInt.asUintN(bits, -1n), narrow };
}

function verdictOf(rules: readonly ConditionalRule[], otherwise: number): Verdict {
  const unconditional = rules.find((rule) => rule.conditions.length === 0);
  return unconditional === undefined ? { kind: 'check', rules, otherwise } : { kind: 'return', value: unconditional.value };
}
