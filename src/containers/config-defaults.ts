/** The configuration of a container that asks for nothing: every field at the value Docker treats as "not given". */
import type { ContainerConfig, ExecConfig, HostConfig } from './config.ts';

export function defaultContainerConfig(given: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    Hostname: '',
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: [],
    Cmd: null,
    Image: '',
    WorkingDir: '',
    Entrypoint: null,
    Labels: {},
    ...given,
  };
}

export function defaultHostConfig(given: Partial<HostConfig> = {}): HostConfig {
  return { ...namespacesAndSecurity(), ...noResources(), ...storageAndNetwork(), ...given };
}

function namespacesAndSecurity() {
  return {
    CapAdd: null,
    CapDrop: null,
    CgroupnsMode: '',
    Cgroup: '',
    GroupAdd: null,
    IpcMode: '',
    Isolation: '',
    MaskedPaths: null,
    OomScoreAdj: 0,
    PidMode: '',
    Privileged: false,
    ReadonlyPaths: null,
    ReadonlyRootfs: false,
    Runtime: '',
    SecurityOpt: null,
    UTSMode: '',
    UsernsMode: '',
  };
}

/** Neither limits nor devices. */
export function noResources() {
  return {
    BlkioDeviceReadBps: null,
    BlkioDeviceReadIOps: null,
    BlkioDeviceWriteBps: null,
    BlkioDeviceWriteIOps: null,
    BlkioWeight: 0,
    BlkioWeightDevice: null,
    CgroupParent: '',
    CpuCount: 0,
    CpuPercent: 0,
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpuShares: 0,
    CpusetCpus: '',
    CpusetMems: '',
    DeviceCgroupRules: null,
    DeviceRequests: null,
    Devices: null,
    IOMaximumBandwidth: 0,
    IOMaximumIOps: 0,
    Memory: 0,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    NanoCpus: 0,
    OomKillDisable: null,
    PidsLimit: null,
    ShmSize: 0,
    Ulimits: null,
  };
}

function storageAndNetwork() {
  return {
    AutoRemove: false,
    Binds: null,
    ConsoleSize: [0, 0] as [number, number],
    ContainerIDFile: '',
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    Links: null,
    LogConfig: { Type: '', Config: {} },
    NetworkMode: '',
    PortBindings: {},
    PublishAllPorts: false,
    RestartPolicy: { Name: '', MaximumRetryCount: 0 },
    VolumeDriver: '',
    VolumesFrom: null,
  };
}

export function defaultExecConfig(given: Partial<ExecConfig> = {}): ExecConfig {
  return {
    User: '',
    Privileged: false,
    Tty: false,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    DetachKeys: '',
    Env: [],
    WorkingDir: '',
    Cmd: [],
    ...given,
  };
}
