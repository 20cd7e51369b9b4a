/**
 * From a made container to its process: what container start and exec have in common, last in every plan. Pure.
 *
 *   limits                  after everything that could exceed them
 *   user namespace          entered with the last of the host's rights: see `user-namespace.ts`
 *   keyring                 the host's keys out of reach
 *   working directory       by root, as runc does: a user may be started in a directory that they could not enter
 *   AppArmor                takes effect with the exec
 *   bounding set            needs CAP_SETPCAP, so before capabilities go
 *   seccomp (without no_new_privs: here, since it needs CAP_SYS_ADMIN)
 *   user, capabilities      in this order: changing the user clears them
 *   seccomp (with no_new_privs: here, so that the filter has to allow execve only)
 *   exec
 */
import { invalid } from '../base/errors.ts';
import { capabilityMask, rlimitNumbers } from '../linux/constants.ts';
import type { Process, Rlimit, RuntimeSpec } from '../oci/runtime-spec.ts';
import type { PlannedStep, Step } from './plan.ts';
import { compileSeccomp, seccompFlags } from './seccomp/compile-seccomp.ts';
import type { Architecture } from './seccomp/syscall-table.ts';

export interface ProcessContext {
  readonly id: string;
  readonly architecture: Architecture;
}

/** What the process needs the host's rights for: only they may raise a hard limit. */
export function limitSteps({ process }: RuntimeSpec): PlannedStep[] {
  return (process.rlimits ?? []).map(rlimitStep);
}

export function processSteps(spec: RuntimeSpec, context: ProcessContext): PlannedStep[] {
  const { process } = spec;
  const noNewPrivileges = process.noNewPrivileges === true;
  const filter = seccompSteps(spec, context.architecture);
  return [
    keyringStep(context.id),
    chdirStep(process.cwd),
    ...appArmorSteps(process),
    boundingStep(process),
    ...(noNewPrivileges ? [] : filter),
    userStep(process),
    capabilitiesStep(process),
    ...(noNewPrivileges ? [noNewPrivilegesStep, ...filter] : []),
    execStep(process),
  ];
}

export function terminalStep({ consoleSize }: Process, console: boolean): PlannedStep {
  const step: Step = { op: 'terminal', console, rows: consoleSize?.height ?? 0, columns: consoleSize?.width ?? 0 };
  return planned(step, "a terminal in the container's own devpts", 'open a terminal in /dev/pts');
}

function planned(step: Step, reason: string, failure: string): PlannedStep {
  return { step, reason, failure };
}

function keyringStep(id: string): PlannedStep {
  return planned({ op: 'keyring', name: `_ses.${id}` }, "the host's keys are out of reach", 'join a session keyring');
}

function rlimitStep({ type, soft, hard }: Rlimit): PlannedStep {
  const resource = rlimitNumbers[type.replace(/^RLIMIT_/, '').toLowerCase()];
  if (resource === undefined) throw invalid(`Unknown resource limit ${type}`);
  return planned({ op: 'rlimit', resource, soft: BigInt(soft), hard: BigInt(hard) }, 'asked for', `set ${type} to ${soft}:${hard}`);
}

function chdirStep(path: string): PlannedStep {
  return planned({ op: 'chdir', path }, 'must lie inside the root', `change to the working directory ${path}`);
}

function appArmorSteps({ apparmorProfile: profile = '' }: Process): PlannedStep[] {
  if (profile === '' || profile === 'unconfined') return [];
  const step: Step = { op: 'write-file', path: '/proc/self/attr/apparmor/exec', data: `exec ${profile}`, optional: false };
  return [planned(step, 'what it executes is confined by it', `set the AppArmor profile "${profile}"`)];
}

function maskOf(names: readonly string[] | undefined): bigint {
  const mask = capabilityMask(names ?? []);
  if (mask === null) throw invalid(`Unknown capability in ${(names ?? []).join(' ')}`);
  return mask;
}

function boundingStep({ capabilities }: Process): PlannedStep {
  const mask = maskOf(capabilities?.bounding);
  return planned({ op: 'bounding', mask }, 'no program can gain more, setuid or not', 'drop capabilities from the bounding set');
}

function userStep({ user }: Process): PlannedStep {
  const { uid, gid, additionalGids: groups = [], umask = 0o022 } = user;
  return planned({ op: 'user', uid, gid, groups, umask }, 'who the process is', `become user ${uid}:${gid}`);
}

function capabilitiesStep({ capabilities = {} }: Process): PlannedStep {
  const step: Step = {
    op: 'capabilities',
    effective: maskOf(capabilities.effective),
    permitted: maskOf(capabilities.permitted),
    inheritable: maskOf(capabilities.inheritable),
    ambient: maskOf(capabilities.ambient),
  };
  return planned(step, 'what the process may do', 'set capabilities');
}

const noNewPrivilegesStep: PlannedStep = planned(
  { op: 'no-new-privileges' },
  'setuid programs gain nothing',
  'set the no_new_privs attribute',
);

function seccompSteps(spec: RuntimeSpec, architecture: Architecture): PlannedStep[] {
  const { seccomp } = spec.linux;
  if (seccomp === undefined) return [];
  const step: Step = { op: 'seccomp', filter: compileSeccomp(seccomp, architecture), flags: seccompFlags(seccomp) };
  return [planned(step, 'system calls it has no use for are refused', 'load the seccomp filter')];
}

/** What execvp(3) uses when PATH is not set. */
const fallbackPath = '/bin:/usr/bin';

function execStep({ args, env }: Process): PlannedStep {
  const path = env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? fallbackPath;
  return planned({ op: 'exec', argv: args, env, path }, 'becomes the process', `start "${args[0]}"`);
}
