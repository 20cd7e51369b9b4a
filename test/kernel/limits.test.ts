/** Every limit of `docker run`, as the kernel has it for a container that runs. Needs root and the docker command line; what a host's kernel lacks is skipped. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { limitSupport } from '../../src/linux/cgroup-facts.ts';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { cgroupText, containersMissing, dockerOutput } from '../harness/running-containers.ts';

const skip = await containersMissing();

const host = skip === false ? cgroupHost() : null;
const ownParent = `/gantry-limits-${process.pid}`;

/** Flags, the controller, its file in v1 and in v2 (null: it has none), and what the kernel must say. */
type Row = readonly [readonly string[], string, string | null, string | null, RegExp];

const rows: readonly Row[] = [
  [['-m', '64m'], 'memory', 'memory.limit_in_bytes', 'memory.max', /^67108864$/],
  [['-m', '64m', '--memory-swap', '96m'], 'memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max', /^(100663296|33554432)$/],
  [['-m', '64m', '--memory-reservation', '32m'], 'memory', 'memory.soft_limit_in_bytes', 'memory.low', /^33554432$/],
  [['--memory-swappiness', '7'], 'memory', 'memory.swappiness', null, /^7$/],
  [['-m', '64m', '--oom-kill-disable'], 'memory', 'memory.oom_control', null, /^oom_kill_disable 1$/m],
  [['--cpu-shares', '512'], 'cpu', 'cpu.shares', 'cpu.weight', /^(512|59)$/],
  [['--cpus', '0.5'], 'cpu', 'cpu.cfs_quota_us', 'cpu.max', /^50000\b/],
  [['--cpu-period', '50000', '--cpu-quota', '20000'], 'cpu', 'cpu.cfs_quota_us', 'cpu.max', /^20000\b/],
  [['--cpu-rt-period', '500000', '--cpu-rt-runtime', '1000'], 'cpu', 'cpu.rt_runtime_us', null, /^1000$/],
  [['--cpuset-cpus', '0', '--cpuset-mems', '0'], 'cpuset', 'cpuset.cpus', 'cpuset.cpus', /^0$/],
  [['--pids-limit', '17'], 'pids', 'pids.max', 'pids.max', /^17$/],
  [['--device-read-bps', 'DISK:1mb'], 'blkio', 'blkio.throttle.read_bps_device', 'io.max', /^DEV (1048576$|rbps=1048576 )/m],
  [['--device-write-bps', 'DISK:2mb'], 'blkio', 'blkio.throttle.write_bps_device', 'io.max', /^DEV (2097152$|.*wbps=2097152 )/m],
  [['--device-read-iops', 'DISK:100'], 'blkio', 'blkio.throttle.read_iops_device', 'io.max', /^DEV (100$|.*riops=100 )/m],
  [['--device-write-iops', 'DISK:200'], 'blkio', 'blkio.throttle.write_iops_device', 'io.max', /^DEV (200$|.*wiops=200)/m],
];

suite('limits', { skip }, () => {
  let daemon: GantryDaemon;
  const disk = wholeDisk();

  before(async () => {
    const defaults = [
      '--default-ulimit',
      'nofile=1000:2000',
      '--default-shm-size',
      '32M',
      '--cpu-rt-period',
      '500000',
      '--cpu-rt-runtime',
      '10000',
    ];
    daemon = await startGantry({ flags: defaults });
    await loadBusybox(daemon.host);
  });

  after(async () => {
    await daemon.dispose();
  });

  const docker = (...args: readonly string[]) => dockerOutput(daemon.host, ...args);

  for (const [flags, controller, v1File, v2File, expected] of rows) {
    test(`run ${flags.join(' ')}`, { skip: whyNot(flags, disk) }, async () => {
      const given = flags.map((flag) => flag.replace('DISK', disk?.path ?? ''));
      const id = await docker('run', '-d', '--network', 'none', ...given, 'busybox', 'sleep', '1000');
      const text = cgroupText(await docker('inspect', '-f', '{{.State.Pid}}', id), controller, v1File, v2File);
      await docker('rm', '-f', id);
      if (text !== null) assert.match(text, new RegExp(expected.source.replace('DEV', disk?.numbers ?? ''), expected.flags));
    });
  }

  test('--oom-score-adj, --sysctl, --ulimit: as the process has them', async () => {
    const given = [
      '--oom-score-adj',
      '500',
      '--sysctl',
      'net.ipv4.ip_default_ttl=42',
      '--sysctl',
      'kernel.msgmax=9000',
      '--ulimit',
      'nproc=77:88',
    ];
    const script =
      'cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax; grep processes /proc/self/limits';
    const text = await docker('run', '--rm', '--network', 'none', ...given, 'busybox', 'sh', '-c', script);
    assert.match(text, /^500\n42\n9000\nMax processes +77 +88 /);
  });

  test('--device and --device-cgroup-rule: what may be opened', async () => {
    const script =
      'mknod /tun c 10 200; (: <>/tun) 2>&1; mknod /mem c 1 1; (: </mem) 2>&1; [ -c /dev/extra ] && head -c 3 /dev/extra | wc -c';
    const run = (...given: readonly string[]) =>
      docker('run', '--rm', '--network', 'none', '--device', '/dev/zero:/dev/extra:r', ...given, 'busybox', 'sh', '-c', script);
    assert.match(await run(), /tun: Operation not permitted.*mem: Operation not permitted.*\b3$/s);
    // What is behind it on this host is another matter: the cgroup lets it pass.
    assert.doesNotMatch(await run('--device-cgroup-rule', 'c 10:200 rwm'), /tun: Operation not permitted/);
  });

  test("the daemon's defaults, and a container that says it itself", async () => {
    const script = 'ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1';
    assert.match(await docker('run', '--rm', '--network', 'none', 'busybox', 'sh', '-c', script), /^1000\n2000\nshm +32768 /);
    const own = ['--ulimit', 'nofile=50', '--shm-size', '1m'];
    assert.match(await docker('run', '--rm', '--network', 'none', ...own, 'busybox', 'sh', '-c', script), /^50\n50\nshm +1024 /);
  });

  test('--cgroup-parent: below the root, and below the daemon', async () => {
    const paths = async (parent: string) =>
      await docker(
        'run',
        '--rm',
        '--network',
        'none',
        '--cgroupns',
        'host',
        '--cgroup-parent',
        parent,
        'busybox',
        'cat',
        '/proc/self/cgroup',
      );
    try {
      assert.match(await paths(`${ownParent}/a`), new RegExp(`:${ownParent}/a/[0-9a-f]{64}$`, 'm'));
    } finally {
      for (const name of ['/a', '']) for (const root of roots()) removeQuietly(`${root}${ownParent}${name}`);
    }
    assert.match(await paths('group/b'), /:\/gantry-[0-9a-f]+\/group\/b\/[0-9a-f]{64}$/m);
    assert.deepEqual(
      roots().filter((root) => readdirSync(root).some((name) => existsSync(`${root}/${name}/group/b`))),
      [],
    );
  });

  test('a paused and adopted container keeps its cgroup parent', async () => {
    await docker(
      'run',
      '-d',
      '--name',
      'below',
      '--network',
      'none',
      '--cgroup-parent',
      'group',
      '--pids-limit',
      '9',
      'busybox',
      'sleep',
      '1000',
    );
    await daemon.crash();
    await daemon.restart();
    await docker('pause', 'below');
    await docker('update', '--pids-limit', '8', 'below');
    assert.equal(cgroupText(await docker('inspect', '-f', '{{.State.Pid}}', 'below'), 'pids', 'pids.max', 'pids.max'), '8');
    await docker('unpause', 'below');
    await docker('rm', '-f', 'below');
  });
});

function roots(): readonly string[] {
  return [...new Set([...(host?.v1.values() ?? []), ...(host?.unified === null || host === null ? [] : [host.unified])])];
}

function removeQuietly(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not in this hierarchy.
  }
}

function wholeDisk(): { readonly path: string; readonly numbers: string } | null {
  if (!existsSync('/sys/block')) return null;
  const name = readdirSync('/sys/block').find((each) => existsSync(`/dev/${each}`) && !/^(loop|ram|zram)/.test(each));
  if (name === undefined || !statSync(`/dev/${name}`).isBlockDevice()) return null;
  return { path: `/dev/${name}`, numbers: readFileSync(`/sys/block/${name}/dev`, 'utf8').trim() };
}

function whyNot(flags: readonly string[], disk: ReturnType<typeof wholeDisk>): string | false {
  if (skip !== false) return skip;
  const support = limitSupport();
  if (flags.some((flag) => flag.includes('DISK')) && (disk === null || !support.blockThrottle)) return 'needs a disk and block I/O limits';
  if (flags.includes('--cpu-rt-runtime') && !support.cpuRealtime) return 'needs real-time budgets of cgroup v1';
  if (flags.includes('--memory-swap') && !support.swap) return 'needs swap accounting';
  return false;
}
