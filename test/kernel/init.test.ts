/** `--init` with real processes: who is process 1, what it reaps, passes on and ends with. Needs root and the docker CLI. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';

const program = fileURLToPath(new URL('../../build/native/gantry-init', import.meta.url));
const skip = process.getuid?.() !== 0 ? 'needs root' : existsSync(program) ? false : 'needs the native build (./gantry)';

suite('init', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);
  const run = (...args: string[]) => docker('run', '--rm', '--network', 'none', ...args);

  before(async () => {
    daemon = await startGantry({ flags: ['--init'] });
    assert.equal((await docker('pull', 'busybox')).status, 0);
  });

  after(() => daemon?.dispose());

  test('is process 1, reaps orphans, and hands on the program’s exit code', async () => {
    // The subshell's child is orphaned and ends: without an init it would stay a zombie beside a process 1 that never asks.
    const script = 'cat /proc/1/cmdline | tr "\\0" " "; (sleep 0.1 &) ; sleep 0.6; echo; grep -l "^State:.Z" /proc/[0-9]*/status; exit 7';
    const { status, stdout } = await run('--init', 'busybox', 'sh', '-c', script);
    assert.equal(status, 7);
    assert.match(stdout, /^\/sbin\/docker-init -- sh -c .*\n$/s);
    const byDefault = await run('busybox', 'sh', '-c', 'echo $$');
    assert.notEqual(byDefault.stdout, '1\n');
    const without = await run('--init=false', 'busybox', 'sh', '-c', 'echo $$');
    assert.equal(without.stdout, '1\n');
  });

  test('a program that cannot be run, and one that a signal ends', async () => {
    const missing = await run('--init', 'busybox', 'nope');
    assert.equal(missing.status, 127);
    assert.match(missing.stderr, /exec nope failed: No such file or directory/);
    assert.equal((await run('--init', 'busybox', '/etc/passwd')).status, 126);
    assert.equal((await run('--init', 'busybox', 'sh', '-c', 'kill -SEGV $$')).status, 139);
  });

  test('passes signals on; a read-only root and a user of its own do not matter', async () => {
    const command = ['busybox', 'sh', '-c', 'trap "exit 9" USR1; while :; do sleep 0.05; done'];
    const started = await docker('run', '-d', '--name', 'sig', '--init', '--read-only', '--user', '1000', '--network', 'none', ...command);
    assert.equal(started.status, 0, started.stderr);
    const wait = docker('wait', 'sig');
    // Until the shell has its trap the signal would end it, which passes it on as well.
    await docker('exec', 'sig', 'sleep', '0.3');
    await docker('kill', '-s', 'USR1', 'sig');
    assert.equal((await wait).stdout, '9\n');
    const stop = await docker('run', '-d', '--name', 'term', '--init', '--network', 'none', 'busybox', 'sleep', '1000');
    assert.equal(stop.status, 0);
    // Without an init, sleep as process 1 would ignore TERM.
    const before = Date.now();
    await docker('stop', '-t', '30', 'term');
    assert.ok(Date.now() - before < 20_000);
    assert.equal((await docker('inspect', '-f', '{{.State.ExitCode}}', 'term')).stdout, '143\n');
    await docker('rm', '-f', 'sig', 'term');
  });

  test('the program has the terminal', async () => {
    const { stdout, status } = await runCommand(
      [
        'script',
        '-qec',
        `docker -H ${daemon.host} run --rm -it --init --network none busybox sh -c 'read line; echo "got $line"'`,
        '/dev/null',
      ],
      { input: 'typed\n' },
    );
    assert.equal(status, 0, stdout);
    assert.match(stdout, /got typed/);
  });
});
