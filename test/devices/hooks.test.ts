/**
 * Hooks and network interfaces of described devices (CDI), through a daemon, by the native runtime and by runc: what a hook sees of the container, what a failure leaves, and what the next
 * daemon makes up for. In a network namespace of its own. Needs root, the docker client and ip.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { requireUserNamespaces } from '../../src/containers/id-ranges.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';

const whyNot = process.getuid?.() === 0 ? false : 'needs root';
const hasRunc = existsSync('/usr/sbin/runc') || existsSync('/usr/bin/runc');
const runtimes = ['native', ...(hasRunc ? ['runc'] : [])];

suite('hooks and network interfaces of devices', { skip: whyNot, timeout: 240_000 }, () => {
  const netns = `gantry-hooks-${process.pid}`;
  let directory: string;
  let daemon: GantryDaemon;
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
  const ok = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await docker(...args);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const ip = (...args: string[]): string => execFileSync('ip', ['-n', netns, ...args], { encoding: 'utf8' });
  const noted = (name: string): readonly string[] => {
    const file = join(directory, name);
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  };
  const forget = () => {
    for (const name of readdirSync(directory)) if (name.startsWith('noted')) rmSync(join(directory, name));
  };
  async function eventually(what: string, holds: () => boolean): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt++) {
      if (holds()) return;
      await delay(50);
    }
    assert.fail(`not within 15 s: ${what}`);
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-hooks-'));
    describeDevices(directory);
    execFileSync('ip', ['netns', 'add', netns]);
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', 'card0', 'type', 'veth', 'peer', 'name', 'far0');
    ip('addr', 'add', '192.0.2.7/24', 'dev', 'card0');
    ip('link', 'set', 'card0', 'up');
    daemon = await startGantry({
      flags: ['--cdi-spec-dir', join(directory, 'cdi'), '--userns-pool', '700000:262144'],
      wrapper: ['nsenter', `--net=/run/netns/${netns}`],
    });
    await ok('pull', 'busybox');
  });

  after(async () => {
    await daemon?.dispose();
    if (netns !== undefined) execFileSync('ip', ['netns', 'delete', netns]);
    rmSync(directory, { recursive: true, force: true });
  });

  for (const runtime of runtimes) {
    test(`${runtime}: hooks of a device see the container and what it is given; none of the image's environment reaches them`, async () => {
      forget();
      const out = await ok(
        ...['run', '--rm', '--runtime', runtime, '--network', 'none', '--device', 'example.com/hooked=all', '-e', 'LD_PRELOAD=/evil.so'],
        ...['busybox', 'sh', '-c', 'cat /from-hook /from-start; echo $HOOKED'],
      );
      assert.equal(out, 'createContainer\nstartContainer\nyes\n');
      const points = noted('noted').map((line) => line.split(' ')[0]);
      assert.deepEqual(points, ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop']);
      assert.deepEqual(
        noted('noted').filter((line) => line.includes('evil')),
        [],
      );
    });

    test(`${runtime}: a hook that fails is told with what it said, and the start leaves nothing`, async () => {
      forget();
      const { status, stderr } = await docker(
        ...['run', '--rm', '--runtime', runtime, '--network', 'none', '--device', 'example.com/hooked=broken', 'busybox', 'true'],
      );
      assert.ok(status !== 0);
      assert.match(stderr, /no firmware for this card/);
      if (runtime === 'native') assert.match(stderr, /cannot run the createRuntime hook \S+\/broken: it ended with status 3: no firmware/);
      assert.deepEqual(readdirSync(join(daemon.execRoot, 'c')), []);
      assert.equal(await ok('ps', '-aq'), '');
      await ok('run', '--rm', '--network', 'none', 'busybox', 'true');
    });

    test(`${runtime}: an interface of the host is the container's while it runs`, async () => {
      const out = await ok(
        'run',
        '--rm',
        '--runtime',
        runtime,
        '--device',
        'example.com/net=card',
        'busybox',
        'ip',
        'addr',
        'show',
        'rdma0',
      );
      assert.match(out, /,UP[\s\S]*inet 192\.0\.2\.7\/24/);
      assert.match(ip('addr', 'show', 'card0'), /,UP[\s\S]*inet 192\.0\.2\.7\/24/);
    });
  }

  test('a hook that hangs is killed with what it has started, when its time is over', async () => {
    const { status, stderr } = await docker(
      'run',
      '--rm',
      // runc waits for whoever holds the hook's output.
      '--runtime',
      'native',
      '--network',
      'none',
      '--device',
      'example.com/hooked=hanging',
      'busybox',
      'true',
    );
    assert.ok(status !== 0);
    assert.match(
      stderr,
      /cannot run the createContainer hook \S+\/hanging: it did not end within 1 s and was killed: waiting for the card/,
    );
    await eventually('its processes are gone', () => !commandLines().some((line) => line.includes(join(directory, 'hanging'))));
  });

  test('in a user namespace what a hook makes is the container root’s', { skip: whyNoUserNamespaces() }, async () => {
    const gantry = ['--no-warnings', programEntry, '-H', daemon.host, 'run', '--rm', '--runtime', 'native', '--userns', 'auto'];
    const device = ['--network', 'none', '--device', 'example.com/hooked=all'];
    const { stdout: out, stderr } = await runCommand([
      process.execPath,
      ...gantry,
      ...device,
      'busybox',
      'sh',
      '-c',
      'stat -c %u /from-hook; rm /from-hook; id -u',
    ]);
    assert.equal(stderr, '');
    assert.equal(out, '0\n0\n');
  });

  test('an interface that is not there, that is taken, or that there is no network for', async () => {
    const refused = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await docker('run', '--rm', ...args, 'busybox', 'true');
      assert.ok(status !== 0);
      return stderr;
    };
    assert.match(await refused('--device', 'example.com/net=gone'), /there is no network interface "nowhere0" on this host/);
    assert.match(
      await refused('--device', 'example.com/net=taken'),
      /"card0" into the container as "eth0": the container has an interface/,
    );
    for (const mode of ['none', 'host'])
      assert.match(await refused('--network', mode, '--device', 'example.com/net=card'), new RegExp(`"card0".*--network ${mode}`));
    assert.match(ip('addr', 'show', 'card0'), /,UP/);
  });

  test('a daemon that is killed: the next one runs poststop, and gives the interface back', async () => {
    forget();
    const devices = ['--device', 'example.com/hooked=all', '--device', 'example.com/net=card'];
    const ended = (await ok('run', '-d', '--network', 'none', ...devices.slice(0, 2), 'busybox', 'sh', '-c', 'sleep 1')).trim();
    const running = (await ok('run', '-d', ...devices, 'busybox', 'sleep', '1000')).trim();
    await daemon.crash();
    await eventually('the exit is written down', () => existsSync(join(daemon.execRoot, 'c', ended, 'exit')));
    await daemon.restart();
    const stops = (id: string): number => noted('noted').filter((line) => line.startsWith('poststop') && line.includes(id)).length;
    await eventually('poststop', () => stops(ended) === 1);
    assert.equal(stops(running), 0);
    assert.doesNotMatch(ip('-o', 'link'), /card0/);
    await ok('rm', '-f', running);
    await eventually('poststop', () => stops(running) === 1);
    assert.match(ip('addr', 'show', 'card0'), /,UP[\s\S]*inet 192\.0\.2\.7\/24/);
    await ok('rm', ended);
  });
});

function describeDevices(directory: string): void {
  mkdirSync(join(directory, 'cdi'));
  const script = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };
  const environment = `tr '\\0\\n' '  ' < /proc/self/environ`;
  const note = script('note', `state=$(cat); echo "$1 $state $(${environment})" >> ${directory}/noted`);
  const create = script(
    'create',
    `state=$(cat)
bundle=\${state#*'"bundle":"'}; bundle=\${bundle%%'"'*}
config=$(cat "$bundle/config.json"); root=\${config#*'"root":{'}; root=\${root#*'"path":"'}; root=\${root%%'"'*}
echo createContainer > "$root/from-hook"
echo "createContainer $state $(${environment})" >> ${directory}/noted`,
  );
  const broken = script('broken', 'echo "no firmware for this card" >&2; exit 3');
  const hanging = script('hanging', 'echo "waiting for the card"; sleep 1000 & sleep 1000');
  const noting = (hookName: string) => ({ hookName, path: note, args: ['note', hookName], env: ['PATH=/usr/bin:/bin'] });
  const start = { hookName: 'startContainer', path: '/bin/sh', args: ['sh', '-c', 'echo startContainer > /from-start'] };
  const hooked = {
    cdiVersion: '1.1.0',
    kind: 'example.com/hooked',
    devices: [
      {
        name: 'all',
        containerEdits: {
          env: ['HOOKED=yes'],
          hooks: [
            noting('prestart'),
            noting('createRuntime'),
            { hookName: 'createContainer', path: create, args: ['create'], env: ['PATH=/usr/bin:/bin'] },
            start,
            noting('poststart'),
            noting('poststop'),
          ],
        },
      },
      { name: 'broken', containerEdits: { hooks: [{ hookName: 'createRuntime', path: broken }] } },
      { name: 'hanging', containerEdits: { hooks: [{ hookName: 'createContainer', path: hanging, timeout: 1 }] } },
    ],
  };
  const lending = (name: string, hostInterfaceName: string, inside: string) => ({
    name,
    containerEdits: { netDevices: [{ hostInterfaceName, name: inside }] },
  });
  const net = {
    cdiVersion: '1.1.0',
    kind: 'example.com/net',
    devices: [lending('card', 'card0', 'rdma0'), lending('gone', 'nowhere0', 'rdma0'), lending('taken', 'card0', 'eth0')],
  };
  writeFileSync(join(directory, 'cdi/hooked.json'), JSON.stringify(hooked));
  writeFileSync(join(directory, 'cdi/net.json'), JSON.stringify(net));
}

function commandLines(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}

function whyNoUserNamespaces(): string | false {
  try {
    requireUserNamespaces(readHostFacts());
    return false;
  } catch (error) {
    return String(error);
  }
}
