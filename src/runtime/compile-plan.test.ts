import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
} from '../linux/constants.ts';
import type { Linux, Mount, Process, RuntimeSpec } from '../oci/runtime-spec.ts';
import { compileExecPlan, compilePlan, type PlanContext } from './compile-plan.ts';
import { type Plan, printPlan, type Step } from './plan.ts';

const id = 'a'.repeat(64);
const v1 = {
  joinFiles: ['/sys/fs/cgroup/cpu,cpuacct/gantry/c/tasks', '/sys/fs/cgroup/memory/gantry/c/tasks'],
  v2Directory: '/sys/fs/cgroup/unified/gantry/c',
  paths: {
    cpu: '/sys/fs/cgroup/cpu,cpuacct/gantry/c',
    cpuacct: '/sys/fs/cgroup/cpu,cpuacct/gantry/c',
    memory: '/sys/fs/cgroup/memory/gantry/c',
    unified: '/sys/fs/cgroup/unified/gantry/c',
  },
};
const v2 = { joinFiles: [], v2Directory: '/sys/fs/cgroup/gantry/c', paths: { unified: '/sys/fs/cgroup/gantry/c' } };
const overlay = { kind: 'overlay', lowerBase: '/l', lowers: ['top', 'init', 'base'], upper: '/u', work: '/w', target: '/t' } as const;
const context: PlanContext = {
  bundle: '/run/gantry/c/x',
  id,
  rootfs: overlay,
  cgroup: v1,
  architecture: 'amd64',
  hasKcore: false,
};

const procMount: Mount = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] };
const devMount: Mount = { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] };
const cgroupMount: Mount = { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro', 'nosuid'] };

interface Changes {
  readonly process?: Partial<Process>;
  readonly linux?: Partial<Linux>;
  readonly spec?: Partial<RuntimeSpec>;
}

const ownNamespaces: Linux['namespaces'] = [{ type: 'mount' }, { type: 'network' }, { type: 'uts' }, { type: 'pid' }, { type: 'ipc' }];

function specWith({ process = {}, linux = {}, spec = {} }: Changes = {}): RuntimeSpec {
  return {
    ociVersion: '1.2.0',
    root: { path: 'rootfs' },
    hostname: 'box',
    mounts: [procMount, devMount, cgroupMount],
    ...spec,
    process: {
      cwd: '/work',
      env: ['PATH=/bin', 'A=1'],
      args: ['sh'],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: ['CAP_CHOWN'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'] },
      ...process,
    },
    linux: {
      namespaces: ownNamespaces,
      seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
      sysctl: { 'net.ipv4.ip_forward': '1' },
      maskedPaths: ['/proc/kcore'],
      readonlyPaths: ['/proc/sys'],
      ...linux,
    },
  };
}

const compile = (changes: Changes = {}, given: Partial<PlanContext> = {}): Plan => compilePlan(specWith(changes), { ...context, ...given });
const steps = (plan: Plan): Step[] => plan.steps.map(({ step }) => step);
const ops = (plan: Plan): string[] => steps(plan).map(({ op }) => op);

/** Asserts that each of the operations occurs, and that all of one come before all of the next. */
function assertOrder(plan: Plan, ...order: readonly Step['op'][]): void {
  const all = ops(plan);
  let last = -1;
  for (const op of order) {
    assert.ok(all.includes(op), `no ${op} in ${all.join(' ')}`);
    assert.ok(all.indexOf(op) > last, `${op} comes too early in ${all.join(' ')}`);
    last = all.lastIndexOf(op);
  }
}

function findStep<Op extends Step['op']>(plan: Plan, op: Op, matches: (step: Extract<Step, { op: Op }>) => boolean = () => true) {
  return steps(plan).find((step): step is Extract<Step, { op: Op }> => step.op === op && matches(step as Extract<Step, { op: Op }>));
}

function positionOf(plan: Plan, matches: (step: Step) => boolean): number {
  const position = steps(plan).findIndex(matches);
  assert.notEqual(position, -1);
  return position;
}

test('compilePlan: the whole plan of a small container', () => {
  const plan = compile({ spec: { mounts: [procMount] }, linux: { seccomp: undefined as never } });
  const lines = printPlan(plan)
    .split('\n')
    .map((line) => line.replace(/^ *\d+ /, '').replace(/ +#.*/, ''));
  assert.deepEqual(lines, [
    'clone 0x6c020000 into /sys/fs/cgroup/unified/gantry/c',
    'write-file path="/sys/fs/cgroup/cpu,cpuacct/gantry/c/tasks" data="0" optional=false',
    'write-file path="/sys/fs/cgroup/memory/gantry/c/tasks" data="0" optional=false',
    'write-file path="/proc/self/oom_score_adj" data="0" optional=false',
    'propagation flags=278528',
    'overlay target="/t" lowerBase="/l" lowers=["top","init","base"] upper="/u" work="/w" options="redirect_dir=off,metacopy=off,index=off"',
    'mkdir target="/proc" mode=493 uid=0 gid=0',
    'mount fstype="proc" source="proc" target="/proc" flags=14 data=""',
    'mkdir target="/work" mode=493 uid=0 gid=0',
    'pivot',
    'write-file path="/proc/sys/net/ipv4/ip_forward" data="1" optional=false',
    'readonly target="/proc/sys"',
    'mask target="/proc/kcore"',
    'hostname name="box"',
    'loopback-up',
    `keyring name="_ses.${id}"`,
    'chdir path="/work"',
    'bounding mask=0x1',
    'user uid=0 gid=0 groups=[] umask=18',
    'capabilities effective=0x1 permitted=0x1 inheritable=0x0 ambient=0x0',
    'exec argv=["sh"] env=["PATH=/bin","A=1"] path="/bin"',
    '',
  ]);
});

test('compilePlan: every step says why it is there and what failed', () => {
  for (const { step, reason, failure } of [...compile().steps, ...compileExecPlan(specWith(), context).before]) {
    assert.ok(reason.length > 5 && failure.length > 5 && !/^cannot/.test(failure), step.op);
  }
});

test('compilePlan: the order that security rests on', () => {
  const plan = compile({
    process: { terminal: true, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }] },
    spec: { root: { path: '', readonly: true } },
  });
  assertOrder(plan, 'propagation', 'overlay', 'mount', 'pivot', 'terminal', 'mask', 'hostname', 'readonly-root', 'rlimit', 'keyring');
  assertOrder(plan, 'overlay', 'mknod', 'pivot', 'mask');
  assertOrder(plan, 'readonly-root', 'chdir', 'bounding', 'seccomp', 'user', 'capabilities', 'exec');
  assert.equal(ops(plan).at(-1), 'exec');
  assert.equal(ops(plan).filter((op) => op === 'exec').length, 1);
});

test('compilePlan: cgroups are joined before anything else, and before a cgroup namespace is made', () => {
  const plan = compile({ linux: { namespaces: [...ownNamespaces, { type: 'cgroup' }] } });
  assert.deepEqual(ops(plan).slice(0, 5), ['write-file', 'write-file', 'write-file', 'unshare', 'propagation']);
  assert.equal(findStep(plan, 'unshare')?.flags, CLONE_NEWCGROUP);
  assert.equal(plan.cloneFlags & CLONE_NEWCGROUP, 0);
});

test('compilePlan: sysctls are written before /proc/sys turns read-only', () => {
  const plan = compile();
  const sysctl = positionOf(plan, (step) => step.op === 'write-file' && step.path.startsWith('/proc/sys/'));
  const readonly = positionOf(plan, (step) => step.op === 'readonly' && step.target === '/proc/sys');
  assert.ok(sysctl < readonly && sysctl > positionOf(plan, (step) => step.op === 'pivot'));
});

test('compilePlan: with no_new_privs the filter comes last, so that it has to allow execve only', () => {
  const plan = compile({ process: { noNewPrivileges: true } });
  assert.deepEqual(ops(plan).slice(-5), ['user', 'capabilities', 'no-new-privileges', 'seccomp', 'exec']);
});

test('compilePlan: joined namespaces are entered by the middle process, which also joins the cgroups', () => {
  const joined = [
    { type: 'network' as const, path: '/proc/7/ns/net' },
    { type: 'pid' as const, path: '/proc/7/ns/pid' },
  ];
  const plan = compile({ linux: { namespaces: [{ type: 'mount' }, { type: 'uts' }, { type: 'ipc' }, ...joined] } });
  assert.deepEqual(plan.joins, [
    { kind: 'path', path: '/proc/7/ns/net', nstype: CLONE_NEWNET },
    { kind: 'path', path: '/proc/7/ns/pid', nstype: CLONE_NEWPID },
  ]);
  assert.equal(plan.cloneFlags, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  assert.deepEqual(
    plan.before.map(({ step }) => step.op),
    ['write-file', 'write-file', 'write-file'],
  );
  assert.equal(ops(plan)[0], 'propagation');
  assert.ok(!ops(plan).includes('loopback-up'), 'the loopback device belongs to the other container');
});

test('compilePlan: namespaces of the host are neither made nor configured', () => {
  const plan = compile({
    linux: { namespaces: [{ type: 'mount' }], sysctl: {} },
    spec: { hostname: undefined as never },
  });
  assert.equal(plan.cloneFlags, CLONE_NEWNS);
  assert.ok(!ops(plan).includes('hostname') && !ops(plan).includes('loopback-up'));
});

test('compilePlan: a v1 tree is a read-only tmpfs with binds of the own cgroups and links for controllers that share one', () => {
  const plan = compile({ spec: { mounts: [cgroupMount] } });
  const inTree = steps(plan).filter((step) => 'target' in step && step.target.startsWith('/sys/fs/cgroup'));
  assert.deepEqual(
    inTree.map((step) => `${step.op} ${'target' in step ? step.target : ''}`),
    [
      'mkdir /sys/fs/cgroup',
      'mount /sys/fs/cgroup',
      'mkdir /sys/fs/cgroup/cpu,cpuacct',
      'mkdir /sys/fs/cgroup/memory',
      'symlink /sys/fs/cgroup/cpu',
      'symlink /sys/fs/cgroup/cpuacct',
      'readonly /sys/fs/cgroup',
      'bind /sys/fs/cgroup/cpu,cpuacct',
      'bind /sys/fs/cgroup/memory',
    ],
  );
  const bind = findStep(plan, 'bind');
  assert.ok(
    bind !== undefined && bind.source === '/sys/fs/cgroup/cpu,cpuacct/gantry/c' && (bind.flags & MS_RDONLY) !== 0 && !bind.recursive,
  );
});

test('compilePlan: a v2 tree is a cgroup2 mount, and the child is born in its cgroup', () => {
  const plan = compile({}, { cgroup: v2 });
  assert.ok(findStep(plan, 'mount', ({ fstype, flags }) => fstype === 'cgroup2' && (flags & MS_RDONLY) !== 0));
  assert.equal(plan.cgroup2, '/sys/fs/cgroup/gantry/c');
  assert.ok(!steps(plan).some((step) => step.op === 'write-file' && step.path.includes('cgroup')));
});

test('compilePlan: devices of a fresh /dev', () => {
  const tun = { path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600 } as const;
  const hostPtmx = { path: '/dev/ptmx', type: 'c', major: 5, minor: 2 } as const;
  const ownNull = { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o600 } as const;
  const plan = compile({ linux: { devices: [tun, hostPtmx, ownNull] } });
  const nodes = steps(plan).filter((step) => step.op === 'mknod');
  assert.deepEqual(
    nodes.map(({ target, mode }) => `${target} ${mode.toString(8)}`),
    ['zero', 'full', 'random', 'urandom', 'tty'].map((name) => `/dev/${name} 20666`).concat('/dev/net/tun 20600', '/dev/null 20600'),
  );
  assert.ok(
    positionOf(plan, (step) => step.op === 'mkdir' && step.target === '/dev/net') < positionOf(plan, (step) => step.op === 'mknod'),
  );
  assert.equal(findStep(plan, 'symlink', ({ target }) => target === '/dev/ptmx')?.text, 'pts/ptmx');
});

test("compilePlan: a user's own /dev stays as it is", () => {
  const mounts = [procMount, { destination: '/dev', type: 'bind', source: '/dev', options: ['rbind'] }];
  const plan = compile({ spec: { mounts } });
  assert.ok(!ops(plan).includes('mknod') && !ops(plan).includes('symlink'));
});

test('compilePlan: binds carry their flags and propagation', () => {
  const mounts: Mount[] = [
    { destination: '/a', type: 'bind', source: '/host/a', options: ['rbind', 'rro', 'rslave'] },
    { destination: '/b', type: 'bind', source: '/host/b', options: ['bind', 'nosuid', 'rprivate'] },
  ];
  const plan = compile({ spec: { mounts }, linux: { rootfsPropagation: 'rslave' } });
  const [a, b] = steps(plan).filter((step) => step.op === 'bind');
  assert.deepEqual([a?.recursive, a?.flags, a?.recursiveReadOnly, a?.propagation], [true, MS_RDONLY, true, MS_SLAVE | MS_REC]);
  assert.deepEqual([b?.recursive, b?.flags, b?.recursiveReadOnly, b?.propagation], [false, 2, false, MS_PRIVATE | MS_REC]);
  assert.equal(findStep(plan, 'propagation')?.flags, MS_SLAVE | MS_REC);
});

test("compilePlan: shared binds are taken while their mounts are still the host's, in the order of the mounts", () => {
  const bind = (name: string, propagation: string): Mount => ({
    destination: `/${name}`,
    type: 'bind',
    source: `/host/${name}`,
    options: ['rbind', propagation],
  });
  const mounts = [bind('a', 'rshared'), bind('b', 'rprivate'), { ...bind('c', 'shared'), subpath: 'x' }];
  const plan = compile({ spec: { mounts }, linux: { rootfsPropagation: 'shared' } });
  const taken = steps(plan).filter((step) => step.op === 'take-tree');
  assert.deepEqual(
    taken.map(({ source, subpath, recursive }) => [source, subpath, recursive]),
    [
      ['/host/a', '', true],
      ['/host/c', 'x', true],
    ],
  );
  const binds = steps(plan).filter((step) => step.op === 'bind');
  assert.deepEqual(
    binds.map((step) => [step.taken, step.propagation]),
    [
      [1, MS_SHARED | MS_REC],
      [0, MS_PRIVATE | MS_REC],
      [2, MS_SHARED],
    ],
  );
  assert.ok(positionOf(plan, (step) => step.op === 'take-tree') < positionOf(plan, (step) => step.op === 'propagation'));
  assert.equal(findStep(plan, 'propagation')?.flags, MS_SLAVE | MS_REC, 'what the container mounts elsewhere stays in it');
});

test('compilePlan: subpaths and mapped owners of binds', () => {
  const mount: Mount = { destination: '/a', type: 'bind', source: '/host/a', options: ['rbind'] };
  const bindOf = (changes: Partial<Mount>) => findStep(compile({ spec: { mounts: [{ ...mount, ...changes }] } }), 'bind');
  const plain = bindOf({});
  assert.deepEqual([plain?.subpath, plain?.uidMap, plain?.gidMap, plain?.taken], ['', [], [], 0]);
  const mapped = bindOf({ subpath: 'x/y', uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }] });
  assert.deepEqual([mapped?.subpath, mapped?.uidMap, mapped?.gidMap], ['x/y', [0, 1000, 1], [0, 0, 4294967295]]);
  assert.throws(() => bindOf({ subpath: '/etc' }), /must be relative/);
  assert.throws(() => bindOf({ gidMappings: [{ containerID: 0, hostID: 4294967295, size: 1 }] }), /owner mapping 0-4294967295-1/);
  assert.throws(() => bindOf({ gidMappings: [{ containerID: 0, hostID: 0, size: 0 }] }), /owner mapping 0-0-0/);
});

test('compilePlan: a root whose content is thrown away after a crash waits for no disk', () => {
  const options = (more: object) => findStep(compile({}, { rootfs: { ...overlay, ...more } }), 'overlay')?.options;
  assert.equal(options({}), 'redirect_dir=off,metacopy=off,index=off');
  assert.equal(options({ volatile: true }), 'redirect_dir=off,metacopy=off,index=off,volatile');
});

test('compilePlan: layers of an image, at least two of them', () => {
  const mount: Mount = {
    destination: '/image',
    type: 'layers',
    source: '/layers',
    layers: ['b', 'a'],
    subpath: 'etc',
    options: ['index=off'],
  };
  const plan = compile({ spec: { mounts: [mount] } });
  assert.deepEqual(findStep(plan, 'mount-layers'), {
    op: 'mount-layers',
    target: '/image',
    lowerBase: '/layers',
    lowers: ['b', 'a'],
    options: 'index=off',
    subpath: 'etc',
    writable: [],
  });
  assert.throws(() => compile({ spec: { mounts: [{ ...mount, layers: ['a'] }] } }), /at least two/);
});

test('compilePlan: a network namespace alone is joined by the child, before sysfs and sysctls; with others by the middle process', () => {
  const joined = (...types: string[]) =>
    ownNamespaces.map(({ type }) => (types.includes(type) ? { type, path: `/proc/7/ns/${type}` } : { type }));
  const alone = compile({ linux: { namespaces: joined('network'), sysctl: { 'net.core.somaxconn': '1' } } });
  assert.deepEqual(alone.joins, []);
  assert.equal(alone.cloneFlags & CLONE_NEWNET, 0);
  const at = positionOf(alone, (step) => step.op === 'join');
  assert.ok(at < positionOf(alone, (step) => step.op === 'mount') && at < positionOf(alone, (step) => step.op === 'propagation'));
  assert.ok(!ops(alone).includes('loopback-up'));
  const both = compile({ linux: { namespaces: joined('network', 'pid') } });
  assert.equal(both.joins.length, 2);
  assert.ok(!ops(both).includes('join'));
});

test('compilePlan: tmpfs, with and without the content that it covers', () => {
  const tmpfs = (...options: string[]) => compile({ spec: { mounts: [{ destination: '/run', type: 'tmpfs', source: 'tmpfs', options }] } });
  assert.equal(findStep(tmpfs('noexec', 'size=1m', 'rprivate'), 'mount')?.data, 'size=1m');
  assert.ok(findStep(tmpfs('tmpcopyup'), 'mount-tmpfs-copyup', ({ target }) => target === '/run'));
});

test('SEC-09 compilePlan: a missing working directory is made below the new root, before the pivot', () => {
  const plan = compile({ process: { cwd: '/proc/self/fd/7' } });
  const made = positionOf(plan, (step) => step.op === 'mkdir' && step.target === '/proc/self/fd/7');
  assert.ok(made < positionOf(plan, (step) => step.op === 'pivot'));
  assert.ok(made > positionOf(plan, (step) => step.op === 'mount'));
  assert.ok(!steps(compile({ process: { cwd: '/' } })).some((step) => step.op === 'mkdir' && step.target === '/'));
});

test('SEC-12 compilePlan: what lies inside the root is reached through root paths only, never through the path of the mounted root', () => {
  for (const step of steps(compile({ process: { terminal: true } }))) {
    if (step.op !== 'overlay' && 'target' in step) assert.ok(!step.target.startsWith('/t/'), JSON.stringify(step.target));
  }
});

test('SEC-14 compilePlan: ids out of range are refused', () => {
  for (const uid of [4_294_967_295, 4_294_967_296, -1, 0.5]) {
    assert.throws(() => compile({ process: { user: { uid, gid: 0 } } }), /uids and gids must be in range/);
    assert.throws(() => compile({ process: { user: { uid: 0, gid: 0, additionalGids: [uid] } } }), /uids and gids must be in range/);
  }
});

test('compilePlan: what would change the host is refused', () => {
  const refuses = (changes: Changes, message: RegExp): void => assert.throws(() => compile(changes), message);
  refuses({ linux: { sysctl: { 'kernel.core_pattern': '|/x' } } }, /sysctl "kernel.core_pattern" is not in a separate kernel namespace/);
  refuses(
    { linux: { namespaces: [{ type: 'mount' }, { type: 'uts' }], sysctl: { 'net.core.somaxconn': '1' } } },
    /sysctl "net.core.somaxconn" is not allowed in the hosts network namespace/,
  );
  refuses({ linux: { namespaces: [{ type: 'mount' }] } }, /A hostname needs a UTS namespace/);
  refuses({ linux: { namespaces: [{ type: 'uts' }] } }, /needs a mount namespace/);
});

test('compilePlan: what could fake /proc is refused', () => {
  const over = (destination: string) =>
    compile({ spec: { mounts: [procMount, { destination, type: 'bind', source: '/x', options: ['rbind'] }] } });
  assert.throws(() => over('/proc/self'), /inside \/proc/);
  assert.throws(() => over('/tmp/../proc/sys'), /inside \/proc/);
  over('/proc/cpuinfo');
  const parameters = '/proc/driver/nvidia/params';
  assert.throws(() => over(parameters), /inside \/proc/);
  const file = { content: Buffer.from('ModifyDeviceFiles: 0\n'), mode: 0o444, uid: 0, gid: 0 };
  const filled = (destination: string) => compile({ spec: { mounts: [procMount, { destination, type: 'memory-file', file }] } });
  assert.deepEqual(findStep(filled(parameters), 'memory-file')?.target, parameters);
  assert.throws(() => filled('/proc/self/status'), /inside \/proc/);
  assert.throws(() => filled('/proc/driver/nvidia/../../self/status'), /inside \/proc/);
});

test('compilePlan: what has no step is refused by name', () => {
  const missing = (changes: Changes, message: RegExp): void => assert.throws(() => compile(changes), { code: 'not-implemented', message });
  missing({ linux: { namespaces: [...ownNamespaces, { type: 'time' }] } }, /A time namespace/);
  missing({ process: { selinuxLabel: 'x' } }, /SELinux label "x"/);
  missing({ linux: { rootfsPropagation: 'unbindable' } }, /Root propagation "unbindable"/);
  missing({ spec: { mounts: [{ destination: '/x', type: 'ext4', source: '/dev/vda' }] } }, /type "ext4"/);
  missing({ spec: { mounts: [{ destination: '/x', type: 'tmpfs', options: ['shared'] }] } }, /Shared propagation/);
});

test('compilePlan: a bundle is a directory bound on itself', () => {
  assert.equal(findStep(compile({}, { rootfs: { kind: 'directory', path: '/bundle/rootfs' } }), 'bind-root')?.source, '/bundle/rootfs');
});

test('compileExecPlan: enters every namespace that the container has, its cgroup, and nothing else', () => {
  const spec = specWith({ process: { terminal: true, consoleSize: { height: 24, width: 80 } } });
  const plan = compileExecPlan(spec, context);
  assert.deepEqual(plan.joins, [{ kind: 'init', nstypes: CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC }]);
  assert.equal(plan.cloneFlags, 0);
  assert.equal(plan.cgroup2, v1.v2Directory);
  assert.deepEqual(
    plan.before.map(({ step }) => (step.op === 'write-file' ? step.path : step.op)),
    [...v1.joinFiles, '/proc/self/oom_score_adj'],
  );
  assert.deepEqual(ops(plan), ['terminal', 'keyring', 'chdir', 'bounding', 'seccomp', 'user', 'capabilities', 'exec']);
  assert.deepEqual(steps(plan)[0], { op: 'terminal', console: false, rows: 24, columns: 80 });
});

test('compileExecPlan: PATH of the process, or the one of execvp', () => {
  const pathOf = (env: string[]) => findStep(compileExecPlan(specWith({ process: { env } }), context), 'exec')?.path;
  assert.equal(pathOf(['PATH=/a', 'PATH=/b']), '/b');
  assert.equal(pathOf(['X=1']), '/bin:/usr/bin');
});

test('compilePlan: a user namespace is made first and entered last, and what is made between belongs to its root', () => {
  const map = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const changes: Changes = {
    linux: { namespaces: [...ownNamespaces, { type: 'user' }], uidMappings: map, gidMappings: map },
    process: { user: { uid: 7, gid: 8 }, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }] },
    spec: { mounts: [procMount, devMount, { destination: '/t', type: 'tmpfs', options: ['uid=5', 'gid=6', 'size=1m'] }] },
  };
  const plan = compile(changes);
  assert.equal(plan.cloneFlags & 0x1000_0000, 0, 'not by clone');
  assertOrder(plan, 'propagation', 'user-namespace', 'bind', 'file-owner', 'overlay', 'mknod', 'pivot', 'rlimit');
  assertOrder(plan, 'rlimit', 'own-stdio', 'enter-user-namespace', 'unshare', 'keyring', 'capabilities', 'exec');
  assert.equal(findStep(plan, 'own-stdio')?.uid, 100_007);
  assert.deepEqual(
    steps(plan).flatMap((step) => (step.op === 'bind' && step.uidMap.length > 0 ? [step.target] : [])),
    ['/l', '/'],
    'the layers, and what holds upper and work directory',
  );
  assert.equal(findStep(plan, 'mknod')?.uid, 100_000);
  assert.ok(steps(plan).some((step) => step.op === 'mount' && step.data === 'uid=100005,gid=100006,size=1m'));
  const users = steps(plan).flatMap((step) => (step.op === 'user' ? [step.uid] : []));
  assert.deepEqual(users, [0, 7], 'root of the namespace first, by numbers of the inside');
  assert.throws(() => compile({ ...changes, process: { user: { uid: 1000, gid: 0 } } }), /1000 is not in the container's user namespace/);
  const exec = compileExecPlan(specWith(changes), context);
  assert.deepEqual(
    exec.before.map(({ step }) => step.op).slice(-2),
    ['rlimit', 'own-stdio'],
    "with the host's rights, before the namespace is entered",
  );
  assert.equal(exec.joins[0]?.kind === 'init' && (exec.joins[0].nstypes & 0x1000_0000) !== 0, true);
  assert.deepEqual(ops(exec).slice(0, 2), ['user', 'keyring']);
});

test('compilePlan: hooks of the host after the mounts and before the pivot, those of the container confined, last before the process', () => {
  const hook = { path: '/h' };
  const plan = compile({ spec: { hooks: { createRuntime: [hook], createContainer: [hook], startContainer: [hook] } } });
  const all = ops(plan);
  const [first, second] = steps(plan).filter((step) => step.op === 'hook');
  assert.deepEqual([first?.confined, second?.confined], [false, true]);
  assert.ok(all.lastIndexOf('mount') < all.indexOf('checkpoint'));
  assert.deepEqual(all.slice(all.indexOf('checkpoint'), all.indexOf('pivot')), ['checkpoint', 'hook']);
  // Whatever takes rights away comes after it, for the hook as for the process.
  assert.ok(all.lastIndexOf('hook') < Math.min(...(['bounding', 'seccomp', 'user', 'capabilities'] as const).map((op) => all.indexOf(op))));
  assert.ok(!ops(compile({ spec: { hooks: { poststop: [hook] } } })).includes('checkpoint'));
});

test('compilePlan: a group of Intel RDT is joined with the cgroups', () => {
  const plan = compile({}, { resctrl: ['/sys/fs/resctrl/gold/tasks'] });
  const [cgroup, group] = [v1.joinFiles[0], '/sys/fs/resctrl/gold/tasks'].map((path) =>
    positionOf(plan, (step) => step.op === 'write-file' && step.path === path),
  );
  assert.ok((cgroup ?? 0) < (group ?? 0) && (group ?? 0) < positionOf(plan, ({ op }) => op === 'unshare' || op === 'propagation'));
});
