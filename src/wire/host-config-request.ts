/** `HostConfig` of `POST /containers/create`: what a container gets from this host. */
import Type, { type Static } from 'typebox';
import { invalid } from '../base/errors.ts';
import { Int64, StringList, StringMap } from './decode.ts';
import { normalisePortBindings, PortBindingsSchema } from './port-bindings.ts';

const optionalString = Type.Optional(Type.String());
const optionalBoolean = Type.Optional(Type.Boolean());
const optionalInt = Type.Optional(Int64);
const optionalStrings = Type.Optional(StringList);
const optionalMap = Type.Optional(StringMap);

const WeightSchema = Type.Object({ Path: optionalString, Weight: optionalInt });
const RateSchema = Type.Object({ Path: optionalString, Rate: optionalInt });
const DeviceSchema = Type.Object({ PathOnHost: optionalString, PathInContainer: optionalString, CgroupPermissions: optionalString });
const DeviceRequestSchema = Type.Object({
  Driver: optionalString,
  Count: optionalInt,
  DeviceIDs: optionalStrings,
  Capabilities: Type.Optional(Type.Array(StringList)),
  Options: optionalMap,
});
const UlimitSchema = Type.Object({ Name: optionalString, Soft: optionalInt, Hard: optionalInt });

const MountSchema = Type.Object({
  Type: optionalString,
  Source: optionalString,
  Target: optionalString,
  ReadOnly: optionalBoolean,
  Consistency: optionalString,
  BindOptions: Type.Optional(
    Type.Object({
      Propagation: optionalString,
      NonRecursive: optionalBoolean,
      CreateMountpoint: optionalBoolean,
      ReadOnlyNonRecursive: optionalBoolean,
      ReadOnlyForceRecursive: optionalBoolean,
      Idmap: optionalString,
    }),
  ),
  VolumeOptions: Type.Optional(
    Type.Object({
      NoCopy: optionalBoolean,
      Labels: optionalMap,
      DriverConfig: Type.Optional(Type.Object({ Name: optionalString, Options: optionalMap })),
      Subpath: optionalString,
      Idmap: optionalString,
    }),
  ),
  ImageOptions: Type.Optional(Type.Object({ Subpath: optionalString })),
  TmpfsOptions: Type.Optional(Type.Object({ SizeBytes: optionalInt, Mode: optionalInt, Options: Type.Optional(Type.Array(StringList)) })),
});

export const HostConfigSchema = Type.Object({
  Binds: optionalStrings,
  ContainerIDFile: optionalString,
  LogConfig: Type.Optional(Type.Object({ Type: optionalString, Config: optionalMap })),
  NetworkMode: optionalString,
  PortBindings: Type.Optional(PortBindingsSchema),
  RestartPolicy: Type.Optional(Type.Object({ Name: optionalString, MaximumRetryCount: optionalInt })),
  AutoRemove: optionalBoolean,
  VolumeDriver: optionalString,
  VolumesFrom: optionalStrings,
  ConsoleSize: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 65535 }), { minItems: 2, maxItems: 2 })),
  Annotations: optionalMap,
  Mounts: Type.Optional(Type.Array(MountSchema)),
  CapAdd: optionalStrings,
  CapDrop: optionalStrings,
  CgroupnsMode: optionalString,
  Dns: optionalStrings,
  DnsOptions: optionalStrings,
  DnsSearch: optionalStrings,
  ExtraHosts: optionalStrings,
  GroupAdd: optionalStrings,
  IpcMode: optionalString,
  Cgroup: optionalString,
  Links: optionalStrings,
  OomScoreAdj: optionalInt,
  PidMode: optionalString,
  Privileged: optionalBoolean,
  PublishAllPorts: optionalBoolean,
  ReadonlyRootfs: optionalBoolean,
  SecurityOpt: optionalStrings,
  StorageOpt: optionalMap,
  Tmpfs: optionalMap,
  UTSMode: optionalString,
  UsernsMode: optionalString,
  ShmSize: optionalInt,
  Sysctls: optionalMap,
  Runtime: optionalString,
  Isolation: optionalString,
  CpuShares: optionalInt,
  Memory: optionalInt,
  NanoCpus: optionalInt,
  CgroupParent: optionalString,
  BlkioWeight: optionalInt,
  BlkioWeightDevice: Type.Optional(Type.Array(WeightSchema)),
  BlkioDeviceReadBps: Type.Optional(Type.Array(RateSchema)),
  BlkioDeviceWriteBps: Type.Optional(Type.Array(RateSchema)),
  BlkioDeviceReadIOps: Type.Optional(Type.Array(RateSchema)),
  BlkioDeviceWriteIOps: Type.Optional(Type.Array(RateSchema)),
  CpuPeriod: optionalInt,
  CpuQuota: optionalInt,
  CpuRealtimePeriod: optionalInt,
  CpuRealtimeRuntime: optionalInt,
  CpusetCpus: optionalString,
  CpusetMems: optionalString,
  Devices: Type.Optional(Type.Array(DeviceSchema)),
  DeviceCgroupRules: optionalStrings,
  DeviceRequests: Type.Optional(Type.Array(DeviceRequestSchema)),
  KernelMemory: optionalInt,
  KernelMemoryTCP: optionalInt,
  MemoryReservation: optionalInt,
  MemorySwap: optionalInt,
  MemorySwappiness: optionalInt,
  OomKillDisable: optionalBoolean,
  PidsLimit: optionalInt,
  Ulimits: Type.Optional(Type.Array(UlimitSchema)),
  CpuCount: optionalInt,
  CpuPercent: optionalInt,
  IOMaximumIOps: optionalInt,
  IOMaximumBandwidth: optionalInt,
  MaskedPaths: optionalStrings,
  ReadonlyPaths: optionalStrings,
  Init: optionalBoolean,
});
export type HostConfigRequest = Static<typeof HostConfigSchema>;

/** Absent becomes Docker's zero value; what zero means (no limit, the default) is decided by `containers`. */
export function normaliseHostConfig(request: HostConfigRequest) {
  return {
    ...namespaceAndNetworkFields(request),
    ...storageFields(request),
    ...securityFields(request),
    ...resourceFields(request),
    ContainerIDFile: request.ContainerIDFile ?? '',
    LogConfig: { Type: request.LogConfig?.Type ?? '', Config: request.LogConfig?.Config ?? {} },
    RestartPolicy: { Name: request.RestartPolicy?.Name ?? '', MaximumRetryCount: request.RestartPolicy?.MaximumRetryCount ?? 0 },
    AutoRemove: request.AutoRemove ?? false,
    ConsoleSize: [request.ConsoleSize?.[0] ?? 0, request.ConsoleSize?.[1] ?? 0] as [number, number],
    ...(request.Annotations === undefined ? {} : { Annotations: request.Annotations }),
    Runtime: request.Runtime ?? '',
    Isolation: request.Isolation ?? '',
    ...(request.Init === undefined ? {} : { Init: request.Init }),
  };
}

function namespaceAndNetworkFields(request: HostConfigRequest) {
  return {
    NetworkMode: request.NetworkMode ?? '',
    PortBindings: normalisePortBindings(request.PortBindings ?? {}),
    PublishAllPorts: request.PublishAllPorts ?? false,
    CgroupnsMode: request.CgroupnsMode ?? '',
    Dns: request.Dns ?? [],
    DnsOptions: request.DnsOptions ?? [],
    DnsSearch: request.DnsSearch ?? [],
    ExtraHosts: request.ExtraHosts ?? null,
    IpcMode: request.IpcMode ?? '',
    Links: request.Links ?? null,
    PidMode: request.PidMode ?? '',
    UTSMode: request.UTSMode ?? '',
    UsernsMode: request.UsernsMode ?? '',
    ...(request.Sysctls === undefined ? {} : { Sysctls: request.Sysctls }),
  };
}

function storageFields(request: HostConfigRequest) {
  return {
    Binds: request.Binds ?? null,
    VolumeDriver: request.VolumeDriver ?? '',
    VolumesFrom: request.VolumesFrom ?? null,
    ...(request.Mounts === undefined ? {} : { Mounts: request.Mounts.map(normaliseMount) }),
    ...(request.StorageOpt === undefined ? {} : { StorageOpt: request.StorageOpt }),
    ...(request.Tmpfs === undefined ? {} : { Tmpfs: request.Tmpfs }),
    ReadonlyRootfs: request.ReadonlyRootfs ?? false,
    ShmSize: request.ShmSize ?? 0,
  };
}

function securityFields(request: HostConfigRequest) {
  return {
    CapAdd: request.CapAdd ?? null,
    CapDrop: request.CapDrop ?? null,
    GroupAdd: request.GroupAdd ?? null,
    Privileged: request.Privileged ?? false,
    SecurityOpt: request.SecurityOpt ?? null,
    MaskedPaths: request.MaskedPaths ?? null,
    ReadonlyPaths: request.ReadonlyPaths ?? null,
    Devices:
      request.Devices?.map((device) => ({
        PathOnHost: device.PathOnHost ?? '',
        PathInContainer: device.PathInContainer ?? '',
        CgroupPermissions: device.CgroupPermissions ?? '',
      })) ?? null,
    DeviceCgroupRules: request.DeviceCgroupRules ?? null,
    DeviceRequests: request.DeviceRequests?.map(normaliseDeviceRequest) ?? null,
  };
}

/** Lists and maps that are missing stay null, as Docker shows them again. */
function normaliseDeviceRequest({ Driver = '', Count = 0, DeviceIDs, Capabilities, Options }: Static<typeof DeviceRequestSchema>) {
  return { Driver, Count, DeviceIDs: DeviceIDs ?? null, Capabilities: Capabilities ?? null, Options: Options ?? null };
}

function resourceFields(request: HostConfigRequest) {
  return {
    Cgroup: request.Cgroup ?? '',
    CgroupParent: request.CgroupParent ?? '',
    OomScoreAdj: request.OomScoreAdj ?? 0,
    CpuShares: request.CpuShares ?? 0,
    Memory: request.Memory ?? 0,
    NanoCpus: request.NanoCpus ?? 0,
    BlkioWeight: request.BlkioWeight ?? 0,
    BlkioWeightDevice: request.BlkioWeightDevice?.map(({ Path = '', Weight = 0 }) => ({ Path, Weight })) ?? null,
    BlkioDeviceReadBps: rates(request.BlkioDeviceReadBps),
    BlkioDeviceWriteBps: rates(request.BlkioDeviceWriteBps),
    BlkioDeviceReadIOps: rates(request.BlkioDeviceReadIOps),
    BlkioDeviceWriteIOps: rates(request.BlkioDeviceWriteIOps),
    CpuPeriod: request.CpuPeriod ?? 0,
    CpuQuota: request.CpuQuota ?? 0,
    CpuRealtimePeriod: request.CpuRealtimePeriod ?? 0,
    CpuRealtimeRuntime: request.CpuRealtimeRuntime ?? 0,
    CpusetCpus: request.CpusetCpus ?? '',
    CpusetMems: request.CpusetMems ?? '',
    MemoryReservation: request.MemoryReservation ?? 0,
    MemorySwap: request.MemorySwap ?? 0,
    // -1 is how clients write "not set"; for PidsLimit it is 0.
    MemorySwappiness: request.MemorySwappiness === undefined || request.MemorySwappiness === -1 ? null : request.MemorySwappiness,
    OomKillDisable: request.OomKillDisable ?? null,
    PidsLimit: request.PidsLimit === undefined || request.PidsLimit === 0 ? null : request.PidsLimit,
    Ulimits: request.Ulimits?.map(({ Name = '', Soft = 0, Hard = 0 }) => ({ Name, Soft, Hard })) ?? null,
    CpuCount: request.CpuCount ?? 0,
    CpuPercent: request.CpuPercent ?? 0,
    IOMaximumIOps: request.IOMaximumIOps ?? 0,
    IOMaximumBandwidth: request.IOMaximumBandwidth ?? 0,
  };
}

function rates(list: readonly Static<typeof RateSchema>[] | undefined): { Path: string; Rate: number }[] | null {
  return list?.map(({ Path = '', Rate = 0 }) => ({ Path, Rate })) ?? null;
}

const mountTypes = ['bind', 'volume', 'tmpfs', 'image', 'npipe', 'cluster'] as const;
type MountType = (typeof mountTypes)[number];

function normaliseMount(mount: Static<typeof MountSchema>) {
  const { Type: type = '', Target = '', ...rest } = mount;
  if (!isMountType(type)) throw invalid(`invalid mount config for type ${JSON.stringify(type)}: mount type unknown`);
  return { ...rest, Type: type, Target };
}

function isMountType(text: string): text is MountType {
  return (mountTypes as readonly string[]).includes(text);
}
