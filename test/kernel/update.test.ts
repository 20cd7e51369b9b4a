/** New limits for containers that run, in this kernel's cgroups. Needs root and the docker command line. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { cgroupText, containersMissing, dockerOutput } from '../harness/running-containers.ts';

const skip = await containersMissing();

const host = skip === false ? cgroupHost() : null;
const isV1 = host?.v1.has('memory') ?? false;

suite('update', { skip }, () => {
  let daemon: GantryDaemon;
  let pid = '';

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    await docker('run', '-d', '--name', 'box', '--network', 'none', '-m', '64m', '--memory-swap', '128m', 'busybox', 'sleep', '1000');
    pid = await docker('inspect', '-f', '{{.State.Pid}}', 'box');
  });

  after(async () => {
    await daemon.dispose();
  });

  const docker = (...args: readonly string[]) => dockerOutput(daemon.host, ...args);

  async function refused(...args: readonly string[]): Promise<string> {
    const { status, stderr } = await runCommand(['docker', '-H', daemon.host, ...args]);
    assert.equal(status, 1, `docker ${args.join(' ')} succeeded`);
    return stderr;
  }

  /** What the kernel says: the file of cgroup v1, or that of v2. */
  const value = (controller: string, v1File: string, v2File: string) => cgroupText(pid, controller, v1File, v2File) ?? '';

  test('limits of a running container are in force at once, and stored', async () => {
    await docker('update', '-m', '100m', '--memory-swap', '200m', '--cpus', '0.5', '--cpuset-cpus', '0', '--pids-limit', '30', 'box');
    assert.equal(value('memory', 'memory.limit_in_bytes', 'memory.max'), String(100 * 2 ** 20));
    assert.equal(value('memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max'), String((isV1 ? 200 : 100) * 2 ** 20));
    assert.match(value('cpu', 'cpu.cfs_quota_us', 'cpu.max'), /^50000/);
    assert.equal(value('cpuset', 'cpuset.cpus', 'cpuset.cpus'), '0');
    assert.equal(value('pids', 'pids.max', 'pids.max'), '30');
    const stored = '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}} {{.HostConfig.PidsLimit}}';
    assert.equal(await docker('inspect', '-f', stored, 'box'), `${100 * 2 ** 20} 500000000 0 30`);
    await docker('update', '--pids-limit', '-1', '--memory-swap', '-1', 'box');
    assert.equal(value('pids', 'pids.max', 'pids.max'), 'max');
    assert.match(value('memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max'), /^(max|9223372036854771712)$/);
    await docker('restart', '-t', '0', 'box');
    pid = await docker('inspect', '-f', '{{.State.Pid}}', 'box');
    assert.equal(value('memory', 'memory.limit_in_bytes', 'memory.max'), String(100 * 2 ** 20));
  });

  test('a limit that the kernel refuses leaves all others as they were', { skip: isV1 ? false : 'needs cgroup v1' }, async () => {
    await docker('update', '--cpu-shares', '300', 'box');
    const before = await docker('inspect', '-f', '{{json .HostConfig}}', 'box');
    // No cgroup above has a budget of real time.
    assert.match(await refused('update', '--cpu-shares', '700', '--cpu-rt-runtime', '1000', 'box'), /Cannot update container .*real-time/);
    assert.equal(value('cpu', 'cpu.shares', 'cpu.weight'), '300');
    assert.equal(await docker('inspect', '-f', '{{json .HostConfig}}', 'box'), before);
  });

  test('a memory limit below what is in use is refused and says how much is', async () => {
    const fill = 'dd if=/dev/zero of=/dev/shm/x bs=1M count=40 && echo full; sleep 1000';
    await docker('run', '-d', '--name', 'full', '--network', 'none', '-m', '64m', 'busybox', 'sh', '-c', fill);
    const deadline = Date.now() + 20_000;
    while (!(await docker('logs', 'full')).includes('full')) assert.ok(Date.now() < deadline);
    if (isV1) assert.match(await refused('update', '-m', '6m', '--memory-swap', '6m', 'full'), /\d{8} bytes are in use/);
    assert.equal(await docker('inspect', '-f', '{{.HostConfig.Memory}}', 'full'), String(64 * 2 ** 20));
  });
});
