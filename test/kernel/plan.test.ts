/**
 * Docker options → spec → plan → process, on this kernel: what a container sees of each option. Needs root, cgroups, busybox-static and a C compiler.
 * The parts between (images, API, CLI) are left out, so that a failure here is one of the spec or of the plan.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { ContainerId } from '../../src/base/brand.ts';
import type { ContainerConfig, HostConfig } from '../../src/containers/config.ts';
import { defaultContainerConfig, defaultHostConfig } from '../../src/containers/config-defaults.ts';
import { hostDevices } from '../../src/containers/devices.ts';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { plainMounts } from '../../src/containers/mounts.ts';
import { runtimeSpec } from '../../src/containers/runtime-spec.ts';
import type { JoinedNamespaces } from '../../src/containers/spec-namespaces.ts';
import { nothingJoined } from '../../src/containers/spec-namespaces.ts';
import { removeCgroup } from '../../src/linux/cgroups.ts';
import type { RuntimeSpec } from '../../src/oci/runtime-spec.ts';
import { resolveUser } from '../../src/oci/users.ts';
import type { RunningContainer, StdioStream } from '../../src/runtime/runtime.ts';
import { FrameDecoder } from '../../src/wire/stream-frames.ts';
import { type NativeFixture, openNativeFixture, whyNoNativeRuntime } from './native-fixture.ts';

const skip = whyNoNativeRuntime() ?? false;
const host = readHostFacts();
const alone: JoinedNamespaces = nothingJoined;
const passwd = 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n';

interface Started {
  readonly process: RunningContainer;
  readonly spec: RuntimeSpec;
}

suite('plans of Docker options', { skip }, () => {
  let fixture: NativeFixture;
  const cgroup = `/gantry-plan-${process.pid}`;

  before(async () => {
    fixture = await openNativeFixture();
    for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(fixture.directory, name), `the ${name}\n`);
    mkdirSync(join(fixture.directory, 'shared/below'), { recursive: true });
    writeFileSync(join(fixture.directory, 'shared/file'), 'from the host\n');
  });
  after(async () => {
    await removeCgroup(cgroup).catch(() => undefined);
    await fixture?.dispose();
  });

  async function start(config: Partial<ContainerConfig>, given: Partial<HostConfig> = {}, joined = alone): Promise<Started> {
    const id = randomBytes(32).toString('hex') as ContainerId;
    const hostConfig = defaultHostConfig(given);
    const user = resolveUser(config.User ?? '', hostConfig.GroupAdd ?? [], { passwd, group: null });
    const file = (name: string): string => join(fixture.directory, name);
    const files = { resolvConf: file('resolv.conf'), hostname: file('hostname'), hosts: file('hosts') };
    const mounts = plainMounts(hostConfig);
    const input = { id, config: defaultContainerConfig(config), hostConfig, user, host, files, mounts, joined };
    const spec = runtimeSpec({ ...input, cgroupsPath: `${cgroup}/${id}`, findDevices: hostDevices });
    const attachments = [{ stdin: false, stdout: true, stderr: true }];
    const process = await fixture.runtime.start({ id, spec, rootfs: fixture.rootfs(), log: null, stdin: 'null', attachments });
    return { process, spec };
  }

  async function textOf(stream: StdioStream | null | undefined, tty: boolean): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
    if (tty) return Buffer.concat(chunks).toString();
    const payloads: Buffer[] = [];
    new FrameDecoder((_stream, payload) => payloads.push(payload)).push(Buffer.concat(chunks));
    return Buffer.concat(payloads).toString();
  }

  async function sh(
    script: string,
    hostConfig: Partial<HostConfig> = {},
    config: Partial<ContainerConfig> = {},
    joined = alone,
  ): Promise<string> {
    const { process } = await start({ Cmd: ['sh', '-c', script], ...config }, hostConfig, joined);
    const text = await textOf(process.attached[0], config.Tty === true);
    await process.exited;
    await process.release();
    return text.replaceAll('\r\n', '\n');
  }

  test('the default sandbox: 14 capabilities, a filter, masks, its own files and names', async () => {
    const text = await sh(
      'grep -E "^(CapPrm|CapBnd|CapInh|NoNewPrivs|Seccomp):" /proc/self/status; wc -c < /proc/keys; ls /sys/firmware; cat /etc/hosts; hostname | wc -c; echo x > /proc/sys/kernel/panic',
    );
    assert.match(
      text,
      /CapInh:\t0{16}\nCapPrm:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n0\nthe hosts\n13\n/,
    );
    assert.match(text, /Read-only file system/);
  });

  test('SEC-09 descriptors 0 to 2 only, and no working directory outside the root', async () => {
    // ls itself opens the directory as 3.
    assert.equal(await sh('ls /proc/self/fd'), '0\n1\n2\n3\n');
    for (const descriptor of [3, 4, 5, 6, 7, 8, 9, 10]) {
      await assert.rejects(start({ Cmd: ['pwd'], WorkingDir: `/proc/self/fd/${descriptor}` }), /working directory/);
    }
  });

  test('mounts of the peer are there, each once, and nothing of the host', async () => {
    const points = (await sh('cut -d" " -f2 /proc/mounts')).trim().split('\n');
    for (const point of [
      '/',
      '/proc',
      '/dev',
      '/dev/pts',
      '/dev/mqueue',
      '/dev/shm',
      '/sys',
      '/etc/hosts',
      '/etc/hostname',
      '/etc/resolv.conf',
    ]) {
      assert.equal(points.filter((each) => each === point).length, 1, point);
    }
    const known =
      /^\/(|proc|proc\/.*|dev|dev\/(pts|mqueue|shm)|sys|sys\/(firmware|fs\/cgroup.*|devices\/.*)|etc\/(hosts|hostname|resolv\.conf))$/;
    assert.deepEqual(
      points.filter((point) => !known.test(point)),
      [],
    );
  });

  test('limits are set, and shown inside', { skip: host.cgroupVersion === 2 ? 'needs a v1 tree' : false }, async () => {
    const files = ['memory/memory.limit_in_bytes', 'cpu/cpu.cfs_quota_us', 'pids/pids.max', 'cpuset/cpuset.cpus'].map(
      (name) => `/sys/fs/cgroup/${name}`,
    );
    const limits = { Memory: 64 * 2 ** 20, NanoCpus: 5e8, PidsLimit: 50, CpusetCpus: '0', OomScoreAdj: 300 };
    const ulimits = { Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }] };
    const text = await sh(`cat ${files.join(' ')} /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; touch /sys/fs/cgroup/x`, {
      ...limits,
      ...ulimits,
    });
    assert.match(text, /^67108864\n50000\n50\n0\n300\n100\n200\n.*Read-only file system/);
  });

  test('binds: a read-only one, one of a file, one that follows the host', async () => {
    const shared = join(fixture.directory, 'shared');
    const Binds = [`${shared}:/a:ro`, `${shared}/file:/b`, `${shared}:/c:rslave`];
    assert.match(
      await sh('cat /a/file /b; touch /a/x; touch /c/y; ls /a', { Binds }),
      /^from the host\nfrom the host\ntouch: .*Read-only.*\nbelow\nfile\ny\n$/,
    );
  });

  test('a read-only root with a tmpfs', async () => {
    const options = { ReadonlyRootfs: true, Tmpfs: { '/tmp': 'size=1m,mode=700' } };
    assert.match(
      await sh('touch /x; touch /tmp/x && stat -c %a /tmp; touch /etc/hosts', options),
      /^touch: .*Read-only.*\n700\ntouch: .*Read-only/,
    );
  });

  test('user, working directory and terminal', async () => {
    const config = { User: 'www', WorkingDir: '/srv/new', Tty: true, Domainname: 'example.test' };
    const text = await sh(
      'id -u; pwd; tty; stty size; echo $HOME $TERM; cat /proc/sys/kernel/domainname',
      { ConsoleSize: [30, 100] },
      config,
    );
    assert.equal(text, '33\n/srv/new\n/dev/pts/0\n30 100\n/var/www xterm\nexample.test\n');
  });

  test('no-new-privileges, unconfined, sysctls, devices', async () => {
    const status = 'grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status';
    assert.equal(await sh(status, { SecurityOpt: ['no-new-privileges'] }), 'NoNewPrivs:\t1\nSeccomp:\t2\n');
    const open = ['seccomp=unconfined', 'systempaths=unconfined'];
    assert.equal(await sh(`${status}; grep -c ' /proc/' /proc/mounts`, { SecurityOpt: open }), 'NoNewPrivs:\t0\nSeccomp:\t0\n0\n');
    assert.equal(await sh('cat /proc/sys/kernel/shmmax', { Sysctls: { 'kernel.shmmax': '123456' } }), '123456\n');
    const Devices = [{ PathOnHost: '/dev/zero', PathInContainer: '/dev/deep/zz', CgroupPermissions: 'r' }];
    assert.equal(await sh('head -c 3 /dev/deep/zz | wc -c', { Devices }), '3\n');
    assert.match(await sh('mknod /tmp/k c 1 11 && cat /tmp/k; rm -f /tmp/k'), /not permitted/);
  });

  test('privileged: what the host gives, and writable system paths', async () => {
    const ours = /CapBnd:\t([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    const text = await sh('grep CapEff /proc/self/status; mount -t tmpfs x /tmp && echo mounted; ls /dev | grep -c tty', {
      Privileged: true,
    });
    assert.match(text, new RegExp(`^CapEff:\t${ours}\nmounted\n[1-9]`));
  });

  test('namespaces of the host, of another container, and of the container that an exec enters', async () => {
    const links = (text: string): string[] => text.trim().split('\n');
    const read = 'for n in net pid ipc uts mnt; do readlink /proc/self/ns/$n; done';
    const ofHost = ['net', 'pid', 'ipc', 'uts'].map((name) => readlinkSync(`/proc/self/ns/${name}`));
    const shared = links(await sh(read, { NetworkMode: 'host', PidMode: 'host', IpcMode: 'host', UTSMode: 'host' }));
    assert.deepEqual(shared.slice(0, 4), ofHost);
    const { process: other, spec } = await start({ Cmd: ['sleep', '100'] });
    const joined = { ...nothingJoined, network: `/proc/${other.pid}/ns/net`, pid: `/proc/${other.pid}/ns/pid` };
    const joining = links(await sh(`${read}; cat /proc/1/comm`, { NetworkMode: 'container:x', PidMode: 'container:x' }, {}, joined));
    const exec = await other.exec({
      id: randomBytes(32).toString('hex'),
      spec: { ...spec, process: { ...spec.process, args: ['sh', '-c', `${read}; cat /proc/self/cgroup`] } },
      stdin: false,
      stdout: true,
      stderr: true,
    });
    const inside = links(await textOf(exec.stream, false));
    assert.deepEqual(joining.slice(0, 2), inside.slice(0, 2));
    assert.equal(joining[5], 'sleep');
    assert.ok(inside.slice(0, 4).every((link, index) => link !== ofHost[index]));
    assert.ok(inside.some((line) => line.endsWith(spec.linux.cgroupsPath ?? '?')) || host.cgroupVersion === 2);
    await other.kill(9, 'all');
    await other.exited;
    await other.release();
  });
});
