/** What containers use, as the docker command line and the API tell it on this kernel. Needs root and the docker command line. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { GantryClient } from '../../src/client/gantry-client.ts';
import type { StatsAnswer } from '../../src/client/usage-types.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';
import { containersMissing, dockerOutput } from '../harness/running-containers.ts';

const skip = await containersMissing();

suite('stats', { skip }, () => {
  let daemon: GantryDaemon;
  let client: GantryClient;

  before(async () => {
    daemon = await startGantry();
    client = new GantryClient({ address: daemon.host });
    await loadBusybox(daemon.host);
    await docker('run', '-d', '--name', 'busy', '-m', '64m', '--pids-limit', '20', 'busybox', 'sh', '-c', 'while :; do :; done');
    await docker('run', '-d', '--name', 'idle', '--network', 'none', 'busybox', 'sleep', '1000');
    await docker('run', '--name', 'over', '--network', 'none', 'busybox', 'true');
  });

  after(async () => {
    client.close();
    await daemon.dispose();
  });

  const docker = (...args: readonly string[]) => dockerOutput(daemon.host, ...args);

  async function take(name: string, count: number): Promise<readonly StatsAnswer[]> {
    const abort = new AbortController();
    const answers: StatsAnswer[] = [];
    try {
      for await (const answer of await client.containers.stats(name, { stream: true }, abort.signal)) {
        answers.push(answer);
        if (answers.length === count) break;
      }
    } finally {
      abort.abort();
    }
    return answers;
  }

  test('a stream: each answer carries the processor figures of the one before', async () => {
    const [first, second] = await take('busy', 2);
    assert.equal(first?.precpu_stats?.system_cpu_usage, undefined);
    assert.deepEqual(second?.precpu_stats, first?.cpu_stats);
    assert.ok((second?.cpu_stats?.cpu_usage?.total_usage ?? 0) > (first?.cpu_stats?.cpu_usage?.total_usage ?? 0));
    assert.equal(second?.memory_stats?.limit, 64 * 1024 * 1024);
    assert.deepEqual(second?.pids_stats, { current: 1, limit: 20 });
    assert.equal(second?.name, '/busy');
    assert.deepEqual(Object.keys(second?.networks ?? {}), ['eth0']);
  });

  test('several clients of several containers are served side by side', async () => {
    const answers = await Promise.all(['busy', 'idle', 'over', 'busy'].map((name) => take(name, 2)));
    assert.deepEqual(
      answers.map(([, second]) => [second?.name, second?.pids_stats?.current]),
      [['/busy', 1], ['/idle', 1], ['/over', undefined], ['/busy', 1]],
    ); // biome-ignore format: a table
    assert.equal(answers[1]?.[1]?.networks, undefined);
  });

  test("docker top: the host's ps, of this container alone", async () => {
    const [titles = '', ...lines] = (await docker('top', 'busy')).split('\n');
    assert.match(titles, /^UID +PID +PPID +C +STIME +TTY +TIME +CMD$/);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', / sh -c while :; do :; done$/);
    const pid = await docker('inspect', '-f', '{{.State.Pid}}', 'busy');
    assert.equal((await docker('top', 'busy', '-o', 'pid,comm')).split('\n')[1]?.replace(/ +/, ' '), `${pid} sh`);
  });

  test('gantry top: all containers and their processes, the busiest first', async () => {
    const { stdout, stderr, status } = await runCommand([
      process.execPath,
      '--no-warnings',
      programEntry,
      '-H',
      daemon.host,
      'top',
      '--no-stream',
    ]);
    assert.equal(status, 0, stderr);
    const [containers = '', processes = ''] = stdout.split('\n\n').slice(1);
    assert.match(containers, /^CONTAINER .*\nbusy +[1-9][\d.]*% .*\nidle +0\./);
    assert.match(processes, /^PID .*\n\d+ +busy +0 +R +[1-9].* sh\n\d+ +idle .* sleep$/m);
  });

  test('docker stats --no-stream', async () => {
    const format = '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}';
    const lines = (await docker('stats', '--no-stream', '--format', format)).split('\n').sort();
    assert.match(lines[0] ?? '', /^busy [1-9][\d.]*% [\d.]+[KM]iB \/ 64MiB 1$/);
    assert.match(lines[1] ?? '', /^idle 0\.\d\d% [\d.]+KiB \/ [\d.]+[GM]iB 1$/);
    assert.equal(lines.length, 2);
    assert.match(await docker('stats', '--no-stream', '--format', format, 'over'), /^over 0\.00% 0B \/ 0B 0$/);
  });

  test('a stream goes on with zeros when its container stops, and ends when it is removed', async () => {
    const seen: (number | undefined)[] = [];
    const answers = await client.containers.stats('idle', { stream: true });
    for await (const { pids_stats } of answers) {
      seen.push(pids_stats?.current);
      if (seen.length === 1) await docker('kill', 'idle');
      if (seen.at(-1) === undefined) await docker('rm', '-f', 'idle').catch(() => {});
    }
    assert.equal(seen[0], 1);
    assert.equal(seen.at(-1), undefined);
  });
});
