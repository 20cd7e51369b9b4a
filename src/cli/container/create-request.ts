/** Flags and arguments of `run` and `create` → the body of `POST /containers/create`. What is not given is left out or zero, and then means the daemon's default. */
import { resolve } from 'node:path';
import { parseByteSize } from '../../base/byte-size.ts';
import { parseGoDuration } from '../../base/parse-go-duration.ts';
import { isDeviceName } from '../../oci/device-name.ts';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import type { CommandContext } from '../command.ts';
import { proxyEnvironment } from '../config/proxy-environment.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { parseByteSizeOrUnlimited, parseCpus } from '../parse/byte-size.ts';
import {
  parseDevice,
  parseDeviceRule,
  parseGpus,
  parseThrottleBps,
  parseThrottleIops,
  parseUlimit,
  parseWeightDevice,
} from '../parse/device-options.ts';
import { collectEnvironment, collectLabels, keyValueMap, validateEnvironmentEntry } from '../parse/environment.ts';
import {
  capabilityNames,
  parseDnsServer,
  parseExtraHost,
  parseLabel,
  parseLink,
  parseSearchDomain,
  parseSysctl,
} from '../parse/host-options.ts';
import { parseMountOption } from '../parse/mount-option.ts';
import { endpointsConfig, isUserDefined, type NetworkOption, parseNetworkOption } from '../parse/network-option.ts';
import { planPorts } from '../parse/port-option.ts';
import { parseRestartPolicy } from '../parse/restart-policy.ts';
import { collectSecurityOptions } from '../parse/security-options.ts';
import { planVolumes } from '../parse/volume-option.ts';

export interface AttachPlan {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface CreateRequest {
  readonly body: Record<string, unknown>;
  readonly attach: AttachPlan;
}

/** `consoleSize`: rows and columns of our terminal, sent when the container gets one. */
export function buildCreateRequest(
  { flags, args, io, config: settings, address }: Pick<CommandContext, 'flags' | 'args' | 'io' | 'config' | 'address'>,
  consoleSize: readonly [number, number],
): CreateRequest {
  refuseUnsupported(flags);
  const [image = '', ...command] = args;
  const attach = planAttach(flags);
  const ports = complainAbout(() => planPorts(flags.list('publish'), flags.list('expose')));
  const volumes = complainAbout(() => planVolumes(flags.list('volume'), io.cwd));
  const networks = planNetworks(flags);
  const config = {
    ...containerConfig(flags, io, attach, (given) => proxyEnvironment(settings, address, given)),
    Cmd: command.length > 0 ? command : null,
    Image: image,
    Volumes: volumes.anonymous,
    ...(Object.keys(ports.exposed).length > 0 ? { ExposedPorts: ports.exposed } : {}),
  };
  const hostConfig = {
    ...hostConfigOf(flags, io),
    ...resources(flags),
    Binds: volumes.binds.length > 0 ? volumes.binds : null,
    PortBindings: ports.bindings,
    NetworkMode: networks[0]?.target ?? 'default',
    ConsoleSize: flags.bool('tty') ? consoleSize : [0, 0],
  };
  const endpoints = complainAbout(() => endpointsConfig(networks));
  refuseWindowsOptions(flags);
  return { body: { ...config, HostConfig: hostConfig, NetworkingConfig: { EndpointsConfig: endpoints } }, attach };
}

/** What only concerns this client, or concerns nobody any more. Everything else is sent, and the daemon refuses what it lacks. */
function refuseUnsupported(flags: FlagValues): void {
  if (flags.has('kernel-memory'))
    throw new CliError('--kernel-memory is not supported: kernels have no such limit any more, use --memory', 125);
  if (flags.has('disable-content-trust') && !flags.bool('disable-content-trust'))
    throw new CliError('--disable-content-trust=false is not supported: signatures are not checked', 125);
}

/** After everything else was read: a value that is no value is told first, as Docker's client does. */
function refuseWindowsOptions(flags: FlagValues): void {
  const foreign = ['cpu-count', 'cpu-percent', 'io-maxbandwidth', 'io-maxiops'].find((name) => flags.has(name));
  if (foreign !== undefined) {
    const where = 'is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux';
    throw new CliError(`"--${foreign}" ${where}`, 1, { plain: true });
  }
}

function complainAbout<T>(plan: () => T): T {
  try {
    return plan();
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(error instanceof Error ? error.message : String(error), 125, { cause: error });
  }
}

function planAttach(flags: FlagValues): AttachPlan {
  const wanted = new Set(
    flags.parsedList('attach', (text) => {
      const name = text.toLowerCase();
      if (!['stdin', 'stdout', 'stderr'].includes(name)) throw new Error('valid streams are STDIN, STDOUT and STDERR');
      return name;
    }),
  );
  const both = wanted.size === 0;
  return {
    stdin: wanted.has('stdin') || flags.bool('interactive'),
    stdout: both || wanted.has('stdout'),
    stderr: both || wanted.has('stderr'),
  };
}

function containerConfig(
  flags: FlagValues,
  io: Pick<CliIo, 'env'>,
  attach: AttachPlan,
  proxies: (given: readonly string[]) => string[],
): Record<string, unknown> {
  const stdin = flags.bool('interactive');
  const given = flags.parsedList('env', validateEnvironmentEntry);
  const named = collectEnvironment(flags.list('env-file'), given, io.env);
  const env = lastOfEach([...proxies(given), ...named]);
  const entrypoint = flags.has('entrypoint') ? [flags.string('entrypoint')] : null;
  const healthcheck = healthcheckOf(flags);
  return {
    Hostname: flags.string('hostname'),
    Domainname: flags.string('domainname'),
    User: flags.string('user'),
    AttachStdin: attach.stdin,
    AttachStdout: attach.stdout,
    AttachStderr: attach.stderr,
    Tty: flags.bool('tty'),
    OpenStdin: stdin,
    StdinOnce: stdin && attach.stdin,
    Env: env.length > 0 ? env : null,
    WorkingDir: flags.string('workdir'),
    Entrypoint: entrypoint,
    Labels: { ...collectLabels(flags.list('label-file'), flags.parsedList('label', parseLabel)), ...leaseLabels(flags) },
    ...(healthcheck === null ? {} : { Healthcheck: healthcheck }),
    ...(flags.has('stop-signal') ? { StopSignal: flags.string('stop-signal') } : {}),
    ...(flags.has('stop-timeout') ? { StopTimeout: flags.int('stop-timeout') } : {}),
  };
}

/** What the daemon keeps with the container, and ends it by. */
function leaseLabels(flags: FlagValues): Record<string, string> {
  const ttl = flags.parsed('ttl', (text) => {
    if (parseGoDuration(text) <= 0) throw new Error('it must be above zero');
    return text;
  });
  return { ...(ttl === undefined ? {} : { 'gantry.ttl': ttl }), ...(flags.has('lease') ? { 'gantry.lease': flags.string('lease') } : {}) };
}

/** A variable that is given twice means its last value. */
function lastOfEach(entries: readonly string[]): string[] {
  return [...new Map(entries.map((entry) => [entry.split('=', 1)[0], entry])).values()];
}

function healthcheckOf(flags: FlagValues): Record<string, unknown> | null {
  const duration = (name: string): number => {
    const value = flags.parsed(name, parseGoDuration) ?? 0;
    if (value < 0) throw new CliError(`--${name} cannot be negative`, 125);
    return value;
  };
  const check = withoutZeros({
    Test: flags.string('health-cmd') === '' ? 0 : ['CMD-SHELL', flags.string('health-cmd')],
    Interval: duration('health-interval'),
    Timeout: duration('health-timeout'),
    StartPeriod: duration('health-start-period'),
    StartInterval: duration('health-start-interval'),
    Retries: flags.int('health-retries'),
  });
  const given = Object.keys(check).length > 0;
  if (flags.bool('no-healthcheck')) {
    if (given) throw new CliError('--no-healthcheck conflicts with --health-* options', 125);
    return { Test: ['NONE'] };
  }
  if (flags.int('health-retries') < 0) throw new CliError('--health-retries cannot be negative', 125);
  return given ? check : null;
}

function withoutZeros(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
}

function hostConfigOf(flags: FlagValues, io: Pick<CliIo, 'cwd'>): Record<string, unknown> {
  if (flags.string('log-driver') === 'none' && flags.has('log-opt')) throw new CliError('invalid logging opts for driver none', 125);
  const security = collectSecurityOptions(flags.list('security-opt').map((option) => resolveSeccompPath(option, io.cwd)));
  const restart = complainAbout(() => parseRestartPolicy(flags.string('restart')));
  if (flags.bool('rm') && restart.Name !== '' && restart.Name !== 'no')
    throw new CliError('conflicting options: cannot specify both --restart and --rm', 125);
  const mounts = flags
    .parsedList('mount', parseMountOption)
    .map((mount) => (mount.Type === 'bind' && mount.Source?.startsWith('.') ? { ...mount, Source: resolve(io.cwd, mount.Source) } : mount));
  const tmpfs = keyValueBy(flags.list('tmpfs'), ':');
  const storage = flags.list('storage-opt');
  if (storage.some((option) => !option.includes('='))) throw new CliError('invalid storage option', 125);
  return {
    ContainerIDFile: flags.string('cidfile'),
    LogConfig: { Type: flags.string('log-driver'), Config: keyValueMap(flags.list('log-opt')) },
    RestartPolicy: restart,
    AutoRemove: flags.bool('rm'),
    VolumeDriver: flags.string('volume-driver'),
    VolumesFrom: orNull(flags.list('volumes-from')),
    ...optionalMap('Annotations', keyValueMap(flags.list('annotation'))),
    ...(mounts.length > 0 ? { Mounts: mounts } : {}),
    CapAdd: orNull(capabilityNames(flags.list('cap-add'))),
    CapDrop: orNull(capabilityNames(flags.list('cap-drop'))),
    CgroupnsMode: namespaceMode(flags, 'cgroupns', /^(|host|private)$/, 'CGROUP'),
    Dns: flags.parsedList('dns', parseDnsServer),
    DnsOptions: [...flags.list('dns-option'), ...flags.list('dns-opt')],
    DnsSearch: flags.parsedList('dns-search', parseSearchDomain),
    ExtraHosts: orNull(flags.parsedList('add-host', parseExtraHost)),
    GroupAdd: orNull(flags.list('group-add')),
    IpcMode: flags.string('ipc'),
    Links: orNull(flags.parsedList('link', parseLink)),
    OomScoreAdj: flags.int('oom-score-adj'),
    PidMode: namespaceMode(flags, 'pid', /^(|host|container:.+)$/, 'PID'),
    Privileged: flags.bool('privileged'),
    PublishAllPorts: flags.bool('publish-all'),
    ReadonlyRootfs: flags.bool('read-only'),
    SecurityOpt: security.options,
    ...(storage.length > 0 ? { StorageOpt: keyValueMap(storage) } : {}),
    ...optionalMap('Tmpfs', tmpfs),
    UTSMode: namespaceMode(flags, 'uts', /^(|host)$/, 'UTS'),
    UsernsMode: namespaceMode(flags, 'userns', /^(|host|auto(:size=\d+)?)$/, 'USER'),
    ShmSize: flags.parsed('shm-size', parseByteSize) ?? 0,
    ...optionalMap('Sysctls', keyValueMap(flags.parsedList('sysctl', parseSysctl))),
    ...(flags.has('runtime') ? { Runtime: flags.string('runtime') } : {}),
    Isolation: flags.string('isolation'),
    MaskedPaths: security.unconfinedPaths ? [] : null,
    ReadonlyPaths: security.unconfinedPaths ? [] : null,
    ...(flags.has('init') ? { Init: flags.bool('init') } : {}),
  };
}

function resources(flags: FlagValues): Record<string, unknown> {
  const swappiness = flags.int('memory-swappiness');
  if (swappiness !== -1 && (swappiness < 0 || swappiness > 100))
    throw new CliError(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`, 125);
  const devices = flags.list('device');
  const cdi = devices.filter(isDeviceName);
  const requests = [
    ...flags.parsedList('gpus', parseGpus),
    ...(cdi.length > 0 ? [{ Driver: 'cdi', Count: 0, DeviceIDs: cdi, Capabilities: null, Options: null }] : []),
  ];
  const ulimits = new Map(flags.parsedList('ulimit', parseUlimit).map((ulimit) => [ulimit.Name, ulimit]));
  return {
    CpuShares: flags.int('cpu-shares'),
    Memory: flags.parsed('memory', parseByteSize) ?? 0,
    NanoCpus: flags.parsed('cpus', parseCpus) ?? 0,
    CgroupParent: flags.string('cgroup-parent'),
    BlkioWeight: flags.int('blkio-weight'),
    BlkioWeightDevice: flags.parsedList('blkio-weight-device', parseWeightDevice),
    BlkioDeviceReadBps: flags.parsedList('device-read-bps', parseThrottleBps),
    BlkioDeviceWriteBps: flags.parsedList('device-write-bps', parseThrottleBps),
    BlkioDeviceReadIOps: flags.parsedList('device-read-iops', parseThrottleIops),
    BlkioDeviceWriteIOps: flags.parsedList('device-write-iops', parseThrottleIops),
    CpuPeriod: flags.int('cpu-period'),
    CpuQuota: flags.int('cpu-quota'),
    CpuRealtimePeriod: flags.int('cpu-rt-period'),
    CpuRealtimeRuntime: flags.int('cpu-rt-runtime'),
    CpusetCpus: flags.string('cpuset-cpus'),
    CpusetMems: flags.string('cpuset-mems'),
    Devices: devices.filter((device) => !isDeviceName(device)).map((device) => complainAbout(() => parseDevice(device))),
    DeviceCgroupRules: orNull(flags.parsedList('device-cgroup-rule', parseDeviceRule)),
    DeviceRequests: requests.length > 0 ? requests : null,
    MemoryReservation: flags.parsed('memory-reservation', parseByteSize) ?? 0,
    MemorySwap: flags.parsed('memory-swap', parseByteSizeOrUnlimited) ?? 0,
    MemorySwappiness: swappiness,
    OomKillDisable: flags.bool('oom-kill-disable'),
    PidsLimit: flags.int('pids-limit'),
    Ulimits: [...ulimits.values()].sort((a, b) => (a.Name < b.Name ? -1 : 1)),
    CpuCount: flags.int('cpu-count'),
    CpuPercent: flags.int('cpu-percent'),
    IOMaximumIOps: flags.int('io-maxiops'),
    IOMaximumBandwidth: flags.parsed('io-maxbandwidth', parseByteSize) ?? 0,
  };
}

function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length > 0 ? list : null;
}

function optionalMap(name: string, map: Record<string, string>): Record<string, unknown> {
  return Object.keys(map).length > 0 ? { [name]: map } : {};
}

function keyValueBy(entries: readonly string[], separator: string): Record<string, string> {
  const map: Record<string, string> = Object.create(null);
  for (const entry of entries) {
    const at = entry.indexOf(separator);
    map[at === -1 ? entry : entry.slice(0, at)] = at === -1 ? '' : entry.slice(at + 1);
  }
  return map;
}

function namespaceMode(flags: FlagValues, name: string, pattern: RegExp, label: string): string {
  const mode = flags.string(name);
  if (!pattern.test(mode)) throw new CliError(`--${name}: invalid ${label} mode`, 125);
  return mode;
}

function planNetworks(flags: FlagValues): NetworkOption[] {
  const given = [...flags.parsedList('network', parseNetworkOption), ...flags.parsedList('net', parseNetworkOption)];
  const networks = given.length > 0 ? given : [parseNetworkOption('default')];
  const first = networks[0];
  if (first !== undefined) applyOlderFlags(first, flags);
  return networks;
}

/** `--ip`, `--network-alias` and their like mean the first network. */
function applyOlderFlags(network: NetworkOption, flags: FlagValues): void {
  const conflict = (flag: string, what: string): CliError =>
    new CliError(`conflicting options: cannot specify both --${flag} and per-network ${what}`, 125);
  const aliases = [...flags.list('network-alias'), ...flags.list('net-alias')];
  if (aliases.length > 0 && network.aliases.length > 0) throw conflict('network-alias', 'alias');
  if (flags.has('ip') && network.ipv4 !== '') throw conflict('ip', 'IPv4 address');
  if (flags.has('ip6') && network.ipv6 !== '') throw conflict('ip6', 'IPv6 address');
  if (flags.has('mac-address') && network.macAddress !== '') throw conflict('mac-address', 'MAC address');
  if (flags.has('link-local-ip') && network.linkLocal.length > 0) throw conflict('link-local-ip', 'link-local IP addresses');
  network.aliases.push(...aliases);
  network.linkLocal.push(...flags.list('link-local-ip'));
  if (isUserDefined(network.target)) network.links.push(...flags.parsedList('link', parseLink));
  network.ipv4 ||= flags.string('ip');
  network.ipv6 ||= flags.string('ip6');
  network.macAddress ||= flags.string('mac-address').trim();
}

function resolveSeccompPath(option: string, cwd: string): string {
  const match = /^seccomp[=:](?!unconfined$|builtin$)([^/].*)$/.exec(option);
  return match === null ? option : `seccomp=${cwd}/${match[1]}`;
}
