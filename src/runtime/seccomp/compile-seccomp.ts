/**
 * Compiles a `Seccomp` of the OCI runtime spec to the classic BPF program that seccomp(2) loads.
 *
 *   arch == X86_64 ?  ──▶ binary tree over the number: x86_64 below 0x40000000, x32 from there on
 *   arch == I386 ?    ──▶ binary tree over the number
 *   else              ──▶ KILL_PROCESS
 *
 * Neighbouring numbers with the same answer are one leaf of the tree; a leaf is an answer or the checks of a call's arguments. The program runs at every system
 * call of a container, so depth counts: a tree of the default profile is about 8 comparisons deep where the list has 350.
 *
 * What the rules mean is `decide-syscalls.ts`. For a foreign architecture (and for x32 when the profile does not list it) libseccomp kills the thread; we kill
 * the process, since a program that lost one thread hangs without a word. The number -1, which a tracer writes to skip a call, is never killed.
 */
import { invalid, notImplemented } from '../../base/errors.ts';
import type { Seccomp } from '../../oci/runtime-spec.ts';
import { enosysValue, killProcessValue } from './action-values.ts';
import { BpfProgram, opcodes, type Target } from './bpf-program.ts';
import { type Condition, type ConditionalRule, type Decisions, decideSyscalls, type Verdict } from './decide-syscalls.ts';
import { type Abi, type Architecture, abiByScmpName, abisOf, armPrivateBase, auditArchitecture, x32Bit } from './syscall-table.ts';

const numberOffset = 0;
const architectureOffset = 4;
const argumentsOffset = 16;
const maximumCached = 64;

/** By content, least recently used first. */
const cache = new Map<string, Uint8Array>();

/** The program as `struct sock_filter[]`. The same bytes are shared between callers: do not write to them. */
export function compileSeccomp(seccomp: Seccomp, architecture: Architecture): Uint8Array {
  const key = cacheKey(seccomp, architecture);
  const cached = cache.get(key);
  if (cached !== undefined) {
    cache.delete(key);
    cache.set(key, cached);
    return cached;
  }
  const program = compile(seccomp, architecture);
  cache.set(key, program);
  const oldest = cache.keys().next().value;
  if (cache.size > maximumCached && oldest !== undefined) cache.delete(oldest);
  return program;
}

/** The flags for seccomp(2). Without a list, SPEC_ALLOW, as the specification has it; an empty list means none. */
export function seccompFlags(seccomp: Seccomp): number {
  // TSYNC has no meaning here: the filter is loaded by a process with one thread.
  const known: Readonly<Record<string, number>> = {
    SECCOMP_FILTER_FLAG_TSYNC: 0,
    SECCOMP_FILTER_FLAG_LOG: 2,
    SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  };
  let flags = 0;
  for (const name of seccomp.flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW']) {
    const flag = Object.hasOwn(known, name) ? known[name] : undefined;
    if (flag === undefined) throw notImplemented(`Seccomp flag ${name} is not supported. Known flags: ${Object.keys(known).join(', ')}.`);
    flags |= flag;
  }
  return flags;
}

/** The ABIs a filter answers for: the native one always, as in libseccomp, and those that the profile lists. */
export function abisFor(seccomp: Seccomp, architecture: Architecture): readonly Abi[] {
  const listed = new Set<Abi>();
  for (const name of seccomp.architectures ?? []) {
    const abi = abiByScmpName.get(name);
    if (abi === undefined) throw invalid(`Cannot compile the seccomp profile: architecture ${JSON.stringify(name)} is unknown.`);
    if (abi !== null) listed.add(abi);
  }
  return abisOf[architecture].filter((abi, index) => index === 0 || listed.has(abi));
}

function cacheKey(seccomp: Seccomp, architecture: Architecture): string {
  const text = JSON.stringify(seccomp, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  return `${architecture} ${text}`;
}

function compile(seccomp: Seccomp, architecture: Architecture): Uint8Array {
  const abis = abisFor(seccomp, architecture);
  const program = new BpfProgram();
  const native = abis[0];
  if (native === undefined) throw invalid(`Cannot compile a seccomp profile for architecture ${architecture}.`);
  const others = abis.filter((abi) => abi !== native && abi !== 'x32');
  let entry = program.return(killProcessValue);
  for (const abi of others) entry = architectureBranch(program, abi, treeOf(program, segmentsOf(seccomp, abi)), entry);
  const nativeSegments = native === 'x86_64' ? x86Segments(seccomp, abis.includes('x32')) : segmentsOf(seccomp, native);
  entry = architectureBranch(program, native, treeOf(program, nativeSegments), entry);
  return program.finish(program.load(architectureOffset, entry));
}

function architectureBranch(program: BpfProgram, abi: Abi, tree: Target, otherwise: Target): Target {
  return program.branch(opcodes.jumpEqual, auditArchitecture[abi], program.load(numberOffset, tree), otherwise);
}

/** From `first` up to the next segment, every number has this verdict. */
interface Segment {
  readonly first: number;
  readonly verdict: Verdict;
}

function segmentsOf(seccomp: Seccomp, abi: Abi): readonly Segment[] {
  const segments: Segment[] = [];
  appendAbi(segments, decideSyscalls(seccomp, abi), 0);
  return segments;
}

/** x86_64 and x32 share an architecture value and are told apart by the number. */
function x86Segments(seccomp: Seccomp, hasX32: boolean): readonly Segment[] {
  const segments: Segment[] = [];
  appendAbi(segments, decideSyscalls(seccomp, 'x86_64'), 0);
  if (hasX32) {
    appendAbi(segments, decideSyscalls(seccomp, 'x32'), x32Bit);
  } else {
    const unknown = segments.at(-1)?.verdict ?? answer(enosysValue);
    append(segments, x32Bit, answer(killProcessValue));
    append(segments, 0xffffffff, unknown);
  }
  return segments;
}

function appendAbi(segments: Segment[], decisions: Decisions, base: number): void {
  const { largest, largestPrivate } = decisions;
  const numbers = Uint32Array.from(decisions.verdicts.keys()).sort();
  appendRange(segments, decisions, base, { numbers: numbers.filter((number) => number < armPrivateBase), first: 0, last: largest });
  if (largest !== null && largestPrivate === null) return;
  // Between the ordinary calls and ARM's private ones is the room for calls to come.
  const ownNumbers = numbers.filter((number) => number >= armPrivateBase);
  appendRange(segments, decisions, base, { numbers: ownNumbers, first: armPrivateBase, last: largestPrivate });
}

interface NumberRange {
  readonly numbers: Uint32Array;
  readonly first: number;
  /** Calls above it are unknown to the profile; null: none is. */
  readonly last: number | null;
}

function appendRange(segments: Segment[], decisions: Decisions, base: number, { numbers, first, last }: NumberRange): void {
  const otherwise = answer(decisions.otherwise);
  let next = first;
  append(segments, base + first, otherwise);
  for (const number of numbers) {
    if (number > next) append(segments, base + next, otherwise);
    append(segments, base + number, decisions.verdicts.get(number) ?? otherwise);
    next = number + 1;
  }
  append(segments, base + next, otherwise);
  if (last !== null) append(segments, base + last + 1, answer(enosysValue));
}

function answer(value: number): Verdict {
  return { kind: 'return', value };
}

/** Replaces an empty segment and joins neighbours with the same answer. */
function append(segments: Segment[], first: number, verdict: Verdict): void {
  if (segments.at(-1)?.first === first) segments.pop();
  const last = segments.at(-1);
  if (last === undefined || !sameVerdict(last.verdict, verdict)) segments.push({ first, verdict });
}

/** Checks are compared by identity only: two calls with equal checks share nothing but a little space. */
function sameVerdict(a: Verdict, b: Verdict): boolean {
  return a === b || (a.kind === 'return' && b.kind === 'return' && a.value === b.value);
}

function treeOf(program: BpfProgram, segments: readonly Segment[]): Target {
  const leaf = (segment: Segment): Target =>
    segment.verdict.kind === 'return'
      ? program.return(segment.verdict.value)
      : checksOf(program, segment.verdict.rules, segment.verdict.otherwise);
  const build = (from: number, to: number): Target => {
    const middle = (from + to + 1) >>> 1;
    const segment = segments[middle];
    if (from === to || segment === undefined) return leaf(segments[from] as Segment);
    const upper = build(middle, to);
    const lower = build(from, middle - 1);
    return program.branch(opcodes.jumpGreaterOrEqual, segment.first, upper, lower);
  };
  return build(0, segments.length - 1);
}

function checksOf(program: BpfProgram, rules: readonly ConditionalRule[], otherwise: number): Target {
  return rules.reduceRight(
    (next, rule) => rule.conditions.reduceRight((met, condition) => conditionOf(program, condition, met, next), program.return(rule.value)),
    program.return(otherwise),
  );
}

function conditionOf(program: BpfProgram, condition: Condition, met: Target, unmet: Target): Target {
  switch (condition.operator) {
    case 'SCMP_CMP_EQ':
    case 'SCMP_CMP_MASKED_EQ':
      return equal(program, condition, met, unmet);
    case 'SCMP_CMP_NE':
      return equal(program, condition, unmet, met);
    case 'SCMP_CMP_GT':
      return greater(program, condition, opcodes.jumpGreater, met, unmet);
    case 'SCMP_CMP_GE':
      return greater(program, condition, opcodes.jumpGreaterOrEqual, met, unmet);
    case 'SCMP_CMP_LT':
      return greater(program, condition, opcodes.jumpGreaterOrEqual, unmet, met);
    case 'SCMP_CMP_LE':
      return greater(program, condition, opcodes.jumpGreater, unmet, met);
    default:
      throw invalid(`Cannot compile the seccomp profile: operator ${JSON.stringify(condition.operator)} is unknown.`);
  }
}

function equal(program: BpfProgram, condition: Condition, met: Target, unmet: Target): Target {
  const { low, high } = halves(condition.value);
  const mask = halves(condition.mask);
  const lowCheck = program.load(lowOffset(condition), masked(program, mask.low, program.branch(opcodes.jumpEqual, low, met, unmet)));
  if (condition.narrow) return lowCheck;
  return program.load(highOffset(condition), masked(program, mask.high, program.branch(opcodes.jumpEqual, high, lowCheck, unmet)));
}

function masked(program: BpfProgram, mask: number, next: Target): Target {
  return mask === 0xffffffff ? next : program.and(mask, next);
}

/** `code` compares the low halves when the high ones are equal. */
function greater(program: BpfProgram, condition: Condition, code: 0x25 | 0x35, met: Target, unmet: Target): Target {
  const { low, high } = halves(condition.value);
  const lowCheck = program.load(lowOffset(condition), program.branch(code, low, met, unmet));
  if (condition.narrow) return lowCheck;
  const notGreater = program.branch(opcodes.jumpEqual, high, lowCheck, unmet);
  return program.load(highOffset(condition), program.branch(opcodes.jumpGreater, high, met, notGreater));
}

function halves(value: bigint): { low: number; high: number } {
  return { low: Number(value & 0xffffffffn), high: Number(value >> 32n) };
}

function lowOffset(condition: Condition): number {
  return argumentsOffset + condition.argument * 8;
}

function highOffset(condition: Condition): number {
  return lowOffset(condition) + 4;
}
