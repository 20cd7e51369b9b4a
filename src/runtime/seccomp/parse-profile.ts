/**
 * Reads a user's seccomp profile. What cannot be understood is an error that names its place (`syscalls[3].args[0].op`): a rule that is left out silently would
 * open or close something that nobody asked for. Unknown system calls are left out, as libseccomp does (profiles name calls of many kernels), with a warning.
 */
import { type EngineError, errorText, invalid, notImplemented } from '../../base/errors.ts';
import type { SeccompAction, SeccompArgument, SeccompOperator } from '../../oci/runtime-spec.ts';
import { isSeccompAction, seccompActions, takesErrno } from './action-values.ts';
import type { ArchitectureGroup, Profile, ProfileFilter, ProfileRule } from './profile.ts';
import { abiByScmpName, isKnownSyscall } from './syscall-table.ts';

export interface ParsedProfile extends Profile {
  readonly warnings: readonly string[];
}

const operators: readonly string[] = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];
const maximumUnsigned64 = 2n ** 64n - 1n;

/** From text, where 64-bit numbers keep their last digits (JSON.parse alone would round them). */
export function parseProfileText(text: string): ParsedProfile {
  let json: unknown;
  try {
    json = JSON.parse(text, keepLargeNumbers);
  } catch (error) {
    throw invalid(`The seccomp profile is not JSON: ${errorText(error)}.`, { cause: error });
  }
  return parseProfile(json);
}

function keepLargeNumbers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  const isLarge = typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source);
  return isLarge ? BigInt(source) : value;
}

export function parseProfile(json: unknown): ParsedProfile {
  const warnings: string[] = [];
  const root = fieldsOf(json, '', ['defaultAction', 'defaultErrnoRet', 'architectures', 'archMap', 'flags', 'syscalls'], warnings, [
    'listenerPath',
    'listenerMetadata',
  ]);
  const architectures = listOf(root.architectures, 'architectures', parseArchitecture);
  const archMap = listOf(root.archMap, 'archMap', (each, path) => parseGroup(each, path, warnings));
  if (architectures !== undefined && architectures.length > 0 && archMap !== undefined && archMap.length > 0) {
    throw wrong('architectures', 'cannot be used together with "archMap"');
  }
  const defaultAction = parseAction(root.defaultAction, 'defaultAction');
  const defaultErrnoRet = parseErrno(root.defaultErrnoRet, 'defaultErrnoRet', defaultAction, warnings);
  const syscalls = listOf(root.syscalls, 'syscalls', (each, path) => parseRule(each, path, warnings)) ?? [];
  const flags = listOf(root.flags, 'flags', parseString);
  warnUnknown(syscalls, warnings);
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    ...(architectures === undefined ? {} : { architectures }),
    ...(archMap === undefined ? {} : { archMap }),
    ...(flags === undefined ? {} : { flags }),
    syscalls,
    warnings,
  };
}

function parseGroup(json: unknown, path: string, warnings: string[]): ArchitectureGroup {
  const fields = fieldsOf(json, path, ['architecture', 'subArchitectures'], warnings);
  return {
    architecture: parseArchitecture(fields.architecture, `${path}.architecture`),
    subArchitectures: listOf(fields.subArchitectures, `${path}.subArchitectures`, parseArchitecture) ?? [],
  };
}

function parseRule(json: unknown, path: string, warnings: string[]): ProfileRule {
  const fields = fieldsOf(json, path, ['name', 'names', 'action', 'errnoRet', 'args', 'includes', 'excludes', 'comment'], warnings);
  const action = parseAction(fields.action, `${path}.action`);
  const errnoRet = parseErrno(fields.errnoRet, `${path}.errnoRet`, action, warnings);
  const args = listOf(fields.args, `${path}.args`, (each, at) => parseArgument(each, at, warnings));
  const includes = parseFilter(fields.includes, `${path}.includes`, warnings);
  const excludes = parseFilter(fields.excludes, `${path}.excludes`, warnings);
  return {
    names: parseNames(fields, path),
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args === undefined || args.length === 0 ? {} : { args }),
    ...(includes === undefined ? {} : { includes }),
    ...(excludes === undefined ? {} : { excludes }),
  };
}

/** Old profiles have one `name`. */
function parseNames(fields: Readonly<Record<string, unknown>>, path: string): readonly string[] {
  const names = listOf(fields.names, `${path}.names`, parseSyscallName) ?? [];
  const name = fields.name;
  if (name === undefined || name === null || name === '') return names;
  if (names.length > 0) throw wrong(`${path}.name`, 'cannot be used together with "names"');
  return [parseSyscallName(name, `${path}.name`)];
}

function parseSyscallName(json: unknown, path: string): string {
  const name = parseString(json, path);
  if (name === '') throw wrong(path, 'is empty, which is not a system call');
  return name;
}

function parseArgument(json: unknown, path: string, warnings: string[]): SeccompArgument {
  const fields = fieldsOf(json, path, ['index', 'value', 'valueTwo', 'op'], warnings);
  const index = parseUnsigned(fields.index ?? 0, `${path}.index`);
  if (typeof index !== 'number' || index > 5) throw wrong(`${path}.index`, `is ${index}, but a system call has arguments 0 to 5`);
  const op = fields.op;
  if (typeof op !== 'string' || !operators.includes(op)) throw wrong(`${path}.op`, `is ${show(op)}, not one of ${operators.join(', ')}`);
  return {
    index,
    value: parseUnsigned(fields.value ?? 0, `${path}.value`),
    valueTwo: parseUnsigned(fields.valueTwo ?? 0, `${path}.valueTwo`),
    op: op as SeccompOperator,
  };
}

function parseFilter(json: unknown, path: string, warnings: string[]): ProfileFilter | undefined {
  if (json === undefined || json === null) return undefined;
  const fields = fieldsOf(json, path, ['caps', 'arches', 'minKernel'], warnings);
  const caps = listOf(fields.caps, `${path}.caps`, parseString);
  const arches = listOf(fields.arches, `${path}.arches`, parseString);
  const minKernel = fields.minKernel;
  if (minKernel !== undefined && minKernel !== null && (typeof minKernel !== 'string' || !/^\d+\.\d+$/.test(minKernel))) {
    throw wrong(`${path}.minKernel`, `is ${show(minKernel)}, not a kernel version like "4.8"`);
  }
  return {
    ...(caps === undefined ? {} : { caps }),
    ...(arches === undefined ? {} : { arches }),
    ...(typeof minKernel === 'string' ? { minKernel } : {}),
  };
}

function parseAction(json: unknown, path: string): SeccompAction {
  if (json === 'SCMP_ACT_NOTIFY') {
    throw notImplemented(
      `Cannot use the seccomp profile: ${path} is SCMP_ACT_NOTIFY, which is not supported. Remove the rule or choose another action.`,
    );
  }
  if (!isSeccompAction(json)) throw wrong(path, `is ${show(json)}, not one of ${seccompActions.join(', ')}`);
  return json;
}

function parseErrno(json: unknown, path: string, action: SeccompAction, warnings: string[]): number | undefined {
  if (json === undefined || json === null) return undefined;
  const errno = parseUnsigned(json, path);
  if (typeof errno !== 'number' || errno > 0xffff) throw wrong(path, `is ${errno}, more than the 65535 that a filter can return`);
  if (takesErrno(action)) return errno;
  warnings.push(`seccomp profile: ${path} has no effect, since ${action} returns no errno`);
  return undefined;
}

function parseArchitecture(json: unknown, path: string): string {
  const name = parseString(json, path);
  if (!abiByScmpName.has(name)) throw wrong(path, `is ${show(name)}, not one of ${[...abiByScmpName.keys()].join(', ')}`);
  return name;
}

function parseUnsigned(json: unknown, path: string): number | bigint {
  if (typeof json === 'bigint' && json >= 0n && json <= maximumUnsigned64) return json;
  if (typeof json === 'number' && Number.isSafeInteger(json) && json >= 0) return json;
  throw wrong(path, `is ${show(json)}, not a whole number between 0 and ${maximumUnsigned64}`);
}

function parseString(json: unknown, path: string): string {
  if (typeof json !== 'string') throw wrong(path, `is ${show(json)}, not a string`);
  return json;
}

function listOf<T>(json: unknown, path: string, parse: (each: unknown, path: string) => T): readonly T[] | undefined {
  if (json === undefined || json === null) return undefined;
  if (!Array.isArray(json)) throw wrong(path, `is ${show(json)}, not a list`);
  return json.map((each, index) => parse(each, `${path}[${index}]`));
}

/** The object's fields. A field that Go would take in another case is an error, since we would not see it; any other unknown one is warned of. */
function fieldsOf(
  json: unknown,
  path: string,
  known: readonly string[],
  warnings: string[],
  refused: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw wrong(path, `is ${show(json)}, not an object`);
  const fields: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(json)) {
    const at = path === '' ? name : `${path}.${name}`;
    const meant = [...known, ...refused].find((each) => each.toLowerCase() === name.toLowerCase());
    if (meant === undefined) warnings.push(`seccomp profile: unknown field ${at} is ignored`);
    else if (meant !== name) throw wrong(at, `must be written "${meant}"`);
    else if (refused.includes(name) && !isEmpty(value))
      throw notImplemented(`Cannot use the seccomp profile: ${at} is not supported. Remove it.`);
    else fields[name] = value;
  }
  return fields;
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '';
}

function warnUnknown(rules: readonly ProfileRule[], warnings: string[]): void {
  const unknown = new Set(rules.flatMap((rule) => rule.names).filter((name) => !isKnownSyscall(name)));
  if (unknown.size > 0) warnings.push(`seccomp profile: unknown system calls are ignored: ${[...unknown].map(show).join(', ')}`);
}

function wrong(path: string, what: string): EngineError {
  return invalid(`Cannot use the seccomp profile: ${path === '' ? 'it' : path} ${what}.`, { details: { path } });
}

function show(json: unknown): string {
  if (json === undefined) return 'missing';
  if (typeof json === 'bigint') return String(json);
  const text = JSON.stringify(json);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
