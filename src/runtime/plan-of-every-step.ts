/** A plan with every step and join there is, for tests of its encoding and of the native parser. It is never run. */
import type { Plan, Step } from './plan.ts';

const steps: readonly Step[] = [
  { op: 'write-file', path: '/proc/self/oom_score_adj', data: '0', optional: true },
  { op: 'unshare', flags: 0x02000000 },
  { op: 'join', path: '/proc/1/ns/net', nstype: 0x40000000 },
  { op: 'propagation', flags: 0x44000 },
  { op: 'overlay', target: '/t', lowerBase: '/layers', lowers: ['b', 'a'], upper: '/u', work: '/w', options: 'index=off' },
  { op: 'bind-root', source: '/rootfs' },
  { op: 'mount', fstype: 'proc', source: 'proc', target: '/proc', flags: 14, data: '' },
  { op: 'take-tree', source: '/s', subpath: 'a/b', recursive: true },
  {
    op: 'bind',
    source: '/s',
    subpath: 'a/b',
    target: '/t',
    recursive: true,
    flags: 1,
    recursiveReadOnly: false,
    propagation: 0x44000,
    create: true,
    taken: 1,
    uidMap: [0, 1000, 1, 1000, 0, 1],
    gidMap: [0, 0, 65536],
  },
  { op: 'mount-layers', target: '/image', lowerBase: '/layers', lowers: ['b', 'a'], options: 'index=off', subpath: 'etc' },
  { op: 'mkdir', target: '/dev', mode: 0o755, uid: 0, gid: 0 },
  { op: 'mknod', target: '/dev/null', mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 },
  { op: 'symlink', target: '/dev/fd', text: '/proc/self/fd' },
  { op: 'mount-tmpfs-copyup', target: '/tmp', flags: 6, data: 'size=1m' },
  { op: 'pivot' },
  { op: 'mask', target: '/proc/kcore' },
  { op: 'readonly', target: '/proc/sys' },
  { op: 'readonly-root' },
  { op: 'hostname', name: 'host' },
  { op: 'domainname', name: 'domain' },
  { op: 'loopback-up' },
  { op: 'terminal', console: true, rows: 24, columns: 80 },
  { op: 'rlimit', resource: 7, soft: 1024n, hard: -1n },
  { op: 'keyring', name: '_ses' },
  { op: 'no-new-privileges' },
  { op: 'bounding', mask: 0xa80425fbn },
  { op: 'seccomp', filter: new Uint8Array([6, 0, 0, 0, 0, 0, 0xff, 0x7f]), flags: 1 },
  { op: 'user', uid: 1000, gid: 1000, groups: [1, 2, 3], umask: 0o22 },
  { op: 'capabilities', effective: 1n, permitted: 1n, inheritable: 0n, ambient: 1n << 40n },
  { op: 'chdir', path: '/' },
  { op: 'exec', argv: ['sh', '-c', 'true'], env: ['PATH=/bin', 'EMPTY='], path: '/bin' },
];

const planned = (step: Step) => ({ step, reason: 'test', failure: 'do it' });

export const planOfEveryStep: Plan = {
  cloneFlags: 0x6c020000,
  cgroup2: '/sys/fs/cgroup/unified/x',
  before: [planned({ op: 'write-file', path: '/sys/fs/cgroup/pids/x/tasks', data: '0', optional: false })],
  joins: [
    { kind: 'path', path: '/proc/1/ns/net', nstype: 0x40000000 },
    { kind: 'init', nstypes: 0x6c020000 },
  ],
  steps: steps.map(planned),
  takeover: {
    pidFile: '/run/gantry/c/x/init.pid',
    console: '/run/gantry/m/0123456789abcdeft',
    patienceMs: 30_000,
    follow: { cloneFlags: 0, cgroup2: null, before: [], joins: [], steps: steps.slice(-1).map(planned) },
    farewell: null,
  },
};
