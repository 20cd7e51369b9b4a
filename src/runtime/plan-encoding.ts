/**
 * A plan as bytes for the native interpreter. `native/plan.h` draws the format and holds the same table; `plan-encoding.test.ts` compares the two.
 */
import type { Join, Plan, PlannedStep, Step, Takeover } from './plan.ts';
import { PayloadWriter } from './protocol.ts';

/** s text, u u32 (booleans too), q u64, b bytes, l list of texts, n list of u32. */
type FieldKind = 's' | 'u' | 'q' | 'b' | 'l' | 'n';
type Layout<S extends Step> = readonly [code: number, ...fields: (readonly [Exclude<keyof S, 'op'>, FieldKind])[]];

export const stepLayouts: { readonly [Op in Step['op']]: Layout<Extract<Step, { op: Op }>> } = {
  'write-file': [1, ['path', 's'], ['data', 's'], ['optional', 'u']],
  unshare: [2, ['flags', 'u']],
  propagation: [3, ['flags', 'u']],
  overlay: [4, ['target', 's'], ['lowerBase', 's'], ['lowers', 'l'], ['upper', 's'], ['work', 's'], ['options', 's']],
  'bind-root': [5, ['source', 's']],
  mount: [6, ['fstype', 's'], ['source', 's'], ['target', 's'], ['flags', 'u'], ['data', 's']],
  bind: [
    7,
    ['source', 's'],
    ['subpath', 's'],
    ['target', 's'],
    ['recursive', 'u'],
    ['flags', 'u'],
    ['recursiveReadOnly', 'u'],
    ['propagation', 'u'],
    ['create', 'u'],
    ['taken', 'u'],
    ['uidMap', 'n'],
    ['gidMap', 'n'],
  ],
  mkdir: [8, ['target', 's'], ['mode', 'u'], ['uid', 'u'], ['gid', 'u']],
  mknod: [9, ['target', 's'], ['mode', 'u'], ['major', 'u'], ['minor', 'u'], ['uid', 'u'], ['gid', 'u']],
  symlink: [10, ['target', 's'], ['text', 's']],
  'mount-tmpfs-copyup': [11, ['target', 's'], ['flags', 'u'], ['data', 's']],
  pivot: [12],
  mask: [13, ['target', 's']],
  readonly: [14, ['target', 's']],
  'readonly-root': [15],
  hostname: [16, ['name', 's']],
  domainname: [17, ['name', 's']],
  'loopback-up': [18],
  terminal: [19, ['console', 'u'], ['rows', 'u'], ['columns', 'u']],
  rlimit: [20, ['resource', 'u'], ['soft', 'q'], ['hard', 'q']],
  keyring: [21, ['name', 's']],
  'no-new-privileges': [22],
  bounding: [23, ['mask', 'q']],
  seccomp: [24, ['filter', 'b'], ['flags', 'u']],
  user: [25, ['uid', 'u'], ['gid', 'u'], ['groups', 'n'], ['umask', 'u']],
  capabilities: [26, ['effective', 'q'], ['permitted', 'q'], ['inheritable', 'q'], ['ambient', 'q']],
  chdir: [27, ['path', 's']],
  exec: [28, ['argv', 'l'], ['env', 'l'], ['path', 's']],
  join: [29, ['path', 's'], ['nstype', 'u']],
  'take-tree': [30, ['source', 's'], ['subpath', 's'], ['namespace', 's'], ['recursive', 'u']],
  'mount-layers': [31, ['target', 's'], ['lowerBase', 's'], ['lowers', 'l'], ['options', 's'], ['subpath', 's'], ['writable', 'l']],
  'user-namespace': [32, ['uidMap', 'n'], ['gidMap', 'n']],
  'file-owner': [33, ['uid', 'u'], ['gid', 'u']],
  'own-stdio': [34, ['uid', 'u']],
  'enter-user-namespace': [35],
  'memory-file': [36, ['target', 's'], ['content', 'b'], ['mode', 'u'], ['uid', 'u'], ['gid', 'u']],
  checkpoint: [37],
  hook: [
    38,
    ['path', 's'],
    ['directory', 's'],
    ['before', 's'],
    ['after', 's'],
    ['argv', 'l'],
    ['env', 'l'],
    ['confined', 'u'],
    ['timeoutMs', 'u'],
  ],
};

export function encodePlan(plan: Plan): Buffer {
  const out = new PayloadWriter().u32(plan.cloneFlags).text(plan.cgroup2 ?? '');
  encodeSteps(out, plan.before);
  out.u32(plan.joins.length);
  for (const join of plan.joins) encodeJoin(out, join);
  encodeSteps(out, plan.steps);
  if (plan.takeover !== undefined) encodeTakeover(out, plan.takeover);
  return out.finish();
}

function encodeTakeover(out: PayloadWriter, { pidFile, console, patienceMs, follow, farewell }: Takeover): void {
  out
    .text(pidFile)
    .text(console ?? '')
    .u32(patienceMs);
  for (const plan of [follow, farewell]) out.bytes(plan === null ? new Uint8Array() : encodePlan(plan));
}

/** Whether the process gets a terminal, which the monitor must know beforehand. */
export function hasTerminal(plan: Plan): boolean {
  return (plan.takeover?.console ?? null) !== null || plan.steps.some(({ step }) => step.op === 'terminal');
}

function encodeSteps(out: PayloadWriter, steps: readonly PlannedStep[]): void {
  out.u32(steps.length);
  for (const { step } of steps) encodeStep(out, step);
}

function encodeJoin(out: PayloadWriter, join: Join): void {
  if (join.kind === 'path') out.u8(1).text(join.path).u32(join.nstype);
  else out.u8(2).u32(join.nstypes);
}

function encodeStep(out: PayloadWriter, step: Step): void {
  const [code, ...fields] = stepLayouts[step.op] as readonly [number, ...(readonly [string, FieldKind])[]];
  const values: Readonly<Record<string, unknown>> = { ...step };
  out.u8(code);
  for (const [name, kind] of fields) encodeField(out, kind, values[name]);
}

/** The layouts' type ties names to steps; that each value has the kind its letter says is the table's own promise, kept by its test. */
function encodeField(out: PayloadWriter, kind: FieldKind, value: unknown): void {
  switch (kind) {
    case 's':
      out.text(value as string);
      return;
    case 'u':
      out.u32(Number(value));
      return;
    case 'q':
      out.u64(value as bigint);
      return;
    case 'b':
      out.bytes(value as Uint8Array);
      return;
    case 'l':
      out.texts(value as readonly string[]);
      return;
    case 'n': {
      const numbers = value as readonly number[];
      out.u32(numbers.length);
      for (const number of numbers) out.u32(number);
    }
  }
}
