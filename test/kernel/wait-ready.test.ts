/** `gantry run --wait` and `gantry wait --condition`: health, ports and log lines of real containers. Needs root. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('waiting for containers', { skip }, () => {
  let daemon: GantryDaemon;
  const gantry = (...args: string[]) => runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
  const run = (name: string, args: readonly string[], script: string) =>
    gantry('run', '--name', name, '--network', 'none', ...args, 'busybox', 'sh', '-c', script);

  before(async () => {
    daemon = await startGantry();
    assert.equal((await gantry('pull', 'busybox')).status, 0);
  });

  after(() => daemon?.dispose());

  const quick = ['--health-interval', '100ms', '--health-retries', '2', '--wait'];

  test('run --wait: returns when healthy; unhealthy, an end and a time-out are errors', async () => {
    const up = await run('up', [...quick, '--health-cmd', 'test -e /up'], 'sleep 0.5; touch /up; sleep 1000');
    // Two failures come first: what was unhealthy once is told.
    assert.match(up.stderr + up.stdout, /container up is unhealthy|^[0-9a-f]{64}\n$/);
    const patient = await run(
      'patient',
      [...quick, '--health-retries', '100', '--health-cmd', 'test -e /up'],
      'sleep 0.5; touch /up; sleep 1000',
    );
    assert.deepEqual([patient.status, /^[0-9a-f]{64}\n$/.test(patient.stdout), patient.stderr], [0, true, '']);
    assert.match((await gantry('ps', '--filter', 'name=patient', '--format', '{{.Status}}')).stdout, /\(healthy\)/);
    const sick = await run('sick', [...quick, '--health-cmd', 'echo no disk; false'], 'sleep 1000');
    assert.deepEqual([sick.status, sick.stdout, sick.stderr.trim()], [1, '', 'container sick is unhealthy: no disk']);
    const ends = await run('ends', [...quick, '--health-cmd', 'true', '--health-interval', '60s'], 'exit 3');
    assert.deepEqual([ends.status, ends.stderr.trim()], [1, 'container ends exited (3) before it was healthy']);
    const slow = await run('slow', [...quick, '--wait-timeout', '500ms', '--health-interval', '60s', '--health-cmd', 'true'], 'sleep 1000');
    assert.deepEqual([slow.status, slow.stderr.trim()], [1, 'timed out after 0.5 s: container slow is not healthy yet']);
    const plain = await run('plain', ['--wait'], 'sleep 1000');
    assert.equal(plain.status, 0, plain.stderr);
    const conflict = await run('never', ['--wait', '-a', 'stdout'], 'true');
    assert.match(conflict.stderr, /cannot specify both --attach and --wait/);
    await gantry('rm', '-f', 'up', 'patient', 'sick', 'ends', 'slow', 'plain');
  });

  test('wait --condition: ports, log lines, several containers, and what cannot come', async () => {
    await run('late', ['-d'], 'sleep 0.4; echo "ready in 4 ms" >&2; nc -l -p 8080 & sleep 1000');
    await run('soon', ['-d'], 'printf "ready in "; sleep 0.2; echo "9 ms"; sleep 1000');
    const logged = await gantry('wait', '--condition', 'log=^ready in \\d+ ms$', 'late', 'soon');
    assert.deepEqual([logged.status, logged.stdout, logged.stderr], [0, 'late\nsoon\n', '']);
    assert.equal((await gantry('wait', '--condition', 'port=8080', '--timeout', '50s', 'late')).stdout, 'late\n');
    const timeout = await gantry('wait', '--condition', 'port=81', '--timeout', '300ms', 'late');
    assert.deepEqual([timeout.status, timeout.stderr.trim()], [1, 'timed out after 0.3 s: container late is not listening on port 81 yet']);
    const unchecked = await gantry('wait', '--condition', 'healthy', 'late');
    assert.match(unchecked.stderr, /container late has no health check: wait for log=REGEX or port=N/);
    const wrong = await gantry('wait', '--condition', 'sunny', 'late');
    assert.match(wrong.stderr, /invalid condition: "sunny": use not-running, next-exit, removed, healthy/);
    const pattern = await gantry('wait', '--condition', 'log=(', 'late');
    assert.match(pattern.stderr, /invalid condition: log=\(/);
    const ending = gantry('wait', '--condition', 'port=9', 'late');
    const codes = gantry('wait', 'late', 'soon');
    await gantry('kill', 'late', 'soon');
    assert.match((await ending).stderr, /container late exited \(137\) before it was listening on port 9\/tcp/);
    assert.equal((await codes).stdout, '137\n137\n');
    const over = await gantry('wait', '--condition', 'log=never', 'soon');
    assert.match(over.stderr, /container soon is not running, and its log has no line that matches \/never\//);
    await gantry('rm', '-f', 'late', 'soon');
  });
});
