/** `/_ping`, `/version`, `/info`: who we are and what we stand on. */
import { readdir, readFile } from 'node:fs/promises';
import { logDriverNames } from '../../containers/logging/log-drivers.ts';
import { formatApiVersion, newestApiMinor, oldestApiMinor } from '../../wire/api-version.ts';
import { formatTime } from '../../wire/timestamps.ts';
import { deviceFacts } from '../device-facts.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import type { SystemFacts } from '../system-facts.ts';

export function systemRoutes(services: ApiServices): readonly Route[] {
  return [
    { method: 'GET', pattern: '/_ping', body: 'any', handle: ping },
    { method: 'HEAD', pattern: '/_ping', body: 'any', handle: ping },
    { method: 'GET', pattern: '/version', body: 'any', handle: async (exchange) => exchange.sendJson(200, versionJson(services.system)) },
    {
      method: 'GET',
      pattern: '/info',
      body: 'any',
      handle: async (exchange) => exchange.sendJson(200, await infoJson(services, exchange.apiMinor)),
    },
  ];
}

function warningsOf({ warnings, runtimeWarnings }: SystemFacts, more: readonly string[]): readonly string[] | null {
  const all = [...warnings, ...runtimeWarnings(), ...more];
  return all.length === 0 ? null : all;
}

/** Answers without touching anything: it tells that the daemon is alive, under any load. */
async function ping({ request, response }: Exchange): Promise<void> {
  response.writeHead(200, {
    'Builder-Version': '1',
    Swarm: 'inactive',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': request.method === 'HEAD' ? 0 : 2,
  });
  response.end(request.method === 'HEAD' ? undefined : 'OK');
}

function versionJson(system: SystemFacts): object {
  const common = {
    Version: system.engineVersion,
    ApiVersion: formatApiVersion(newestApiMinor),
    MinAPIVersion: formatApiVersion(oldestApiMinor),
    GitCommit: system.gitCommit,
    GoVersion: system.runtimeVersion,
    Os: 'linux',
    Arch: system.architecture,
    KernelVersion: system.kernelVersion,
    BuildTime: formatTime(system.buildTime),
  };
  const { Version, ...details } = common;
  return {
    Platform: { Name: 'Gantry' },
    Components: [{ Name: 'Engine', Version, Details: { ...details, Experimental: 'false' } }],
    ...common,
  };
}

async function infoJson(services: ApiServices, apiMinor: number): Promise<object> {
  const { system, containers, images, events, volumes } = services;
  const counts = containers.counts();
  // Older clients are told nothing of devices: for them nobody looks.
  const devices = apiMinor >= 50 ? await deviceFacts(services.devices) : { discovered: [], warnings: [] };
  return {
    ID: system.daemonId,
    Containers: counts.running + counts.paused + counts.stopped,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: images.list().length,
    Driver: 'overlay2',
    DriverStatus: [
      ['Backing Filesystem', system.backingFilesystem],
      ['Supports d_type', 'true'],
      ['Native Overlay Diff', 'true'],
    ],
    SystemStatus: apiMinor < 43 ? null : undefined,
    Plugins: { Volume: volumes.drivers, Network: system.network.drivers, Authorization: null, Log: logDriverNames },
    ...limitFacts(system, apiMinor),
    ...(await networkFacts(system, apiMinor)),
    Debug: system.debug,
    NFd: await openDescriptors(),
    NGoroutines: 0,
    NEventsListener: events.listenerCount,
    SystemTime: formatTime(new Date()),
    LoggingDriver: system.loggingDriver,
    CgroupDriver: 'cgroupfs',
    CgroupVersion: system.cgroupVersion,
    ...hostFacts(system),
    ...registryFacts(system),
    ...runtimeFacts(system, apiMinor),
    SecurityOptions: system.securityOptions,
    Warnings: warningsOf(system, devices.warnings),
    ...(apiMinor >= 44 ? { CDISpecDirs: services.devices.specDirectories } : {}),
    ...(devices.discovered.length > 0 ? { DiscoveredDevices: devices.discovered } : {}),
  };
}

function limitFacts({ limits }: SystemFacts, apiMinor: number): object {
  return {
    MemoryLimit: limits.memory,
    SwapLimit: limits.swap,
    ...(apiMinor < 42 ? { KernelMemory: false, KernelMemoryTCP: false } : {}),
    CpuCfsPeriod: limits.cpuQuota,
    CpuCfsQuota: limits.cpuQuota,
    CPUShares: limits.cpuShares,
    CPUSet: limits.cpuset,
    PidsLimit: limits.pids,
    OomKillDisable: limits.oomKillDisable,
  };
}

async function networkFacts({ network }: SystemFacts, apiMinor: number): Promise<object> {
  return {
    // Docker tells what was configured; the built-in ranges are nobody's choice.
    ...(network.addressPools.length === 0
      ? {}
      : { DefaultAddressPools: network.addressPools.map(({ base, size }) => ({ Base: base, Size: size })) }),
    ...(apiMinor >= 49 ? { FirewallBackend: { Driver: network.firewallBackend } } : {}),
    IPv4Forwarding: await kernelSwitch('/proc/sys/net/ipv4/ip_forward'),
    ...(apiMinor >= 50
      ? {}
      : {
          BridgeNfIptables: await kernelSwitch('/proc/sys/net/bridge/bridge-nf-call-iptables'),
          BridgeNfIp6tables: await kernelSwitch('/proc/sys/net/bridge/bridge-nf-call-ip6tables'),
        }),
  };
}

function hostFacts(system: SystemFacts): object {
  return {
    KernelVersion: system.kernelVersion,
    OperatingSystem: system.operatingSystem,
    OSVersion: system.osVersion,
    OSType: 'linux',
    Architecture: system.machine,
    NCPU: system.cpus,
    MemTotal: system.memoryBytes,
    GenericResources: null,
    DockerRootDir: system.dataRoot,
    HttpProxy: system.registries.httpProxy,
    HttpsProxy: system.registries.httpsProxy,
    NoProxy: system.registries.noProxy,
    Name: system.hostname,
    Labels: system.labels,
    ExperimentalBuild: false,
    ServerVersion: system.engineVersion,
    ProductLicense: 'Apache-2.0',
  };
}

function registryFacts({ registries: { mirrors, insecureHosts, insecureSubnets } }: SystemFacts): object {
  const insecure = insecureHosts.map((name) => [name, { Name: name, Mirrors: [], Secure: false, Official: false }]);
  return {
    // Clients take the key of Docker Hub's credentials from here.
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: {
      AllowNondistributableArtifactsCIDRs: [],
      AllowNondistributableArtifactsHostnames: [],
      InsecureRegistryCIDRs: [...new Set([...insecureSubnets, '::1/128', '127.0.0.0/8'])],
      IndexConfigs: {
        ...Object.fromEntries(insecure),
        'docker.io': { Name: 'docker.io', Mirrors: mirrors, Secure: true, Official: true },
      },
      Mirrors: mirrors,
    },
  };
}

function runtimeFacts(system: SystemFacts, apiMinor: number): object {
  const commit = (id: string) => (apiMinor < 49 ? { ID: id, Expected: id } : { ID: id });
  return {
    Runtimes: Object.fromEntries(
      system.runtimes.map(({ name, path, args }) => [name, { path, ...(args.length === 0 ? {} : { runtimeArgs: args }) }]),
    ),
    DefaultRuntime: system.defaultRuntime,
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '', RemoteManagers: null },
    LiveRestoreEnabled: system.liveRestore,
    Isolation: '',
    InitBinary: 'docker-init',
    // There is neither containerd nor runc nor tini: our commit stands for what replaces them.
    ContainerdCommit: commit(''),
    RuncCommit: commit(system.gitCommit),
    InitCommit: commit(''),
  };
}

async function kernelSwitch(path: string): Promise<boolean> {
  return (await readFile(path, 'utf8').catch(() => '0')).trim() === '1';
}

async function openDescriptors(): Promise<number> {
  return (await readdir('/proc/self/fd').catch(() => [])).length;
}
