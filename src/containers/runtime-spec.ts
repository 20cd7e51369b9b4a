/**
 * Docker config → OCI runtime spec, as one pure function: the same input gives the same spec, and everything about the host, the container's files and the
 * containers it joins is handed in. What dockerd 20.10 makes of the same options is recorded below test/differential/recorded; each difference is listed
 * with its reason in test/differential/spec.test.ts.
 */
import type { ContainerId } from '../base/brand.ts';
import { type DeviceEdits, noEdits } from '../devices/device-edits.ts';
import type { Capabilities, Linux, Mount, Process, Rlimit, RuntimeSpec, Seccomp } from '../oci/runtime-spec.ts';
import type { ResolvedUser } from '../oci/users.ts';
import { defaultProfile } from '../runtime/seccomp/default-profile.ts';
import { resolveProfile } from '../runtime/seccomp/resolve-profile.ts';
import type { IdRange } from '../runtime/user-namespace.ts';
import { appArmorProfileOf } from './apparmor-option.ts';
import { capabilitySet } from './capability-set.ts';
import { commandOf } from './command-line.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { deviceAccess, type FindDevices } from './devices.ts';
import { environmentOf } from './environment.ts';
import type { HostFacts } from './host-facts.ts';
import { hostnameOf } from './hostname.ts';
import { initInContainer } from './init-program.ts';
import { resourceLimits } from './resource-limits.ts';
import { parseSecurityOptions, type SecurityOptions } from './security-options.ts';
import { hooksOf, procFileMounts, withGroups, withVariables } from './spec-edits.ts';
import { type ContainerFiles, type MountToMake, specMounts } from './spec-mounts.ts';
import { type JoinedNamespaces, sharesWithHost, specNamespaces } from './spec-namespaces.ts';
import { inUserNamespace } from './spec-user-namespace.ts';
import { maskedPaths, readonlyPaths } from './system-paths.ts';

export interface RuntimeSpecInput {
  readonly id: ContainerId;
  /** Merged with the image's (merge-image-config.ts). */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly user: ResolvedUser;
  readonly host: HostFacts;
  readonly files: ContainerFiles;
  /** What `-v`, `--mount`, `--tmpfs` and the image ask for, prepared on the host. */
  readonly mounts: readonly MountToMake[];
  /** Below each controller's mount, starting with `/`. */
  readonly cgroupsPath: string;
  /** `/proc/PID/ns/...` of the containers that `container:X` modes name; the network namespace that was prepared for this one. */
  readonly joined: JoinedNamespaces;
  /** The ids of its own that it has on the host; default: none. */
  readonly idRange?: IdRange | null;
  /** `DB_PORT=tcp://…`: what links of the default bridge add to the environment. */
  readonly linkVariables?: readonly string[];
  /** Host path of the program that is process 1 before the container's own; absent: none. */
  readonly init?: string;
  /** `hostDevices` in the daemon. */
  readonly findDevices: FindDevices;
  /** What granted devices change; default: nothing. */
  readonly edits?: DeviceEdits;
}

export function runtimeSpec(input: RuntimeSpecInput): RuntimeSpec {
  const { idRange = null } = input;
  const spec = specOfHostIds(input);
  if (idRange === null) return spec;
  const ours = input.mounts.filter((mount) => mount.kind === 'bind' && mount.ours === true);
  return inUserNamespace(spec, idRange, new Set(ours.map(({ destination }) => destination)));
}

function specOfHostIds(input: RuntimeSpecInput): RuntimeSpec {
  const { config, hostConfig, edits = noEdits } = input;
  const hostname = hostnameOf(input);
  return {
    ociVersion: '1.2.0',
    process: specProcess(input, hostname),
    root: { path: 'rootfs', ...(hostConfig.ReadonlyRootfs ? { readonly: true } : {}) },
    ...(sharesWithHost(hostConfig, 'uts') ? {} : { hostname }),
    mounts: [
      ...specMounts(hostConfig, input.mounts, input.files, input.joined.ipcMounts, edits.mounts),
      ...procFileMounts(edits),
      ...initMount(input.init),
    ],
    ...hooksOf(edits),
    ...(hostConfig.Annotations === undefined ? {} : { annotations: hostConfig.Annotations }),
    linux: specLinux(input, config.Domainname),
  };
}

/** Last, as Docker does it: over whatever the image or a mount has there. */
function initMount(source: string | undefined): Mount[] {
  return source === undefined ? [] : [{ destination: initInContainer, type: 'bind', source, options: ['bind', 'ro'] }];
}

function specProcess(input: RuntimeSpecInput, hostname: string): Process {
  const { config, hostConfig, user, host, edits = noEdits } = input;
  const env = environmentOf({ env: config.Env, links: input.linkVariables ?? [], hostname, tty: config.Tty, home: user.home });
  const [height, width] = hostConfig.ConsoleSize;
  const rlimits = rlimitsOf(hostConfig);
  return {
    ...(config.Tty ? { terminal: true } : {}),
    ...(config.Tty && (height > 0 || width > 0) ? { consoleSize: { height, width } } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: withGroups(user.additionalGids, edits.additionalGids) },
    args: [...(input.init === undefined ? [] : [initInContainer, '--']), ...commandOf(config)],
    env: withVariables(env, edits.env),
    cwd: config.WorkingDir === '' ? '/' : config.WorkingDir,
    capabilities: processCapabilities(capabilitySet(hostConfig, host.capabilities).capabilities, user.uid),
    ...(rlimits.length === 0 ? {} : { rlimits }),
    ...(securityOf(hostConfig).noNewPrivileges ? { noNewPrivileges: true } : {}),
    ...appArmorOf(hostConfig, host),
    oomScoreAdj: hostConfig.OomScoreAdj,
  };
}

function appArmorOf(hostConfig: HostConfig, host: HostFacts): Pick<Process, 'apparmorProfile'> {
  const profile = appArmorProfileOf(hostConfig, host);
  return profile === null ? {} : { apparmorProfile: profile };
}

/**
 * Only root gets them at once; another user may gain at most the bounding set, by a file that says so. Nothing is inheritable: a program without file
 * capabilities must not pass them on (CVE-2022-24769).
 */
function processCapabilities(names: readonly string[], uid: number): Capabilities {
  return uid === 0 ? { bounding: names, effective: names, permitted: names } : { bounding: names };
}

const unlimited = 2n ** 64n - 1n;

function rlimitsOf({ Ulimits: ulimits }: HostConfig): Rlimit[] {
  const value = (limit: number): number | bigint => (limit === -1 ? unlimited : limit);
  return (ulimits ?? []).map(({ Name: name, Soft: soft, Hard: hard }) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: value(soft),
    hard: value(hard),
  }));
}

function specLinux(input: RuntimeSpecInput, domainname: string): Linux {
  const { hostConfig, host, user, findDevices, edits = noEdits } = input;
  const { devices, rules } = deviceAccess(hostConfig, findDevices, edits.nodes, user);
  const security = securityOf(hostConfig);
  const seccomp = seccompOf(input, security);
  const unmasked = hostConfig.Privileged || security.systemPathsUnconfined;
  return {
    sysctl: sysctlsOf(hostConfig, domainname),
    resources: resourceLimits(hostConfig, rules, findDevices),
    cgroupsPath: input.cgroupsPath,
    namespaces: specNamespaces(hostConfig, input.joined, host.cgroupVersion),
    ...(devices.length === 0 ? {} : { devices }),
    ...(seccomp === null ? {} : { seccomp }),
    ...rootPropagation(input.mounts, edits),
    ...(edits.intelRdt === null ? {} : { intelRdt: edits.intelRdt }),
    maskedPaths: unmasked ? [] : (hostConfig.MaskedPaths ?? maskedPaths(host)),
    readonlyPaths: unmasked ? [] : (hostConfig.ReadonlyPaths ?? readonlyPaths),
  };
}

/** As Docker marks it: what binds want of the host's mounts. */
function rootPropagation(mounts: readonly MountToMake[], edits: DeviceEdits): Pick<Linux, 'rootfsPropagation'> {
  const named = [
    ...mounts.flatMap((mount) => (mount.kind === 'bind' ? [mount.propagation] : [])),
    ...edits.mounts.flatMap(({ options }) => options),
  ];
  const wanted = (suffix: string): boolean => named.some((name) => name.endsWith(suffix));
  if (wanted('shared')) return { rootfsPropagation: 'shared' };
  return wanted('slave') ? { rootfsPropagation: 'rslave' } : {};
}

function securityOf(hostConfig: HostConfig): SecurityOptions {
  return parseSecurityOptions(hostConfig.SecurityOpt ?? []);
}

/** `--privileged` switches the default profile off, not one that was asked for. */
function seccompOf({ hostConfig, host }: RuntimeSpecInput, { seccomp }: SecurityOptions): Seccomp | null {
  const isDefault = seccomp === 'default' || seccomp === 'builtin';
  const profile = seccomp === 'default' ? (host.seccomp ?? defaultProfile) : seccomp === 'builtin' ? defaultProfile : seccomp;
  if (profile === 'unconfined' || (isDefault && hostConfig.Privileged)) return null;
  const { capabilities } = capabilitySet(hostConfig, host.capabilities);
  return resolveProfile(profile, {
    capabilities: new Set(capabilities),
    architecture: host.architecture,
    kernel: host.kernel,
  });
}

/** A network namespace of its own lets every user ping and bind low ports; what the user sets wins. */
function sysctlsOf(hostConfig: HostConfig, domainname: string): Record<string, string> {
  const ownNetwork = !sharesWithHost(hostConfig, 'network') && !hostConfig.NetworkMode.startsWith('container:');
  return {
    ...(ownNetwork ? { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' } : {}),
    ...(domainname === '' ? {} : { 'kernel.domainname': domainname }),
    ...hostConfig.Sysctls,
  };
}
