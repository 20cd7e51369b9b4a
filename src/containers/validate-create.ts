/**
 * Everything about a create request that can be wrong, with Docker's message and status, before anything is made. Pure: what the host is and which paths
 * exist is handed in. Returns warnings for the create response.
 */
import { conflict, invalid } from '../base/errors.ts';
import { checkAppArmor } from './apparmor-option.ts';
import { capabilitySet } from './capability-set.ts';
import { checkedCgroupParent } from './cgroup-parent.ts';
import type { ContainerConfig, Healthcheck, HostConfig } from './config.ts';
import { parseDeviceRule } from './devices.ts';
import type { HostFacts } from './host-facts.ts';
import { logPlan } from './log-config.ts';
import { requestedMounts } from './mounts.ts';
import { parseSecurityOptions } from './security-options.ts';
import { parseSignal } from './signals.ts';
import { refuseUnsupported } from './unsupported.ts';
import { validateResources } from './validate-resources.ts';

export interface CreateFacts {
  readonly host: HostFacts;
  readonly pathExists: (hostPath: string) => boolean;
}

/** `config` as requested, not yet merged with the image's. */
export function validateCreate(config: ContainerConfig, hostConfig: HostConfig, facts: CreateFacts): string[] {
  validateConfig(config);
  validateHealthcheck(config.Healthcheck);
  validateModes(config, hostConfig);
  validateRestartPolicy(hostConfig);
  refuseUnsupported(config, hostConfig);
  logPlan(hostConfig.LogConfig);
  for (const rule of hostConfig.DeviceCgroupRules ?? []) parseDeviceRule(rule);
  checkedCgroupParent(hostConfig.CgroupParent);
  if (hostConfig.ShmSize < 0) throw invalid('SHM size can not be less than 0');
  validateMountSources(hostConfig, facts);
  checkAppArmor(hostConfig, facts.host);
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  return [
    ...validateResources(hostConfig, facts.host),
    ...security.warnings,
    ...capabilityWarnings(hostConfig, facts.host),
    ...networkWarnings(hostConfig),
  ];
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** A name as given, with or without the leading `/`; returns it without. */
export function validateContainerName(given: string): string {
  const name = given.startsWith('/') ? given.slice(1) : given;
  if (namePattern.test(name)) return name;
  throw invalid(`Invalid container name (${given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
}

function validateConfig(config: ContainerConfig): void {
  validateHostname(config.Hostname, 'hostname');
  validateHostname(config.Domainname, 'domainname');
  validateProcess({ ...config, Cmd: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])] });
  if (config.StopSignal !== undefined && config.StopSignal !== '') parseSignal(config.StopSignal);
}

/** What a container's own process and an exec have in common. */
export function validateProcess(process: Pick<ContainerConfig, 'Env' | 'User' | 'WorkingDir'> & { readonly Cmd: readonly string[] }): void {
  validateWorkingDir(process.WorkingDir);
  if (process.User.includes('\0')) throw invalid('the user is invalid, it holds a NUL byte');
  for (const entry of process.Env) {
    if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`);
    // The value may be a secret: only its name is told.
    if (entry.includes('\0')) throw invalid(`invalid environment variable: ${entry.split(/[=\0]/)[0]} holds a NUL byte`);
  }
  for (const argument of process.Cmd) {
    if (argument.includes('\0')) throw invalid('invalid command: an argument holds a NUL byte');
  }
}

function validateWorkingDir(path: string): void {
  if (path === '') return;
  if (!path.startsWith('/')) throw invalid(`the working directory '${path}' is invalid, it needs to be an absolute path`);
  if (path.includes('\0')) throw invalid('the working directory is invalid, it holds a NUL byte');
}

/** The kernel takes 64 bytes of anything; a name with a blank or a slash would break /etc/hosts. Underscores are allowed, as Docker does. */
function validateHostname(name: string, what: 'hostname' | 'domainname'): void {
  if (Buffer.byteLength(name) > 64 || !/^[^\s/\x00-\x1f\x7f]*$/.test(name))
    throw invalid(`invalid ${what} format: ${JSON.stringify(name)}`);
}

function validateHealthcheck(check: Healthcheck | undefined): void {
  if (check === undefined) return;
  const durations = ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const;
  for (const field of durations) {
    const nanoseconds = check[field] ?? 0;
    if (nanoseconds !== 0 && nanoseconds < 1_000_000) throw invalid(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((check.Retries ?? 0) < 0) throw invalid('Retries in Healthcheck cannot be negative');
}

function validateModes(config: ContainerConfig, hostConfig: HostConfig): void {
  const { NetworkMode: network, PidMode: pid, IpcMode: ipc, UTSMode: uts, CgroupnsMode: cgroupns, Isolation: isolation } = hostConfig;
  if (!['', 'default'].includes(isolation)) throw invalid(`invalid isolation '${isolation}' on linux`);
  if (!['', 'host'].includes(pid) && !namesContainer(pid)) throw invalid(`invalid PID mode: ${pid}`);
  if (!['', 'none', 'private', 'shareable', 'host'].includes(ipc) && !namesContainer(ipc)) throw invalid(`Invalid IPC mode: ${ipc}`);
  if (!['', 'host'].includes(uts)) throw invalid(`invalid UTS mode: ${uts}`);
  if (!['', 'host', 'private'].includes(cgroupns)) throw invalid(`invalid cgroup namespace mode: ${cgroupns}`);
  if (network.startsWith('container:') && !namesContainer(network)) throw invalid('invalid container format container:<name|id>');
  if (uts === 'host' && config.Hostname !== '') throw invalid('conflicting options: hostname and the UTS mode');
  if (network === 'host' && (hostConfig.Links ?? []).length > 0) {
    throw invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior");
  }
  if (namesContainer(network)) refuseWithJoinedNetwork(config, hostConfig);
}

function namesContainer(mode: string): boolean {
  return mode.startsWith('container:') && mode.length > 'container:'.length;
}

function refuseWithJoinedNetwork(config: ContainerConfig, hostConfig: HostConfig): void {
  const conflicts: readonly [boolean, string][] = [
    [config.Hostname !== '', 'hostname and the network mode'],
    [(hostConfig.Links ?? []).length > 0, "container type network can't be used with links. This would result in undefined behavior"],
    [hostConfig.Dns.length > 0, 'dns and the network mode'],
    [(hostConfig.ExtraHosts ?? []).length > 0, 'custom host-to-IP mapping and the network mode'],
    [hostConfig.PublishAllPorts || Object.keys(hostConfig.PortBindings).length > 0, 'port publishing and the container type network mode'],
    [Object.keys(config.ExposedPorts ?? {}).length > 0, 'port exposing and the container type network mode'],
  ];
  const found = conflicts.find(([applies]) => applies);
  if (found !== undefined) throw invalid(`conflicting options: ${found[1]}`);
}

const restartPolicies: readonly string[] = ['', 'no', 'always', 'unless-stopped', 'on-failure'];

export function validateRestartPolicy({
  RestartPolicy: policy,
  AutoRemove: autoRemove,
}: Pick<HostConfig, 'RestartPolicy' | 'AutoRemove'>): void {
  if (!restartPolicies.includes(policy.Name)) {
    throw invalid(`invalid restart policy: unknown policy '${policy.Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  }
  if (policy.MaximumRetryCount < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  if (policy.MaximumRetryCount > 0 && policy.Name !== 'on-failure') {
    throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (autoRemove && !['', 'no'].includes(policy.Name)) throw conflict("can't create 'AutoRemove' container with restart policy");
}

/** Sources of bind mounts that are not made when they are missing. Mounts that are wrong are told by `validateCreate`, in its order. */
export function requiredBindSources(hostConfig: HostConfig): readonly string[] {
  try {
    return requestedMounts(hostConfig).flatMap((mount) => (mount.kind === 'bind' && !mount.createSource ? [mount.source] : []));
  } catch {
    return [];
  }
}

function validateMountSources(hostConfig: HostConfig, { pathExists }: CreateFacts): void {
  for (const mount of requestedMounts(hostConfig)) {
    if (mount.kind !== 'bind' || mount.createSource || pathExists(mount.source)) continue;
    throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
  }
}

function capabilityWarnings(hostConfig: HostConfig, host: HostFacts): string[] {
  const { withheld } = capabilitySet(hostConfig, host.capabilities);
  if (withheld.length === 0) return [];
  return [`This host withholds ${withheld.join(', ')} from Gantry: the container runs without.`];
}

function networkWarnings({ NetworkMode: mode, PortBindings: bindings, PublishAllPorts: all }: HostConfig): string[] {
  const published = all || Object.keys(bindings).length > 0;
  return mode === 'host' && published ? ['Published ports are discarded when using host network mode'] : [];
}
