/**
 * Volumes as containers see them, through the docker and gantry command lines on a daemon of ours: copy-up, read-only forms, subpaths, owners, other
 * containers' volumes, image mounts, propagation, and what is left afterwards. Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';
import { output } from '../harness/running-containers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('volumes in containers', { skip, timeout: 300_000 }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const gantry = (...args: string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
  const run = (...args: string[]): Promise<CommandResult> => docker('run', '--rm', '--network', 'none', ...args);
  const gantryRun = (...args: string[]): Promise<CommandResult> => gantry('run', '--rm', '--network', 'none', ...args);

  async function refused(result: Promise<CommandResult>, text: RegExp): Promise<void> {
    const { status, stderr } = await result;
    assert.notEqual(status, 0);
    assert.match(stderr, text);
  }

  async function volumes(): Promise<string[]> {
    return (await output(docker('volume', 'ls', '-q'))).trim().split('\n').filter(Boolean);
  }

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    await output(
      shell(
        `set -e; d=$(mktemp -d); trap 'rm -rf $d' EXIT; cd $d; mkdir bin data data/sub etc tmp; cp /bin/busybox bin/; for a in sh ls cat stat touch mkdir ln id mount sleep; do ln bin/busybox bin/$a; done; ` +
          `echo app:x:1000:1000::/:/bin/sh >etc/passwd; echo one >data/one; echo two >data/sub/two; chmod 640 data/one; chown 5:6 data/one; ln -s one data/link; ` +
          `chmod 1775 data; chown 7:8 data; tar -c . | docker -H ${daemon.host} import -c 'VOLUME /data' -c 'CMD ["sh"]' - filled`,
      ),
    );
  });
  after(() => daemon?.dispose());

  test('copy-up: an empty volume begins with what the image has, owners and modes included, once', async () => {
    const look = 'stat -c "%n %a %u:%g %F" /data /data/one /data/link /data/sub/two; cat /data/link';
    const expected = [
      '/data 1775 7:8 directory',
      '/data/one 640 5:6 regular file',
      '/data/link 777 0:0 symbolic link',
      '/data/sub/two 644 0:0 regular file',
      'one',
    ];
    assert.deepEqual((await output(run('-v', 'copied:/data', 'filled', 'sh', '-c', look))).trim().split('\n'), expected);
    await output(run('-v', 'copied:/data', 'filled', 'sh', '-c', 'echo changed >/data/one'));
    assert.equal(await output(run('-v', 'copied:/data', 'filled', 'cat', '/data/one')), 'changed\n', 'data outlives containers');
    assert.equal(await output(run('-v', 'bare:/data:nocopy', 'filled', 'ls', '/data')), '');
    assert.equal(await output(run('--mount', 'type=volume,src=bare2,dst=/data,volume-nocopy', 'filled', 'ls', '/data')), '');
    assert.match(await output(run('filled', 'ls', '/data')), /one/, 'an anonymous one by VOLUME');
    await output(docker('volume', 'rm', 'copied', 'bare', 'bare2'));
    assert.deepEqual(await volumes(), []);
  });

  test('read-only in every spelling', async () => {
    for (const option of [
      ['-v', 'ro:/m:ro'],
      ['-v', 'ro:/m:z,ro'],
      ['--mount', 'src=ro,dst=/m,ro'],
      ['--mount', 'type=volume,source=ro,target=/m,readonly'],
    ]) {
      await refused(run(...option, 'busybox', 'touch', '/m/x'), /Read-only file system/);
    }
    await output(run('-v', 'ro:/m:rw', 'busybox', 'touch', '/m/x'));
    await output(docker('volume', 'rm', 'ro'));
  });

  test('inspect and ps list them; a volume in use stays; filters find its containers', async () => {
    await output(docker('create', '--name', 'user', '-v', 'used:/m:ro', '-v', '/anonymous', '--network', 'none', 'busybox', 'true'));
    const [view] = JSON.parse(await output(docker('inspect', 'user'))) as { Mounts: Record<string, unknown>[] }[];
    const named = view?.Mounts.find(({ Destination }) => Destination === '/m');
    assert.deepEqual(named, {
      Type: 'volume',
      Name: 'used',
      Source: join(daemon.dataRoot, 'volumes/used/_data'),
      Destination: '/m',
      Driver: 'local',
      Mode: 'ro',
      RW: false,
      Propagation: '',
    });
    assert.equal(await output(docker('ps', '-a', '--filter', 'volume=used', '--format', '{{.Names}} {{.LocalVolumes}}')), 'user 2\n');
    await refused(docker('volume', 'rm', 'used'), /volume is in use - \[[0-9a-f]{64}\]/);
    await output(docker('rm', '-v', 'user'));
    assert.deepEqual(await volumes(), ['used']);
    await output(docker('volume', 'rm', 'used'));
  });

  test('--volumes-from: the same volumes, read-only when asked; anonymous ones live as long as somebody has them', async () => {
    await output(docker('create', '--name', 'owner', '-v', 'shared:/shared', '-v', '/anonymous', '--network', 'none', 'busybox', 'true'));
    await output(run('--volumes-from', 'owner', 'busybox', 'sh', '-c', 'echo a >/shared/file; echo b >/anonymous/file'));
    assert.equal(await output(run('--volumes-from', 'owner:ro', 'busybox', 'sh', '-c', 'cat /shared/file /anonymous/file')), 'a\nb\n');
    await refused(run('--volumes-from', 'owner:ro', 'busybox', 'touch', '/shared/x'), /Read-only/);
    await refused(run('--volumes-from', 'nobody', 'busybox', 'true'), /No such container: nobody/);
    await output(docker('create', '--name', 'heir', '--volumes-from', 'owner', '--network', 'none', 'busybox', 'true'));
    await output(docker('rm', '-v', 'owner'));
    assert.equal((await volumes()).length, 2);
    await output(docker('rm', '-v', 'heir'));
    assert.deepEqual(await volumes(), ['shared']);
    await output(docker('volume', 'rm', 'shared'));
  });

  test('subpath of a volume: made once, mounted alone; one that is missing fails the start and leaves nothing mounted', async () => {
    await output(run('-v', 'parts:/m', 'busybox', 'sh', '-c', 'mkdir -p /m/a/b; echo deep >/m/a/b/file; ln -s /etc /m/escape'));
    const part = (subpath: string): string => `type=volume,src=parts,dst=/p,volume-subpath=${subpath}`;
    assert.equal(await output(gantryRun('--mount', part('a/b'), 'busybox', 'cat', '/p/file')), 'deep\n');
    await refused(gantryRun('--mount', part('a/none'), 'busybox', 'true'), /cannot find the subpath "a\/none"/);
    await refused(gantryRun('--mount', part('escape/passwd'), 'busybox', 'true'), /cannot find the subpath "escape\/passwd"/);
    await refused(gantryRun('--mount', part('../parts'), 'busybox', 'true'), /subpath must be a relative path within the volume/);
    await output(docker('volume', 'rm', 'parts'));
  });

  test("uid, gid and idmap: a container that is not root writes; the files on the host stay their owner's", async () => {
    const source = join(daemon.directory, 'owned');
    mkdirSync(source);
    const mount = `type=bind,src=${source},dst=/m`;
    await refused(gantryRun('-u', '1000:1000', '--mount', mount, 'busybox', 'touch', '/m/x'), /Permission denied/);
    await output(gantryRun('-u', '1000:1000', '--mount', `${mount},uid=1000`, 'busybox', 'touch', '/m/x'));
    assert.equal(statSync(join(source, 'x')).uid, 0);
    const range = `${mount},idmap=uids=0-500-10;gids=0-600-10`;
    assert.equal(await output(gantryRun('--mount', range, 'busybox', 'stat', '-c', '%u:%g', '/m/x')), '500:600\n');
    await output(gantryRun('-u', '1000:1000', '--mount', 'type=volume,src=mine,dst=/m,uid=1000,gid=1000', 'busybox', 'touch', '/m/x'));
    const inside = await output(gantryRun('--mount', 'type=volume,src=mine,dst=/data,uid=1000', 'filled', 'stat', '-c', '%u', '/data/x'));
    assert.equal(inside, '1000\n');
    await output(docker('volume', 'rm', 'mine'));
    await refused(
      gantryRun('--mount', 'type=bind,src=/proc/bus,dst=/m,uid=5', 'busybox', 'true'),
      /file system \(proc\) has no idmapped mounts/,
    );
  });

  test('type=image: the files of an image, read-only, and no removal of it meanwhile', async () => {
    const image = (more = ''): string => `type=image,src=filled,dst=/image${more}`;
    assert.equal(await output(gantryRun('--mount', image(), 'busybox', 'cat', '/image/data/one')), 'one\n');
    assert.equal(await output(gantryRun('--mount', image(',image-subpath=data/sub'), 'busybox', 'ls', '/image')), 'two\n');
    await refused(gantryRun('--mount', image(), 'busybox', 'touch', '/image/x'), /Read-only file system/);
    await refused(gantryRun('--mount', 'type=image,src=none,dst=/i', 'busybox', 'true'), /No such image: none:latest/);
    await output(docker('tag', 'filled', 'mounted:1'));
    await output(
      gantry('create', '--name', 'holder', '--network', 'none', '--mount', 'type=image,src=mounted:1,dst=/i', 'busybox', 'ls', '/i/data'),
    );
    await output(docker('rmi', 'mounted:1'));
    await refused(docker('rmi', 'filled'), /container/);
    assert.match(await output(docker('start', '-a', 'holder')), /one/);
    await output(docker('rm', 'holder'));
  });

  test('local driver with options: mounted for the run and no longer', async () => {
    const mounted = (): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(join(daemon.dataRoot, 'volumes'));
    await output(docker('volume', 'create', '-d', 'local', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m,uid=12', 'memory'));
    assert.equal(mounted(), false);
    await output(docker('run', '-d', '--name', 'holder', '--network', 'none', '-v', 'memory:/m', 'busybox', 'sleep', '1000'));
    assert.equal(mounted(), true);
    assert.match(await output(docker('exec', 'holder', 'stat', '-c', '%u', '/m')), /^12$/m);
    await daemon.crash();
    await daemon.restart();
    assert.equal(mounted(), true);
    await output(docker('exec', 'holder', 'touch', '/m/file'));
    await output(docker('kill', 'holder'));
    await output(docker('wait', 'holder'));
    assert.equal(mounted(), false);
    await output(docker('rm', 'holder'));
    await refused(run('-v', 'memory:/m', 'busybox', 'nowhere'), /executable file not found/);
    assert.equal(mounted(), false, 'after a start that failed');
    await output(docker('volume', 'rm', 'memory'));
  });

  test('shared propagation: only from a shared mount, and what the container mounts reaches the host', async () => {
    const source = join(daemon.directory, 'travel');
    mkdirSync(source);
    await output(shell(`mount -t tmpfs gantry-test ${source} && mount --make-private ${source} && mkdir ${source}/point`));
    try {
      const share = (mode: string): string[] => [
        '--cap-add',
        'SYS_ADMIN',
        '--security-opt',
        'seccomp=unconfined',
        '-v',
        `${source}:/m:${mode}`,
      ];
      await refused(run(...share('rshared'), 'busybox', 'true'), /path .*\/travel is mounted on .*\/travel but it is not a shared mount/);
      await refused(run(...share('rslave'), 'busybox', 'true'), /is not a shared or slave mount/);
      await output(shell(`mount --make-shared ${source}`));
      await output(run(...share('rshared'), 'busybox', 'sh', '-c', 'mount -t tmpfs x /m/point && echo hello >/m/point/file'));
      assert.equal(readFileSync(join(source, 'point/file'), 'utf8'), 'hello\n');
    } finally {
      await output(shell(`umount -R ${source}`));
    }
  });

  test('a create that fails leaves no volume, and a prune takes what containers left', async () => {
    await refused(run('-v', 'fresh:/a', '--mount', 'type=volume,src=x,dst=/b,volume-driver=none-such', 'busybox', 'true'), /none-such/);
    assert.deepEqual(await volumes(), []);
    writeFileSync(join(daemon.directory, 'unused'), '');
    await output(docker('run', '--name', 'left', '--network', 'none', '-v', '/data', 'busybox', 'true'));
    await output(docker('rm', 'left'));
    assert.equal((await volumes()).length, 1);
    assert.match(await output(docker('volume', 'prune', '-f')), /[0-9a-f]{64}/);
    assert.deepEqual(await volumes(), []);
  });
});
