/** What a spec may not ask: things that would change the host, and things that a plan has no step for. Refused by name, never left out. */
import { posix } from 'node:path';
import { invalid, notImplemented } from '../base/errors.ts';
import type { Mount, NamespaceType, RuntimeSpec } from '../oci/runtime-spec.ts';
import { checkHooks } from './hooks.ts';
import { sysctlNamespace } from './sysctl-names.ts';
import { idRangeOf } from './user-namespace.ts';

export function checkSpec(spec: RuntimeSpec): void {
  checkExecSpec(spec);
  if (!hasOwn(spec, 'mount')) throw invalid('A container needs a mount namespace of its own');
  if (spec.hostname !== undefined && !has(spec, 'uts')) throw invalid('A hostname needs a UTS namespace of its own');
  checkPropagation(spec);
  checkHooks(spec);
  for (const mount of spec.mounts) checkMount(mount);
  for (const name of Object.keys(spec.linux.sysctl ?? {})) checkSysctl(spec, name);
}

/** What holds for exec as well: there the root and the mounts are already made. */
export function checkExecSpec(spec: RuntimeSpec): void {
  const { process, linux } = spec;
  for (const { type } of linux.namespaces) {
    if (type === 'time') throw notImplemented(`A ${type} namespace is not supported yet`);
  }
  checkUserNamespace(spec);
  if ((process.selinuxLabel ?? '') !== '') throw notImplemented(`The SELinux label "${process.selinuxLabel}" is not supported`);
  if ((linux.mountLabel ?? '') !== '') throw notImplemented(`The SELinux mount label "${linux.mountLabel}" is not supported`);
  if (process.args.length === 0) throw invalid('No command specified');
  if (!posix.isAbsolute(process.cwd)) throw invalid(`the working directory '${process.cwd}' is invalid, it needs to be an absolute path`);
  checkIds(process.user.uid, process.user.gid, ...(process.user.additionalGids ?? []));
}

/** Who is not in the namespace cannot be in the container. */
function checkUserNamespace({ process: { user }, linux }: RuntimeSpec): void {
  const range = idRangeOf(linux);
  const outside = range === null ? undefined : [user.uid, user.gid, ...(user.additionalGids ?? [])].find((id) => id >= range.size);
  if (outside !== undefined)
    throw invalid(
      `The id ${outside} is not in the container's user namespace, which has ${range?.size} ids: ask for more (--userns auto:size=N)`,
    );
}

/** 4294967295 is "no change" to setresuid(2), 4294967296 wraps to root. */
function checkIds(...ids: readonly number[]): void {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id > 2 ** 31 - 1);
  if (wrong !== undefined) throw invalid(`uids and gids must be in range 0-2147483647, not ${wrong}`);
}

function has(spec: RuntimeSpec, type: NamespaceType): boolean {
  return spec.linux.namespaces.some((namespace) => namespace.type === type);
}

function hasOwn(spec: RuntimeSpec, type: NamespaceType): boolean {
  return spec.linux.namespaces.some((namespace) => namespace.type === type && namespace.path === undefined);
}

/** Shared is taken as slave: binds that ask to be shared are, and nothing else of the container reaches the host. */
const propagations: readonly string[] = ['', 'private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];

function checkPropagation({ linux: { rootfsPropagation = '' } }: RuntimeSpec): void {
  if (!propagations.includes(rootfsPropagation)) throw notImplemented(`Root propagation "${rootfsPropagation}" is not supported yet`);
}

/** What tools like lxcfs put over single files of /proc; anything else there could fake what the set-up reads and writes (CVE-2019-19921). */
const allowedInProc: ReadonlySet<string> = new Set(
  ['cpuinfo', 'diskstats', 'meminfo', 'stat', 'swaps', 'uptime', 'loadavg', 'slabinfo', 'net/dev', 'sys/kernel/ns_last_pid'].map(
    (name) => `/proc/${name}`,
  ),
);

/** What devices say about themselves; of nothing but memory that the engine filled, so that no bind of a user's gets there. */
const memoryFilesInProc: ReadonlySet<string> = new Set(['/proc/driver/nvidia/params']);

function checkMount({ destination, type, subpath = '', uidMappings = [], gidMappings = [] }: Mount): void {
  if (type !== 'memory-file' || !memoryFilesInProc.has(destination)) checkDestination(destination);
  if (posix.isAbsolute(subpath)) throw invalid(`The subpath "${subpath}" of the mount ${destination} must be relative`);
  for (const { containerID, hostID, size } of [...uidMappings, ...gidMappings]) {
    const fits = [containerID, hostID, size].every((n) => Number.isInteger(n) && n >= 0) && size > 0;
    if (!fits || containerID + size > maxIds || hostID + size > maxIds) {
      throw invalid(`The owner mapping ${containerID}-${hostID}-${size} of the mount ${destination} is not within 0-${maxIds - 1}`);
    }
  }
}

/** 4294967295 is no id. */
const maxIds = 2 ** 32 - 1;

function checkDestination(destination: string): void {
  if (!posix.isAbsolute(destination)) throw invalid(`invalid mount path: '${destination}' mount path must be absolute`);
  const clean = posix.normalize(destination);
  if (clean === '/') throw invalid("invalid specification: destination can't be '/'");
  if (clean.startsWith('/proc/') && !allowedInProc.has(clean)) {
    throw invalid(`"${destination}" cannot be mounted because it is inside /proc`);
  }
}

/** A parameter that belongs to no namespace of the container would change the host. */
function checkSysctl(spec: RuntimeSpec, name: string): void {
  const type = sysctlNamespace(name);
  if (type === null) throw invalid(`sysctl "${name}" is not in a separate kernel namespace`);
  if (!has(spec, type)) throw invalid(`sysctl "${name}" is not allowed in the hosts ${type} namespace`);
}
