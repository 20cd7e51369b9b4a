/** A Debian root file system (mmdebstrap), imported and used: shells, Python, su, file capabilities, apt. Needs root, the docker CLI and mmdebstrap. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { debianRootTar } from '../harness/images.ts';

const tar = process.getuid?.() === 0 ? await debianRootTar() : null;
const skip = tar === null ? 'needs root and mmdebstrap with Debian packages in reach' : false;

suite('a Debian root file system', { skip }, () => {
  let daemon: GantryDaemon;
  const run = (...args: string[]): Promise<CommandResult> =>
    runCommand(['docker', '-H', daemon.host, 'run', '--rm', '--network', 'none', ...args]);

  before(async () => {
    daemon = await startGantry();
    const imported = await shell(`docker -H ${daemon.host} import - debian:test <${tar}`, { timeoutMs: 300_000 });
    assert.equal(imported.status, 0, imported.stderr);
  });
  after(() => daemon?.dispose());

  const cases: readonly (readonly [string, readonly string[], string | RegExp])[] = [
    ['bash -c', ['debian:test', 'bash', '-c', 'a=(1 2 3); echo "${#a[@]} ${BASH_VERSION%%.*}"'], '3 5\n'],
    ['a Python script', ['debian:test', 'python3', '-c', 'import sys, os; print(sum(range(10)), os.getpid())'], '45 1\n'],
    ['su to another user', ['debian:test', 'su', 'daemon', '-s', '/bin/sh', '-c', 'id -un'], 'daemon\n'],
    ['apt-get --version', ['debian:test', 'apt-get', '--version'], /^apt 2\./],
    ['apt works as _apt user', ['debian:test', 'sh', '-c', 'su _apt -s /bin/sh -c "id -u"'], /^\d+\n$/],
    ['setuid programs keep their bit', ['-u', 'daemon', 'debian:test', 'sh', '-c', 'stat -c %a /bin/su'], '4755\n'],
    ['users by name from its own passwd', ['-u', 'games', 'debian:test', 'id', '-un'], 'games\n'],
    ['ownership survives', ['debian:test', 'stat', '-c', '%U:%G %a', '/etc/shadow'], 'root:shadow 640\n'],
    ['hard links survive', ['debian:test', 'stat', '-c', '%h', '/usr/bin/perl'], '2\n'],
    ['/tmp is sticky', ['debian:test', 'stat', '-c', '%a', '/tmp'], '1777\n'],
  ];
  for (const [name, args, expected] of cases) {
    test(name, async () => {
      const { status, stdout, stderr } = await run(...args);
      assert.equal(status, 0, stderr);
      if (typeof expected === 'string') assert.equal(stdout, expected);
      else assert.match(stdout, expected);
    });
  }

  test('file capabilities of the image survive the import and work for a user', async () => {
    const { status, stdout, stderr } = await run(
      '-u',
      'games',
      'debian:test',
      'sh',
      '-c',
      'getcap /usr/bin/ping; ping -c1 -W1 127.0.0.1 | grep -c "1 received"',
    );
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '/usr/bin/ping cap_net_raw=ep\n1\n');
  });

  test('file capabilities can be set in a container', async () => {
    const { status, stdout, stderr } = await run(
      'debian:test',
      'sh',
      '-c',
      'cp /bin/cat /tmp/c && setcap cap_net_raw+ep /tmp/c && getcap /tmp/c',
    );
    assert.equal(status, 0, stderr);
    assert.equal(stdout, '/tmp/c cap_net_raw=ep\n');
  });
});
