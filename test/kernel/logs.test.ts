/** `docker logs` across rotation, compression, restarts and attacks on its files. Needs root, the docker CLI, busybox-static. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { until } from '../../src/containers/logging/receivers.ts';
import { type CommandResult, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('logs', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = async (command: string): Promise<CommandResult> =>
    await shell(command.replaceAll('docker ', `docker -H ${daemon.host} `), { timeoutMs: 60_000 });
  const numbers = (text: string) => [...text.matchAll(/^line (\d+)$/gm)].map(([, line]) => Number(line));
  const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const isRising = (lines: readonly number[]) => lines.every((line, index) => index === 0 || line > (lines[index - 1] ?? 0));

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('since, until, tail and timestamps, in the forms that people write', async () => {
    await docker(`docker run --name forms --network none busybox sh -c 'for i in 1 2 3; do echo line $i; sleep 1.1; done'`);
    const times = (await docker('docker logs -t forms')).stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
    const [, second = ''] = times;
    assert.match(second, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    const shown = async (options: string) => numbers((await docker(`docker logs ${options} forms`)).stdout);
    // To the nanosecond: the line itself is within, the one before is not.
    assert.deepEqual(await shown(`--since ${second}`), [2, 3]);
    assert.deepEqual(await shown(`--until ${second}`), [1, 2]);
    assert.deepEqual(await shown(`--since ${second} --until ${second}`), [2]);
    const unix = `${Math.floor(Date.parse(second) / 1000)}.${second.slice(20, 29)}`;
    assert.deepEqual(await shown(`--since ${unix}`), [2, 3]);
    assert.deepEqual(await shown(`--since ${second.slice(0, 19)}Z`), [2, 3]);
    assert.deepEqual(await shown('--since 1h'), [1, 2, 3]);
    assert.deepEqual(await shown('--since 1h30m --tail 2'), [2, 3]);
    assert.deepEqual(await shown('--until 1h'), []);
    assert.deepEqual(await shown('--tail 0'), []);
    assert.deepEqual(await shown('--tail all'), [1, 2, 3]);
    assert.deepEqual(await shown('--tail -1'), [1, 2, 3]);
  });

  test('stdout and stderr apart, and what a terminal makes of them', async () => {
    await docker(`docker run --name apart --network none busybox sh -c 'echo out; echo err >&2'`);
    const { stdout, stderr } = await docker('docker logs apart');
    assert.deepEqual([stdout, stderr], ['out\n', 'err\n']);
    await docker(`docker run -t --name terminal --network none busybox sh -c 'echo out; echo err >&2'`);
    assert.equal((await docker('docker logs terminal')).stdout, 'out\r\nerr\r\n');
    assert.match((await docker('docker logs gone')).stderr, /No such container: gone/);
  });

  test('follow: until a moment to come, of a container that says nothing; to the end of a run, also when it is restarted', async () => {
    await docker(`docker run -d --name quiet --network none busybox sh -c 'echo line 1; sleep 1000'`);
    const soon = new Date(Date.now() + 1500).toISOString();
    assert.deepEqual(numbers((await docker(`timeout 20 docker logs -f --until ${soon} quiet; echo "line $?"`)).stdout), [1, 0]);
    const following = docker('timeout 20 docker logs -f quiet; echo "line $?"');
    await docker('docker restart -t 0 quiet');
    // As with Docker, it ends with the run; it may have begun only in the second one, and then that is what has to end.
    await docker('docker kill quiet');
    assert.equal(numbers((await following).stdout).at(-1), 0);
    assert.deepEqual(numbers((await docker('docker logs -f quiet')).stdout), [1, 1]);
  });

  test('a follower slower than the rotation misses only what was deleted; one that keeps up misses nothing', async () => {
    const options = '--log-opt max-size=50k --log-opt max-file=4 --log-opt compress=true';
    await docker(
      `docker run -d --name turning --network none ${options} busybox sh -c 'sleep 1; for i in $(seq 20000); do echo line $i; done'`,
    );
    const slow = docker(`docker logs -f turning | (sleep 4; cat)`);
    const quick = numbers((await docker('docker logs -f turning')).stdout);
    assert.equal(quick.at(-1), 20_000);
    assert.ok(isRising(quick), 'in order, no line twice');
    const late = numbers((await slow).stdout);
    assert.equal(late.at(-1), 20_000);
    assert.ok(isRising(late), 'in order, no line twice');
    const left = numbers((await docker('docker logs turning')).stdout);
    assert.deepEqual(left, from(left[0] ?? 0, 20_000));
    assert.ok(left.length > 500, `${left.length}`);
    assert.deepEqual(numbers((await docker(`docker logs --tail ${left.length - 10} turning`)).stdout), left.slice(10));
  });

  test('what was rotated while no daemon ran is compressed by the next one', async () => {
    const options = '--log-opt max-size=20k --log-opt max-file=40 --log-opt compress=true';
    await docker(
      `docker run -d --name away --network none ${options} busybox sh -c 'sleep 2; for i in $(seq 2000); do echo line $i; done; sleep 1000'`,
    );
    const directory = (await docker("docker inspect -f '{{.LogPath}}' away")).stdout.trim().replace(/\/[^/]*$/, '');
    const archives = () => readdirSync(directory).filter((name) => name.endsWith('.gz'));
    await daemon.crash();
    await shell('sleep 3');
    assert.deepEqual(archives(), []);
    await daemon.restart();
    await until(() => archives().length >= 5, 'archives');
    assert.deepEqual(numbers((await docker('docker logs away; docker kill away')).stdout), from(1, 2000));
  });

  test('a line of 200 MB: memory stays flat, what the limits keep is whole', async () => {
    const before = residentKilobytes(daemon.pid);
    await docker(`docker run --name wide --network none busybox sh -c 'head -c 200m /dev/zero | tr "\\0" x' | wc -c`);
    const { stdout } = await docker('docker logs wide | tr -d x | wc -c');
    assert.equal(stdout.trim(), '0');
    assert.ok(residentKilobytes(daemon.pid) - before < 128 * 1024);
  });

  test('gantry logs of several containers, by name and by filter, also those that come later', async () => {
    const gantry = `${process.execPath} --no-warnings ${programEntry} -H ${daemon.host}`;
    const run = (name: string, script: string) =>
      `docker run -d --name ${name} --label set=several --network none busybox sh -c '${script}'`;
    await docker(run('first', 'echo 1; sleep 0.6; echo 3; sleep 1000'));
    await docker(run('second', 'sleep 0.3; echo 2; echo oops >&2; sleep 1000'));
    await eventually(async () => (await docker('docker logs first')).stdout.includes('3'));
    const byName = await shell(`${gantry} logs second first`);
    assert.deepEqual(byName.stdout.split('\n').toSorted().slice(1), ['first  | 1', 'first  | 3', 'second | 2']);
    assert.equal(byName.stderr, 'second | oops\n');
    const following = shell(
      `timeout 20 ${gantry} logs -f --filter label=set=several --until $(date -u -d '+6 seconds' +%Y-%m-%dT%H:%M:%SZ)`,
    );
    await shell('sleep 2');
    await docker(run('third', 'echo 4'));
    const lines = (await following).stdout.split('\n');
    assert.deepEqual(lines.toSorted().slice(1), ['first  | 1', 'first  | 3', 'second | 2', 'third  | 4']);
    assert.deepEqual((await shell(`${gantry} logs`)).status, 1);
  });

  test('a FIFO, a symlink or a directory in place of the log file: an error, and nothing hangs', async () => {
    for (const [index, attack] of ['mkfifo', 'ln -s /dev/zero', 'mkdir'].entries()) {
      const name = `attacked${index}`;
      await docker(`docker run --name ${name} --network none busybox echo x`);
      const path = (await docker(`docker inspect -f '{{.LogPath}}' ${name}`)).stdout.trim();
      const { stdout } = await docker(
        `rm ${path}; ${attack} ${path}; timeout 10 docker logs ${name} 2>&1; echo "logs $?"; timeout 10 docker start ${name} 2>&1; echo "start $?"; timeout 10 docker ps -q; echo "ps $?"; timeout 10 docker rm ${name}`,
      );
      assert.match(stdout, /logs 1|somebody put something else/);
      assert.match(stdout, /start 1/);
      assert.match(stdout, /ps 0/);
      assert.match(stdout, new RegExp(`${name}\n$`));
    }
  });
});

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100 && !(await holds()); tries++) await shell('sleep 0.1');
}

function residentKilobytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(join('/proc', String(pid), 'status'), 'utf8'))?.[1]);
}
