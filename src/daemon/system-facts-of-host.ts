/** Finds out what `/info` and `/version` tell: read once, when the daemon starts. */
import { readFileSync, statSync } from 'node:fs';
import { arch, availableParallelism, hostname, machine, release, totalmem } from 'node:os';
import type { SystemFacts } from '../api/system-facts.ts';
import { hasAppArmor } from '../linux/apparmor.ts';
import type { CgroupFacts } from '../linux/cgroup-facts.ts';
import type { NetFacts } from '../network/net-calls.ts';
import type { RuntimeNames } from '../runtime/runtime-names.ts';
import { buildName, engineVersion } from './build-facts.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { DataRoot } from './data-root.ts';
import { maskedUrl } from './registry-options.ts';

/** What the network service found and was told. */
export interface HostNetworkFacts {
  readonly facts: NetFacts;
  readonly addressPools: SystemFacts['network']['addressPools'];
  readonly firewall: boolean;
}

/** What a reload may change. */
export function liveFacts(options: DaemonOptions): Pick<SystemFacts, 'labels' | 'liveRestore' | 'debug' | 'registries'> {
  const { labels, liveRestore, logLevel } = options;
  return { labels, liveRestore, debug: logLevel === 'debug', registries: registryFacts(options) };
}

function registryFacts({ registries: { settings } }: DaemonOptions): SystemFacts['registries'] {
  const { mirrors, insecure, proxies } = settings;
  return {
    mirrors,
    insecureHosts: insecure.filter((entry) => !entry.includes('/')),
    insecureSubnets: insecure.filter((entry) => entry.includes('/')),
    httpProxy: maskedUrl(proxies.http ?? ''),
    httpsProxy: maskedUrl(proxies.https ?? ''),
    noProxy: proxies.noProxy.join(','),
  };
}

export function reloadAttributes(options: DaemonOptions, name: string) {
  const { labels, liveRestore, logLevel, shutdownTimeoutSeconds, registries } = options;
  return {
    debug: String(logLevel === 'debug'),
    'insecure-registries': JSON.stringify(registries.settings.insecure),
    labels: JSON.stringify(labels),
    'live-restore': String(liveRestore),
    'max-concurrent-downloads': String(registries.maxConcurrentDownloads),
    'max-concurrent-uploads': String(registries.maxConcurrentUploads),
    'max-download-attempts': String(registries.settings.maxAttempts),
    name,
    'registry-mirrors': JSON.stringify(registries.settings.mirrors),
    'shutdown-timeout': String(shutdownTimeoutSeconds),
  };
}

export function systemFactsOfHost(
  options: DaemonOptions,
  dataRoot: DataRoot,
  cgroups: CgroupFacts,
  network: HostNetworkFacts,
  runtimes: { readonly names: RuntimeNames; readonly warnings: () => readonly string[] },
): SystemFacts {
  const os = readOsRelease();
  return {
    daemonId: dataRoot.daemonId,
    engineVersion,
    gitCommit: buildName,
    buildTime: programTime(),
    startedAt: new Date(),
    runtimeVersion: `node ${process.version}`,
    kernelVersion: release(),
    operatingSystem: os.get('PRETTY_NAME') ?? 'Linux',
    osVersion: os.get('VERSION_ID') ?? '',
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    machine: machine(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    hostname: hostname(),
    dataRoot: dataRoot.path,
    ...liveFacts(options),
    cgroupVersion: cgroups.version,
    limits: limitsOf(cgroups),
    securityOptions: [
      ...(hasAppArmor() ? ['name=apparmor'] : []),
      `name=seccomp,profile=${seccompName(options.security.seccomp)}`,
      ...(cgroups.version === '2' ? ['name=cgroupns'] : []),
    ],
    runtimes: runtimes.names.list(),
    runtimeWarnings: runtimes.warnings,
    defaultRuntime: runtimes.names.defaultName,
    backingFilesystem: dataRoot.backingFilesystem,
    loggingDriver: options.containerLogs.Type,
    warnings: [...cgroups.warnings, ...network.facts.warnings],
    network: {
      drivers: networkDrivers(network.facts),
      addressPools: network.addressPools,
      firewallBackend: network.firewall ? 'nftables' : 'none',
    },
  };
}

function networkDrivers({ drivers }: NetFacts): readonly string[] {
  const present = [drivers.bridge && 'bridge', 'host', drivers.ipvlan && 'ipvlan', drivers.macvlan && 'macvlan', 'null'];
  return present.filter((name) => name !== false);
}

/** A bundle is made where it runs, so its file tells when. */
function programTime(): Date {
  return statSync(process.argv[1] ?? process.execPath).mtime;
}

function limitsOf(cgroups: CgroupFacts): SystemFacts['limits'] {
  return {
    memory: cgroups.memoryLimit,
    swap: cgroups.swapLimit,
    oomKillDisable: cgroups.oomKillDisable,
    cpuQuota: cgroups.cpuCfsQuota,
    cpuShares: cgroups.cpuShares,
    cpuset: cgroups.cpuSet,
    pids: cgroups.pidsLimit,
  };
}

function readOsRelease(): ReadonlyMap<string, string> {
  let text = '';
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      text = readFileSync(path, 'utf8');
      break;
    } catch {
      // A host without one is still a Linux.
    }
  }
  const lines = text.split('\n').map((line) => /^(\w+)=["']?(.*?)["']?$/.exec(line));
  return new Map(lines.flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const])));
}

function seccompName(profile: DaemonOptions['security']['seccomp']): string {
  if (profile === null) return 'builtin';
  return profile === 'unconfined' ? profile : 'custom';
}
