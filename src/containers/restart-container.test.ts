/** Restart policies over the fake runtime: what waits for a restart, what ends the waiting, and what another daemon makes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { StartError } from '../runtime/runtime.ts';
import { defaultExecConfig } from './config-defaults.ts';
import { type Fixture, serviceFixture } from './testing/service-fixture.ts';

const never = new AbortController().signal;
const patient = { signal: null, timeoutSeconds: null };
const restart = (Name: string, MaximumRetryCount = 0) => ({ RestartPolicy: { Name, MaximumRetryCount } });

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; ) {
    if (await condition()) return;
    await sleep(5);
  }
  assert.fail(`never happened: ${what}`);
}

const status = async ({ service }: Pick<Fixture, 'service'>, id: string) => (await service.inspect(id)).state.status;

test('a container with a policy is started again after its end; each end answers waits and is told', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create, actions } = fixture;
  const id = await create({}, restart('always'));
  await service.start(id);
  const first = runtime.process(id);
  const { exit } = await service.wait(id, 'not-running', never);
  first.exit(0);
  assert.equal((await exit).statusCode, 0);
  const view = await service.inspect(id);
  assert.deepEqual([view.state.status, view.state.pid, view.restartCount], ['restarting', 0, 1]);
  assert.deepEqual(service.counts(), { running: 0, paused: 0, stopped: 1 });
  assert.equal((await service.list({ all: false, limit: null, size: false, filters: {} })).length, 1);
  assert.equal(await service.start(id), 'already-running');
  await assert.rejects(service.createExec(id, defaultExecConfig({ Cmd: ['true'] })), {
    code: 'conflict',
    message: `Container ${id} is restarting, wait until the container is running`,
  });
  await assert.rejects(service.remove(id, { force: false, volumes: false }), {
    message: `You cannot remove a restarting container ${id}. Stop the container before attempting removal or force remove`,
  });
  await until(async () => (await status(fixture, id)) === 'running', 'a restart');
  assert.notEqual(runtime.process(id), first);
  assert.deepEqual(actions(), ['start', 'die', 'start']);
});

test('stop, kill and rm -f end the waiting for a restart', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create, actions } = fixture;
  const waiting = async (name: string) => {
    const id = await create({}, restart('always'), name);
    await service.start(id);
    // The third restart waits for 400 ms.
    for (let ends = 0; ends < 3; ends++) {
      await until(async () => (await status(fixture, id)) === 'running', 'a run');
      runtime.process(id).exit(1);
      await until(async () => (await status(fixture, id)) === 'restarting', 'the waiting');
    }
    return id;
  };
  const stopped = await waiting('stopped');
  const { exit } = await service.wait(stopped, 'next-exit', never);
  assert.equal(await service.stop(stopped, patient), 'stopped');
  assert.equal((await exit).statusCode, 1);
  assert.equal(actions().at(-1), 'stop');
  const killed = await waiting('killed');
  await service.kill(killed, 'TERM');
  const removed = await waiting('removed');
  await service.remove(removed, { force: true, volumes: false });
  await sleep(600);
  assert.deepEqual([await status(fixture, stopped), await status(fixture, killed)], ['exited', 'exited']);
  assert.equal(runtime.processes.size, 0);
});

test('a stop, and any kill of a container without a stop signal of its own, is its end; a start by hand forgets it', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create } = fixture;
  const id = await create({}, restart('always'));
  const own = await create({ StopSignal: 'SIGTERM' }, restart('always'));
  for (const each of [id, own]) await service.start(each);
  await service.kill(id, 'HUP');
  await until(async () => (await status(fixture, id)) === 'exited', 'the end');
  await service.kill(own, 'HUP');
  await until(async () => (await service.inspect(own)).restartCount === 1, 'a restart: HUP is not how this one is stopped');
  await service.start(id);
  runtime.process(id).exit(0);
  await until(async () => (await service.inspect(id)).restartCount === 1, 'a restart');
  await until(async () => (await status(fixture, id)) === 'running', 'a run');
  await service.restart(id, patient);
  assert.equal((await service.inspect(id)).restartCount, 0);
});

test('a stop that finds the process gone has the last word, whatever the policy decided', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create, database } = fixture;
  for (const end of ['stop', 'kill', 'remove'] as const) {
    const id = await create({}, restart('always'), `ends-${end}`);
    await service.start(id);
    // The end is known, but not yet stored, when somebody stops it.
    let asked: Promise<unknown> | null = null;
    database.refuse = (_sql, params) => {
      if (asked === null && params.includes('"restarting"')) {
        asked = { stop: () => service.stop(id, patient), kill: () => service.kill(id, 'KILL'), remove: () => service.remove(id, forced) }[
          end
        ]();
      }
      return null;
    };
    runtime.process(id).exit(0);
    await until(() => asked !== null, 'the end');
    await asked;
    await sleep(250);
    if (end !== 'remove') assert.equal(await status(fixture, id), 'exited', end);
    assert.equal(runtime.processes.size, 0, end);
  }
});

test('a daemon that leaves: an end on the way is the next one’s to restart, unless containers stop with the daemon', async (context) => {
  const { service, runtime, create, restart: reboot } = await serviceFixture(context);
  const id = await create({}, restart('on-failure'));
  await service.start(id);
  await service.close();
  runtime.process(id).exit(1);
  await until(async () => (await status({ service }, id)) === 'restarting', 'the end');
  const second = await reboot();
  await until(async () => (await status({ service: second }, id)) === 'running', 'the restart');
  assert.equal((await second.inspect(id)).restartCount, 1);
  second.endRestarts();
  runtime.process(id).exit(1);
  await until(async () => (await status({ service: second }, id)) === 'exited', 'the end');
  await second.close();
});

test('on-failure: as often as allowed; a start that fails ends it', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create } = fixture;
  const id = await create({}, restart('on-failure', 2));
  await service.start(id);
  for (let ends = 0; ends < 3; ends++) {
    await until(async () => (await status(fixture, id)) === 'running', 'a run');
    runtime.process(id).exit(7);
    await until(async () => (await status(fixture, id)) !== 'running', 'an end');
  }
  const { state, restartCount } = await service.inspect(id);
  assert.deepEqual([state.status, state.exitCode, restartCount], ['exited', 7, 2]);
  await service.start(id);
  runtime.beforeStart = () => {
    throw new StartError('exec: "gone": no such file or directory', 127);
  };
  runtime.process(id).exit(1);
  await until(async () => (await status(fixture, id)) === 'exited', 'the failed start');
  assert.match((await service.inspect(id)).state.error, /no such file/);
});

test('another daemon: waits on where the last one did, keeps the count, and never starts twice', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create, restart: reboot } = fixture;
  const id = await create({}, restart('always'));
  await service.start(id);
  runtime.process(id).exit(1);
  await until(async () => (await status(fixture, id)) === 'restarting', 'the waiting');
  await service.close();
  const second = await reboot();
  assert.deepEqual([await status({ service: second }, id), (await second.inspect(id)).restartCount], ['restarting', 1]);
  let starts = 0;
  runtime.beforeStart = () => void starts++;
  await until(async () => (await status({ service: second }, id)) === 'running', 'the restart');
  await sleep(300);
  assert.equal(starts, 1);
  await second.stop(id, patient);
  await second.close();
});

test('another daemon: what ended meanwhile follows its policy, what was lost starts anew, what was stopped stays so', async (context) => {
  const fixture = await serviceFixture(context);
  const { service, runtime, create, restart: reboot } = fixture;
  const [ended, lost, stopped, always] = [
    await create({}, restart('on-failure'), 'ended'),
    await create({}, restart('unless-stopped'), 'lost'),
    await create({}, restart('unless-stopped'), 'stopped'),
    await create({}, restart('always'), 'always'),
  ];
  for (const id of [ended, lost, stopped, always]) await service.start(id);
  for (const id of [stopped, always]) await service.stop(id, patient);
  await service.close();
  // As a daemon that is gone sees it: not at all.
  const [endedProcess, lostProcess] = [runtime.process(ended), runtime.process(lost)];
  Object.assign(endedProcess, { status: { code: 3, at: new Date(), oomKilled: false, note: null } });
  runtime.processes.delete(lost);
  assert.equal(lostProcess.status, null);
  const second = await reboot();
  const { state, restartCount } = await second.inspect(ended);
  assert.deepEqual([state.status, state.exitCode, restartCount], ['restarting', 3, 1]);
  for (const id of [lost, always]) await until(async () => (await status({ service: second }, id)) === 'running', 'a start');
  assert.equal((await second.inspect(lost)).restartCount, 0);
  assert.equal(await status({ service: second }, stopped), 'exited');
  await second.close();
});

const forced = { force: true, volumes: false };
