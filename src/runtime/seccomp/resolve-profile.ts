/** Turns a profile into the plain rules for one container: what depends on its capabilities, the host's architecture and its kernel is decided here. */
import type { Seccomp, SeccompRule } from '../../oci/runtime-spec.ts';
import type { Profile, ProfileFilter, ProfileRule } from './profile.ts';
import type { Architecture } from './syscall-table.ts';

export interface ResolveContext {
  /** The bounding set, names with `CAP_`. */
  readonly capabilities: ReadonlySet<string>;
  readonly architecture: Architecture;
  readonly kernel: KernelVersion;
}

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

const nativeName: Readonly<Record<Architecture, string>> = { amd64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' };

export function resolveProfile(profile: Profile, context: ResolveContext): Seccomp {
  const rules = profile.syscalls.filter((rule) => rule.names.length > 0 && applies(rule, context));
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architecturesOf(profile, context.architecture),
    ...(profile.flags === undefined ? {} : { flags: profile.flags }),
    syscalls: rules.map(plainRule),
  };
}

/** `6.18.44-fc-v669` → 6.18. Null: not a version that we can read. */
export function parseKernelVersion(release: string): KernelVersion | null {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
}

function architecturesOf(profile: Profile, architecture: Architecture): readonly string[] {
  const native = nativeName[architecture];
  const group = profile.archMap?.find((each) => each.architecture === native);
  if (group !== undefined) return [group.architecture, ...group.subArchitectures];
  return profile.architectures !== undefined && profile.architectures.length > 0 ? profile.architectures : [native];
}

function applies(rule: ProfileRule, context: ResolveContext): boolean {
  return includesHold(rule.includes, context) && !excludesHold(rule.excludes, context);
}

function includesHold(filter: ProfileFilter | undefined, { capabilities, architecture, kernel }: ResolveContext): boolean {
  if (filter === undefined) return true;
  const { caps = [], arches = [], minKernel } = filter;
  return (
    caps.every((name) => capabilities.has(name)) &&
    (arches.length === 0 || arches.includes(architecture)) &&
    (minKernel === undefined || isAtLeast(kernel, minKernel))
  );
}

function excludesHold(filter: ProfileFilter | undefined, { capabilities, architecture, kernel }: ResolveContext): boolean {
  if (filter === undefined) return false;
  const { caps = [], arches = [], minKernel } = filter;
  return (
    caps.some((name) => capabilities.has(name)) ||
    arches.includes(architecture) ||
    (minKernel !== undefined && isAtLeast(kernel, minKernel))
  );
}

function isAtLeast(kernel: KernelVersion, minimum: string): boolean {
  const wanted = parseKernelVersion(minimum);
  if (wanted === null) return false;
  return kernel.major > wanted.major || (kernel.major === wanted.major && kernel.minor >= wanted.minor);
}

function plainRule(rule: ProfileRule): SeccompRule {
  return {
    names: rule.names,
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args === undefined ? {} : { args: rule.args }),
  };
}
