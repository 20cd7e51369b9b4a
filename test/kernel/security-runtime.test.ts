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
import { busyboxArchive } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('the sandbox against known escapes', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const run = (...args: string[]): Promise<CommandResult> => docker('run', '--rm', '--network', 'none', ...args);

  before(async () => {
    const archive = await busyboxArchive();
    if (archive === null) throw new Error('needs busybox (apt-get install busybox-static)');
    daemon = await startGantry();
    const loaded = await docker('load', '-q', '-i', archive);
    assert.equal(loaded.status, 0, loaded.stderr);
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
    const inside = await run('--network', 'host', 'busybox', 'sh', '-c', `ls ${daemon.execRoot} 2>&1`);
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
