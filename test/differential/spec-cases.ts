/** Option sets whose OCI runtime spec is compared with the peer's. Paths below /tmp/gantry-spec exist while `record-specs.ts` runs. */
import type { ContainerConfig, HostConfig } from '../../src/containers/config.ts';

export interface SpecCase {
  readonly name: string;
  readonly config?: Partial<ContainerConfig>;
  readonly hostConfig?: Partial<HostConfig>;
}

/** A profile of one rule, as the CLI sends it for `--security-opt seccomp=FILE`. */
export const inlineProfile = JSON.stringify({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['chmod'], action: 'SCMP_ACT_ERRNO' }],
});

const source = '/tmp/gantry-spec';

export const specCases: readonly SpecCase[] = [
  { name: 'default' },
  {
    name: 'terminal-user-workdir',
    config: { Tty: true, User: 'www', WorkingDir: '/srv/data', Hostname: 'box', Domainname: 'example.test' },
    hostConfig: { ConsoleSize: [30, 100] },
  },
  {
    name: 'environment-and-command',
    config: { Env: ['IMAGE=2', 'NEW=a=b', 'HOSTNAME=other', 'REMOVED'], Entrypoint: ['/bin/sh', '-c'], Cmd: ['sleep 1000'] },
  },
  { name: 'privileged', hostConfig: { Privileged: true } },
  { name: 'privileged-profile', hostConfig: { Privileged: true, ReadonlyRootfs: true, SecurityOpt: [`seccomp=${inlineProfile}`] } },
  { name: 'capabilities', hostConfig: { CapAdd: ['NET_ADMIN', 'cap_sys_ptrace'], CapDrop: ['MKNOD', 'CAP_NET_RAW'] } },
  { name: 'capabilities-drop-all', hostConfig: { CapAdd: ['CHOWN'], CapDrop: ['ALL'] } },
  {
    name: 'limits',
    hostConfig: { Memory: 67_108_864, NanoCpus: 500_000_000, PidsLimit: 100, CpusetCpus: '0', CpusetMems: '0', CpuShares: 512 },
  },
  {
    name: 'limits-more',
    hostConfig: {
      Memory: 134_217_728,
      MemorySwap: -1,
      MemoryReservation: 67_108_864,
      MemorySwappiness: 10,
      CpuQuota: 25_000,
      CpuPeriod: 50_000,
      PidsLimit: -1,
      OomKillDisable: true,
    },
  },
  {
    name: 'throttled-devices',
    hostConfig: {
      BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: 1_048_576 }],
      BlkioDeviceWriteIOps: [{ Path: '/dev/vda', Rate: 100 }],
    },
  },
  {
    name: 'read-only-tmpfs-shm',
    hostConfig: {
      ReadonlyRootfs: true,
      ShmSize: 1_048_576,
      Tmpfs: { '/run': '', '/tmp/cache': 'rw,size=64m,mode=1777,exec' },
    },
  },
  {
    name: 'binds',
    hostConfig: {
      Binds: [`${source}/directory:/data:ro`, `${source}/file:/etc/file`, `${source}/directory:/deep/er/data:rw,rslave`],
      Mounts: [
        { Type: 'bind', Source: `${source}/directory`, Target: '/mnt/bind', ReadOnly: true, BindOptions: { Propagation: 'private' } },
        { Type: 'bind', Source: `${source}/directory`, Target: '/mnt/flat', BindOptions: { NonRecursive: true } },
        { Type: 'tmpfs', Target: '/mnt/tmpfs', TmpfsOptions: { SizeBytes: 4_194_304, Mode: 0o1770 } },
      ],
    },
  },
  {
    name: 'mounts-over-defaults',
    hostConfig: { Binds: [`${source}/directory:/dev/shm`, `${source}/file:/etc/hosts`], Tmpfs: { '/dev/mqueue': 'size=1m' } },
  },
  { name: 'host-namespaces', hostConfig: { NetworkMode: 'host', PidMode: 'host', IpcMode: 'host', UTSMode: 'host', CgroupnsMode: 'host' } },
  { name: 'private-cgroup-namespace', hostConfig: { CgroupnsMode: 'private' } },
  { name: 'container-namespaces', hostConfig: { NetworkMode: 'container:OTHER', PidMode: 'container:OTHER', IpcMode: 'container:OTHER' } },
  { name: 'ipc-none', hostConfig: { IpcMode: 'none' } },
  { name: 'ipc-shareable', hostConfig: { IpcMode: 'shareable', ShmSize: 2_097_152 } },
  { name: 'unconfined', hostConfig: { SecurityOpt: ['seccomp=unconfined', 'no-new-privileges'], MaskedPaths: [], ReadonlyPaths: [] } },
  { name: 'inline-seccomp', hostConfig: { SecurityOpt: [`seccomp=${inlineProfile}`, 'no-new-privileges=true'] } },
  {
    name: 'process-limits',
    hostConfig: {
      Ulimits: [
        { Name: 'nofile', Soft: 512, Hard: 1024 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      OomScoreAdj: 500,
      Sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.shmmax': '123456' },
    },
  },
  {
    name: 'devices',
    hostConfig: {
      Devices: [
        { PathOnHost: '/dev/zero', PathInContainer: '/dev/nothing', CgroupPermissions: 'rw' },
        { PathOnHost: '/dev/vda', PathInContainer: '/dev/vda', CgroupPermissions: 'r' },
        { PathOnHost: '/dev/net', PathInContainer: '/dev/net', CgroupPermissions: 'rwm' },
      ],
      DeviceCgroupRules: ['c 42:* rmw', 'b 7:1 r'],
    },
  },
  { name: 'groups', config: { User: '1000:33' }, hostConfig: { GroupAdd: ['adm', '777'] } },
  { name: 'named-user-groups', config: { User: 'www' }, hostConfig: { GroupAdd: ['adm'] } },
];
