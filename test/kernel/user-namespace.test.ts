/** `--userns auto`, `hardened` and `--ipc container:X` through the daemon. Needs root, the docker CLI and busybox. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { askedIds, requireUserNamespaces } from '../../src/containers/id-ranges.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  try {
    requireUserNamespaces(readHostFacts());
    return false;
  } catch (error) {
    return String(error);
  }
}

suite('ids of its own for a container', { skip: whyNot(), timeout: 120_000 }, () => {
  let daemon: GantryDaemon;
  const gantry = (...args: string[]) => runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
  const run = (...args: string[]) => gantry('run', '--rm', '--network', 'none', '--userns', 'auto', ...args);
  const sh = async (script: string, ...flags: string[]): Promise<string> => {
    const { status, stdout, stderr } = await run(...flags, 'busybox', 'sh', '-ec', script);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const ok = async (result: ReturnType<typeof docker>): Promise<string> => {
    const { status, stdout, stderr } = await result;
    assert.equal(status, 0, stderr);
    return stdout;
  };

  before(async () => {
    daemon = await startGantry({ flags: ['--userns-pool', '700000:262144'] });
    await loadBusybox(daemon.host);
  });

  after(() => daemon?.dispose());

  test('inside it is root of its own files, outside it is nobody', async () => {
    const out = await sh(
      'id -u; cat /proc/self/uid_map; stat -c %u:%g / /bin/sh /tmp /dev /dev/null /dev/shm /etc/hosts; touch /made; stat -c %u /made; echo re-opened > /dev/stdout; mknod /n c 1 3 || echo no device',
    );
    const lines = out.split('\n').map((line) => line.trim().replace(/\s+/g, ' '));
    assert.deepEqual(lines.slice(0, 2), ['0', '0 700000 65536']);
    assert.deepEqual(new Set(lines.slice(2, 9)), new Set(['0:0']));
    assert.deepEqual(lines.slice(9), ['0', 're-opened', 'no device', '']);
    await ok(docker('volume', 'create', 'data'));
  });

  test('the host: another owner for the process, the same for the files on disk', async () => {
    await ok(
      gantry(
        'run',
        '-d',
        '--name',
        'user',
        '--network',
        'none',
        '--userns',
        'auto',
        '--user',
        '1000',
        '-v',
        'data:/x',
        'busybox',
        'sleep',
        '1000',
      ),
    );
    const pid = (await ok(docker('inspect', '-f', '{{.State.Pid}}', 'user'))).trim();
    assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t(\d+)\t\1/m);
    const uid = Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    assert.ok(uid >= 701_000 && (uid - 1000 - 700_000) % 65536 === 0, String(uid));
    await ok(docker('exec', '-u', '7:8', 'user', 'sh', '-c', 'touch /tmp/mine'));
    const upper = join(daemon.dataRoot, 'containers', (await ok(docker('inspect', '-f', '{{.Id}}', 'user'))).trim(), 'upper/tmp/mine');
    assert.deepEqual([statSync(upper).uid, statSync(upper).gid], [7, 8]);
    assert.match(await ok(docker('diff', 'user')), /A \/tmp\/mine/);
  });

  test('exec: in the namespace, with streams, a terminal and limits; after a restart of the daemon too', async () => {
    assert.equal(
      await ok(docker('exec', '-u', '5', 'user', 'sh', '-c', 'id -u; echo x > /dev/stderr; cat /proc/1/uid_map | wc -l')),
      '5\n1\n',
    );
    const tty = await ok(
      runCommand([
        'script',
        '-qec',
        `docker -H ${daemon.host} exec -t -u 5 user sh -c "stat -c %u /dev/pts/0; echo y > /dev/tty"`,
        '/dev/null',
      ]),
    );
    assert.match(tty, /5[\r\n]+y/);
    await daemon.crash();
    await daemon.restart();
    assert.equal(await ok(docker('exec', 'user', 'id', '-u')), '1000\n');
  });

  test('volumes keep their owners for every container, whatever its ids', async () => {
    await ok(
      docker('run', '--rm', '--network', 'none', '-v', 'data:/x', 'busybox', 'sh', '-c', 'echo plain > /x/plain; chown 1000 /x /x/plain'),
    );
    await ok(docker('exec', 'user', 'sh', '-ec', '[ $(stat -c %u /x/plain) = 1000 ]; echo u > /x/u'));
    assert.equal(await sh('stat -c %u:%n /x/*', '-v', 'data:/x', '--user', '1000'), '1000:/x/plain\n1000:/x/u\n');
    assert.equal(await ok(docker('run', '--rm', '--network', 'none', '-v', 'data:/x', 'busybox', 'stat', '-c', '%u', '/x/u')), '1000\n');
  });

  test('binds are as the host has them, unless they are mapped', async () => {
    const directory = join(daemon.directory, 'bound');
    mkdirSync(directory);
    writeFileSync(join(directory, 'file'), 'hosts own\n', { mode: 0o600 });
    assert.equal(
      await sh('stat -c %u /b/file; cat /b/file 2>/dev/null || echo unreadable', '-v', `${directory}:/b`),
      '65534\nunreadable\n',
    );
    const mapped = ['--mount', `type=bind,source=${directory},target=/b,idmap=uids=0-1000-1;gids=0-1000-1`];
    assert.equal(await sh('stat -c %u /b/file; cat /b/file', '--user', '1000', ...mapped), '1000\nhosts own\n');
    assert.equal(await sh('chown 0 /x/plain && stat -c %u /x/plain', '-v', 'data:/x'), '0\n');
  });

  test('ranges: none twice, given back by rm, and an error when the pool is used up', async () => {
    const base = (name: string) =>
      ok(docker('exec', name, 'cat', '/proc/self/uid_map')).then((text) => Number(text.trim().split(/\s+/)[1]));
    for (const name of ['second', 'third'])
      await ok(gantry('run', '-d', '--name', name, '--network', 'none', '--userns', 'auto', 'busybox', 'sleep', '1000'));
    const bases = [await base('user'), await base('second'), await base('third')];
    assert.equal(new Set(bases).size, 3);
    await ok(gantry('create', '--name', 'last', '--userns', 'auto', 'busybox'));
    assert.match((await gantry('create', '--userns', 'auto', 'busybox')).stderr, /no 65536 ids in a row are left .*700000-962143/);
    await ok(docker('rm', '-f', 'second', 'last'));
    await ok(gantry('run', '-d', '--name', 'again', '--network', 'none', '--userns', 'auto', 'busybox', 'sleep', '1000'));
    assert.equal(await base('again'), bases[1]);
    await ok(docker('rm', '-f', 'third', 'again'));
  });

  test('sizes, and what cannot be', async () => {
    assert.equal(askedIds('auto:size=10'), 10);
    assert.match(await sh('cat /proc/self/uid_map', '--userns', 'auto:size=10'), /^ +0 +\d+ +10$/m);
    assert.match(
      (await run('--userns', 'auto:size=10', '--user', '10', 'busybox', 'true')).stderr,
      /id 10 is not in the container's user namespace, which has 10 ids/,
    );
    assert.match((await run('--privileged', 'busybox', 'true')).stderr, /privileged mode is incompatible with user namespaces/);
  });

  test('a capability over the whole machine stays inside', async () => {
    const script =
      'mount -t tmpfs t /tmp && echo mounted; hostname other && hostname; umount /proc/kcore 2>/dev/null || echo masked; echo 1 > /proc/sys/vm/drop_caches || echo refused';
    assert.equal(
      await sh(
        `${script} 2>/dev/null`,
        '--cap-add',
        'SYS_ADMIN',
        '--security-opt',
        'systempaths=unconfined',
        '--security-opt',
        'seccomp=unconfined',
      ),
      'mounted\nother\nmasked\nrefused\n',
    );
  });

  test('hardened: what the request leaves open is filled in, what it says holds', async () => {
    const script = 'grep -E "CapBnd|NoNewPrivs" /proc/self/status; cat /proc/self/uid_map';
    const hardened = await ok(
      docker(
        'run',
        '--rm',
        '--network',
        'none',
        '--security-opt',
        'hardened=true',
        '--cap-add',
        'MKNOD',
        '--name',
        'hard',
        'busybox',
        'sh',
        '-c',
        script,
      ),
    );
    assert.match(hardened, /CapBnd:\t00000000880405fb\nNoNewPrivs:\t1\n +0 +7\d{5} +65536/);
    await ok(docker('create', '--name', 'hard', '--security-opt', 'hardened=true', '--pids-limit', '7', 'busybox'));
    const shown = await ok(
      docker(
        'inspect',
        '-f',
        '{{.HostConfig.PidsLimit}} {{.HostConfig.UsernsMode}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}',
        'hard',
      ),
    );
    assert.equal(shown, '7 auto [CAP_AUDIT_WRITE CAP_MKNOD CAP_NET_RAW] [no-new-privileges hardened=true]\n');
    await ok(docker('rm', 'hard'));
    assert.match(
      await ok(gantry('run', '--rm', '--network', 'none', '--security-opt', 'hardened', 'busybox', 'cat', '/proc/self/status')),
      /NoNewPrivs:\t1/,
    );
    assert.match((await docker('create', '--security-opt', 'hardened=true', '--privileged', 'busybox')).stderr, /exclude each other/);
  });

  test('ipc: shareable is joined with its /dev/shm, private is not', async () => {
    await ok(
      docker(
        'run',
        '-d',
        '--name',
        'donor',
        '--network',
        'none',
        '--ipc',
        'shareable',
        '--shm-size',
        '1m',
        'busybox',
        'sh',
        '-c',
        'echo shared > /dev/shm/x; sleep 1000',
      ),
    );
    await ok(docker('run', '-d', '--name', 'alone', '--network', 'none', 'busybox', 'sleep', '1000'));
    const join = (target: string, script: string) =>
      docker('run', '--rm', '--network', 'none', '--ipc', target, 'busybox', 'sh', '-c', script);
    const namespace = (await ok(docker('exec', 'donor', 'readlink', '/proc/self/ns/ipc'))).trim();
    const joined = await ok(
      join('container:donor', 'readlink /proc/self/ns/ipc; cat /dev/shm/x; echo back > /dev/shm/y; df -k /dev/shm | tail -1'),
    );
    assert.match(joined, new RegExp(`^${namespace.replace(/[[\]]/g, '\\$&')}\nshared\n\\S+ +1024 `));
    assert.equal(await ok(docker('exec', 'donor', 'cat', '/dev/shm/y')), 'back\n');
    assert.match(
      (await join('container:alone', 'true')).stderr,
      /non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)/,
    );
    assert.match((await join('container:nobody', 'true')).stderr, /No such container: nobody/);
    await ok(docker('stop', '-t', '0', 'donor'));
    assert.match((await join('container:donor', 'true')).stderr, /cannot join IPC of a non running container/);
    await ok(docker('rm', '-f', 'donor', 'alone', 'user'));
  });
});
