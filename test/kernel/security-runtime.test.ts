/**
 * SECURITY.md rows 9, 10, 12, 14 and 16 seen from inside a container, through the docker CLI on a daemon of ours.
 * Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('the sandbox against known escapes', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const run = (...args: string[]): Promise<CommandResult> => docker('run', '--rm', '--network', 'none', ...args);

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  /** An image made of one tar of hostile entries, imported on top of nothing; /bin/busybox comes along. */
  const importRoot = async (name: string, script: string): Promise<CommandResult> =>
    shell(
      `set -e; d=$(mktemp -d); trap 'rm -rf $d' EXIT; mkdir $d/r; cd $d/r; mkdir bin; cp /bin/busybox bin/; ln bin/busybox bin/sh; ln bin/busybox bin/cat; ln bin/busybox bin/ls; ${script}; tar -c . | docker -H ${daemon.host} import - ${name}`,
    );

  test('SEC-09 a working directory in /proc/self/fd reaches nothing of the host', async () => {
    for (let descriptor = 3; descriptor <= 50; descriptor += 1) {
      const { stdout } = await run(
        '-w',
        `/proc/self/fd/${descriptor}`,
        'busybox',
        'sh',
        '-c',
        'ls ../../etc/gantry-canary ../../../../../../etc/machine-id 2>/dev/null; pwd',
      );
      assert.ok(!stdout.includes('machine-id'), `descriptor ${descriptor}: ${stdout}`);
    }
  });

  test('SEC-09 exec with such a working directory fails too', async () => {
    await docker('run', '-d', '--name', 'sec09', '--network', 'none', 'busybox', 'sleep', '100');
    for (const descriptor of [3, 4, 5, 6, 7, 8, 9, 10, 20]) {
      const { status, stdout } = await docker('exec', '-w', `/proc/self/fd/${descriptor}`, 'sec09', 'sh', '-c', 'pwd -P; ls');
      assert.notEqual(status, 0, stdout);
    }
    await docker('rm', '-f', 'sec09');
  });

  test('SEC-09 a container sees descriptors 0 to 2 only', async () => {
    // ls itself opens the directory as 3.
    assert.equal((await run('busybox', 'ls', '/proc/self/fd')).stdout, '0\n1\n2\n3\n');
    await docker('run', '-d', '--name', 'sec09b', '--network', 'none', 'busybox', 'sleep', '100');
    assert.equal((await docker('exec', 'sec09b', 'ls', '/proc/self/fd')).stdout, '0\n1\n2\n3\n');
    assert.equal((await docker('exec', 'sec09b', 'ls', '/proc/1/fd')).stdout, '0\n1\n2\n');
    await docker('rm', '-f', 'sec09b');
  });

  test('SEC-10 the program behind /proc/self/exe of init and exec is not the launcher, and the launcher is unchanged', async () => {
    const launcher = launcherPath();
    const before = digest(launcher);
    await docker('run', '-d', '--name', 'sec10', '--network', 'none', 'busybox', 'sleep', '100');
    const attack = 'for p in /proc/[0-9]*; do echo overwritten >$p/exe; done 2>/dev/null; readlink /proc/self/exe';
    for (const result of [
      await docker('exec', 'sec10', 'sh', '-c', attack),
      await run('--entrypoint', '/proc/self/exe', 'busybox', 'sh', '-c', attack),
    ]) {
      assert.ok(!/gantry|memfd/.test(result.stdout), result.stdout);
    }
    await docker('rm', '-f', 'sec10');
    assert.equal(digest(launcher), before);
  });

  test('SEC-12 an image with /dev, /proc, /sys and /etc files as links gets the init layer instead', async () => {
    const canary = `${daemon.directory}/canary`;
    const made = await importRoot(
      'hostile:links',
      `echo untouched >${canary}; ln -s ${daemon.directory} dev; ln -s ${daemon.directory} proc; ln -s / sys; ln -s ${daemon.directory} etc`,
    );
    assert.equal(made.status, 0, made.stderr);
    const listing = readdirSync(daemon.directory).sort();
    const { status, stdout, stderr } = await run(
      'hostile:links',
      '/bin/sh',
      '-c',
      '[ -c /dev/null ] && [ -d /proc/1 ] && [ ! -L /dev ] && [ ! -L /proc ] && cat /etc/hostname >/dev/null && echo safe',
    );
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'safe\n');
    assert.deepEqual(readdirSync(daemon.directory).sort(), listing);
    assert.equal(readFileSync(canary, 'utf8'), 'untouched\n');
  });

  test('SEC-12 /etc/hosts, hostname and resolv.conf as links do not redirect the mounts', async () => {
    const target = `${daemon.directory}/redirected`;
    const made = await importRoot(
      'hostile:etc',
      `echo host >${target}; mkdir etc; for f in hosts hostname resolv.conf; do ln -s ../../../../../../../..${target} etc/$f; done`,
    );
    assert.equal(made.status, 0, made.stderr);
    const { status, stderr } = await run(
      '-h',
      'me',
      'hostile:etc',
      '/bin/sh',
      '-c',
      '[ ! -L /etc/hostname ] && [ "$(cat /etc/hostname)" = me ] && echo x >>/etc/hosts',
    );
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(target, 'utf8'), 'host\n');
  });

  test('SEC-14 user ids beyond 2^31-1 are refused; names of digits are ids only when they are', async () => {
    for (const user of ['4294967296', '2147483648', '0:4294967296']) {
      const { status, stderr } = await run('-u', user, 'busybox', 'id', '-u');
      assert.equal(status, 125, user);
      assert.match(stderr, /uids and gids must be in range 0-2147483647/);
    }
    const made = await importRoot(
      'hostile:passwd',
      `mkdir etc; printf '1000:x:0:0::/:/bin/sh\\nroot:x:0:0::/:/bin/sh\\n' >etc/passwd; ln bin/busybox bin/id`,
    );
    assert.equal(made.status, 0, made.stderr);
    // A passwd line whose *name* is 1000 must not turn `-u 1000` into root: the peer maps it, and so the id must be explicit.
    const { stdout } = await run('-u', '1000', 'hostile:passwd', '/bin/id', '-u');
    assert.equal(stdout, '1000\n');
  });

  test('SEC-14 supplementary groups are exact and inheritable capabilities empty', async () => {
    const { stdout } = await run('-u', '1000:1000', 'busybox', 'sh', '-c', 'grep -E "^(Groups|CapInh|CapAmb|CapEff)" /proc/self/status');
    assert.equal(
      stdout.replace(/[ \t]+/g, ' '),
      'Groups: 1000 \nCapInh: 0000000000000000\nCapEff: 0000000000000000\nCapAmb: 0000000000000000\n',
    );
  });

  test('SEC-16 no abstract socket of ours exists, and the sockets are closed to others', async () => {
    const abstract = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .filter((line) => /@.*(gantry|monitor|launcher)/i.test(line));
    assert.deepEqual(abstract, []);
    const { stdout } = await shell(`stat -c %a ${daemon.execRoot} ${daemon.execRoot}/m`);
    for (const mode of stdout.trim().split('\n')) assert.match(mode, /^7?[0-7]?[01]?[01]$|^7[01][01]$/);
    const inside = await docker('run', '--rm', '--network', 'host', 'busybox', 'sh', '-c', `ls ${daemon.execRoot} 2>&1`);
    assert.match(inside.stdout, /No such file/);
  });

  test('the host mount namespace holds no mount of a running container', async () => {
    await docker('run', '-d', '--name', 'mounts', '--network', 'none', 'busybox', 'sleep', '100');
    const ours = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(daemon.directory));
    assert.deepEqual(ours, []);
    await docker('rm', '-f', 'mounts');
  });

  test('cgroups, sysctls, kernel settings and the disk of the host cannot be written', async () => {
    const attempts = [
      'echo /x >/sys/fs/cgroup/memory/release_agent',
      'echo 1 >/sys/fs/cgroup/memory/notify_on_release',
      'echo 1 >/sys/fs/cgroup/memory/cgroup.procs',
      'mkdir /sys/fs/cgroup/memory/x',
      'mount -t cgroup -o memory x /mnt',
      'mount -o remount,bind,rw /sys/fs/cgroup/memory',
      'umount /proc/kcore',
      'unshare -U true',
      'unshare -m true',
      'echo "|/x" >/proc/sys/kernel/core_pattern',
      'echo h >/proc/sysrq-trigger',
      'mknod /tmp/d b 254 0 && head -c1 /tmp/d',
      'mknod /tmp/d2 c 1 1 && head -c1 /tmp/d2',
      'nsenter -t 1 -m true',
    ];
    const script = attempts.map((attempt, index) => `mkdir -p /mnt; (${attempt}) >/dev/null 2>&1 && echo "succeeded: ${index}"`).join('\n');
    assert.equal((await run('busybox', 'sh', '-c', `${script}\ntrue`)).stdout, '');
  });

  test('devices swapped for links, and user files swapped for FIFOs, by the container itself: exec writes nowhere and does not hang', async () => {
    await docker('run', '-d', '--name', 'swap', '--network', 'none', 'busybox', 'sleep', '100');
    const swap = 'echo kept >/target; rm -f /dev/null /dev/ptmx; ln -s /target /dev/null; ln -s /target /dev/ptmx';
    assert.equal((await docker('exec', 'swap', 'sh', '-c', swap)).status, 0);
    await docker('exec', '-d', 'swap', 'sh', '-c', 'echo lost');
    await docker('exec', '-t', 'swap', 'sh', '-c', 'echo seen');
    assert.equal((await docker('exec', 'swap', 'cat', '/target')).stdout, 'kept\n');
    await docker('exec', 'swap', 'sh', '-c', 'rm /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group');
    const refused = await docker('exec', '-u', 'nobody', 'swap', 'true');
    assert.match(refused.stdout + refused.stderr, /"\/etc\/passwd" is not a regular file/);
    await docker('rm', '-f', 'swap');
  });

  test('a fork bomb within --pids-limit, and a flood of output, leave the daemon and removal quick', async () => {
    await docker(
      'run',
      '-d',
      '--name',
      'bomb',
      '--network',
      'none',
      '--pids-limit',
      '40',
      'busybox',
      'sh',
      '-c',
      'while :; do sleep 100 & done',
    );
    await docker('run', '-d', '--name', 'flood', '--network', 'none', 'busybox', 'yes');
    assert.equal((await run('busybox', 'echo', 'alive')).stdout, 'alive\n');
    assert.equal((await docker('rm', '-f', 'bomb', 'flood')).status, 0);
  });

  test('the network of a container that ended cannot be joined', async () => {
    await docker('run', '--name', 'ended', '--network', 'none', 'busybox', 'true');
    const { status, stderr } = await docker('run', '--rm', '--network', 'container:ended', 'busybox', 'true');
    assert.equal(status, 125);
    assert.match(stderr, /cannot join network of a non running container/);
    await docker('rm', 'ended');
  });

  test('a container in --network host, pid and ipc private, cannot signal or see the host', async () => {
    const { stdout } = await run('--network', 'host', 'busybox', 'sh', '-c', 'ls /proc | grep -c "^[0-9]"');
    assert.ok(Number(stdout) <= 4, stdout);
  });
});

function launcherPath(): string {
  const path = new URL('../../build/native/gantry-launcher', import.meta.url).pathname;
  assert.ok(existsSync(path), `${path} is missing`);
  assert.ok(!readlinkSync('/proc/self/exe').includes('gantry-launcher'));
  return path;
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
