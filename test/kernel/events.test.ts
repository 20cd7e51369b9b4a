/** `events` of all objects through docker and gantry, with every kind of filter. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('events', { skip }, () => {
  let daemon: GantryDaemon;
  const run = (script: string): Promise<CommandResult> =>
    shell(script, { timeoutMs: 60_000, env: { ...process.env, DOCKER_HOST: daemon.host } });
  const events = (cli: string, flags: string) => run(`${cli} events --since 1 --until $(($(date +%s) + 1)) ${flags}`);
  const gantry = `${process.execPath} --no-warnings ${programEntry}`;
  const steps = (text: string) => text.trim().split('\n');

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    const { status, stderr } = await run(`
      set -e
      docker network create -d bridge --internal en; docker volume create ev
      docker run -d --name life --label tier=front --network none -v ev:/v busybox sleep 1000
      docker exec life true; docker pause life; docker unpause life; docker rename life lives; docker top lives
      docker tag busybox:latest other:1; docker rmi other:1
      docker restart -t 0 lives; docker kill lives; docker wait lives; docker rm lives; docker network rm en; docker volume rm ev
      docker system prune -f --volumes; sleep 1.1`);
    assert.equal(status, 0, stderr);
  });
  after(() => daemon?.dispose());

  test('each object tells its life', async () => {
    const told = async (type: string) => steps((await events('docker', `--filter type=${type} --format '{{.Action}}'`)).stdout);
    assert.deepEqual(await told('network'), ['create', 'destroy', 'prune']);
    assert.deepEqual((await told('image')).slice(1), ['tag', 'untag', 'prune']);
    assert.deepEqual(await told('volume'), ['create', 'mount', 'unmount', 'mount', 'unmount', 'destroy', 'prune']);
    assert.deepEqual(await told('builder'), ['prune']);
    const container = (await told('container')).filter((action) => action !== 'wait');
    assert.deepEqual(container, [
      'create',
      'start',
      'exec_create: true ',
      'exec_start: true ',
      'exec_die',
      'pause',
      'unpause',
      'rename',
      'top',
      ...['kill', 'kill', 'die', 'stop', 'start', 'restart'],
      ...['kill', 'die', 'destroy', 'prune'],
    ]);
  });

  for (const flags of [
    '',
    "--format '{{json .}}'",
    '--format json',
    "--format '{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.ID}} {{.Status}} {{.From}} {{.TimeNano}}'",
    '--filter container=li --filter event=exec_create --filter event=die',
    '--filter label=tier=front --filter event=start',
    '--filter image=busybox --filter type=container',
    '--filter volume=ev',
    '--filter network=en',
    '--filter scope=swarm',
    '--filter type=bogus',
    '--filter bogus=x',
  ]) {
    test(`docker and gantry show the same: events ${flags}`, async () => {
      // Of one moment, so that both see the same.
      const until = String(Math.floor(Date.now() / 1000));
      const [theirs, ours] = [
        await run(`docker events --since 1 --until ${until} ${flags}`),
        await run(`${gantry} events --since 1 --until ${until} ${flags}`),
      ];
      assert.deepEqual([ours.stdout, ours.stderr, ours.status], [theirs.stdout, theirs.stderr, theirs.status]);
      if (!/swarm|bogus/.test(flags)) assert.ok(theirs.stdout.length > 0);
    });
  }

  test('a daemon that starts again tells what happened while none ran, and nothing from before', async () => {
    await run('docker run -d --name short --network none busybox sleep 1.5');
    await daemon.crash();
    await shell('sleep 2');
    await daemon.restart();
    const told = steps((await events('docker', "--format '{{.Action}} {{.Actor.Attributes.exitCode}}'")).stdout);
    assert.ok(told.includes('die 0'), told.join());
    assert.ok(!told.some((line) => line.startsWith('create')), told.join());
  });
});
