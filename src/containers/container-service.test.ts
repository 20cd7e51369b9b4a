import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { StartError } from '../runtime/runtime.ts';
import { allStreams, serviceFixture, textOf } from './testing/service-fixture.ts';

const never = new AbortController().signal;
const patient = { signal: null, timeoutSeconds: null };

test('create → attach → wait → start → output → exit: Docker’s order of events, streams end before the wait answers', async (context) => {
  const { service, runtime, create, events } = await serviceFixture(context);
  const id = await create({ Labels: { team: 'a', __proto__x: 'y' } }, {}, 'one');
  const { stream } = await service.attach(id, allStreams);
  const { exit } = await service.wait(id, 'next-exit', never);
  assert.equal(await service.start(id), 'started');
  assert.equal(await service.start('one'), 'already-running');
  const order: string[] = [];
  const text = textOf(stream).then((output) => {
    order.push('stream');
    return output;
  });
  runtime.process(id).print('hello\n');
  runtime.process(id).exit(7);
  assert.deepEqual(await exit.finally(() => order.push('wait')), { statusCode: 7, error: null });
  assert.equal(await text, 'hello\n');
  assert.deepEqual(order, ['stream', 'wait']);
  assert.deepEqual(
    events.map(({ action }) => action),
    ['create', 'attach', 'start', 'die'],
  );
  assert.deepEqual(events.at(-1)?.attributes, { team: 'a', __proto__x: 'y', image: 'box', name: 'one', execDuration: '0', exitCode: '7' });
  assert.ok(events.every((event, index) => index === 0 || event.timeNano > (events[index - 1]?.timeNano ?? 0n)));
  const { state } = await service.inspect(id);
  assert.equal(state.status, 'exited');
  assert.equal(state.exitCode, 7);
  assert.equal(runtime.processes.size, 0, 'the monitor was released');
});

test('create: names, conflicts, missing images, and nothing left behind', async (context) => {
  const { service, create, directory, database } = await serviceFixture(context);
  const id = await create({}, {}, '/web');
  assert.match(id, /^[0-9a-f]{64}$/);
  await assert.rejects(create({}, {}, 'web'), {
    code: 'conflict',
    message: `Conflict. The container name "/web" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
  });
  await assert.rejects(create({}, {}, '../x'), { code: 'invalid', message: /^Invalid container name \(\.\.\/x\), only / });
  await assert.rejects(create({ Image: 'missing' }), { code: 'not-found', message: 'No such image: missing:latest' });
  await assert.rejects(create({ Entrypoint: [''] }), { code: 'invalid', message: /no command specified/i });
  database.refuse = (sql) => (sql.startsWith('INSERT') ? new EngineError('system', 'disk full') : null);
  await assert.rejects(create({}, {}, 'half'), /disk full/);
  database.refuse = () => null;
  assert.deepEqual(readdirSync(join(directory, 'containers')), [id]);
  await create({}, {}, 'half');
  assert.match((await service.inspect((await create()).slice(0, 12))).name, /^[a-z]+_[a-z]+$/);
});

test('create: what is kept is what was asked, with Docker’s defaults filled in', async (context) => {
  const { service, create } = await serviceFixture(context, {
    Cmd: ['run'],
    Entrypoint: ['/init'],
    Env: ['A=1', 'B=2'],
    Labels: { from: 'image' },
  });
  const id = await create({ Env: ['B=3'], Labels: { mine: '1' } }, { Memory: 64 << 20 });
  const { config, hostConfig, path, args } = await service.inspect(id);
  assert.deepEqual([path, ...args], ['/init', 'run']);
  assert.deepEqual([...config.Env].sort(), ['A=1', 'B=3']);
  assert.deepEqual(config.Labels, { from: 'image', mine: '1' });
  assert.equal(config.Hostname, id.slice(0, 12));
  assert.equal(hostConfig.MemorySwap, 128 << 20);
  assert.equal(hostConfig.ShmSize, 67_108_864);
  assert.equal(hostConfig.IpcMode, 'private');
  assert.deepEqual(hostConfig.LogConfig, { Type: 'json-file', Config: {} });
  assert.ok((hostConfig.MaskedPaths ?? []).includes('/proc/kcore'));
});

test('start: a failure keeps code and text, answers waits, ends attached clients, and lets the next start work', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  const { stream } = await service.attach(id, allStreams);
  const { exit } = await service.wait(id, 'next-exit', never);
  runtime.beforeStart = () => {
    throw new StartError('exec: "nope": executable file not found in $PATH', 127);
  };
  await assert.rejects(service.start(id), (error: StartError) => {
    assert.equal(error.exitCode, 127);
    assert.match(error.message, /OCI runtime create failed: .*exec: "nope": executable file not found in \$PATH: unknown$/);
    return true;
  });
  assert.deepEqual(await exit, { statusCode: 127, error: null });
  assert.equal(await textOf(stream), '');
  const { state } = await service.inspect(id);
  assert.deepEqual([state.status, state.exitCode], ['created', 127]);
  assert.match(state.error, /executable file not found/);
  runtime.beforeStart = () => {};
  await service.start(id);
  assert.deepEqual((await service.inspect(id)).state.error, '');
});

test('start: a failed --rm container is removed and its waits answered', async (context) => {
  const { service, runtime, create, directory } = await serviceFixture(context);
  const id = await create({}, { AutoRemove: true });
  const { exit } = await service.wait(id, 'removed', never);
  runtime.beforeStart = () => {
    throw new StartError('permission denied', 126);
  };
  await assert.rejects(service.start(id), { exitCode: 126 });
  assert.deepEqual(await exit, { statusCode: 126, error: null });
  await assert.rejects(service.inspect(id), { message: `No such container: ${id}` });
  assert.deepEqual(readdirSync(join(directory, 'containers')), []);
});

test('start: an unknown user fails with Docker’s text, a known one is looked up in the image', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  await assert.rejects(
    service.start(await create({ User: 'nobody-here' })),
    /unable to find user nobody-here: no matching entries in passwd file/,
  );
  const id = await create({ User: 'app' });
  await service.start(id);
  const { spec } = runtime.process(id).request;
  assert.deepEqual([spec.process.user.uid, spec.process.user.gid], [7, 8]);
  assert.ok(spec.process.env.includes('HOME=/home/app'));
});

test('start: a missing -v source is made, a missing --mount source refused', async (context) => {
  const { service, create, directory } = await serviceFixture(context);
  const made = join(directory, 'made', 'deep');
  await service.start(await create({}, { Binds: [`${made}:/data:ro`] }));
  assert.ok(existsSync(made));
  const mount = { Type: 'bind' as const, Source: join(directory, 'absent'), Target: '/data' };
  await assert.rejects(create({}, { Mounts: [mount] }), { code: 'invalid', message: /bind source path does not exist: .*absent$/ });
});

test('exit with --rm: `removed` waits are answered after everything is gone', async (context) => {
  const { service, runtime, create, directory, actions } = await serviceFixture(context);
  const id = await create({}, { AutoRemove: true });
  await service.start(id);
  const { exit } = await service.wait(id, 'removed', never);
  runtime.process(id).exit(3);
  assert.equal((await exit).statusCode, 3);
  assert.ok(!existsSync(join(directory, 'containers', id)));
  assert.deepEqual(actions(), ['start', 'die', 'destroy']);
});

test('wait: conditions', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  assert.deepEqual(await (await service.wait(id, 'not-running', never)).exit, { statusCode: 0, error: null });
  await service.start(id);
  const waiting = await Promise.all(['not-running', 'next-exit'].map((c) => service.wait(id, c as 'next-exit', never)));
  const leaving = new AbortController();
  const left = await service.wait(id, 'next-exit', leaving.signal);
  leaving.abort();
  await assert.rejects(left.exit, { name: 'AbortError' });
  runtime.process(id).lose();
  for (const { exit } of waiting) assert.deepEqual(await exit, { statusCode: 255, error: 'exit status lost' });
  await assert.rejects(service.wait('nobody', 'removed', never), { code: 'not-found', message: 'No such container: nobody' });
});

test('stop: signal, patience, then SIGKILL; a second stop in a hurry shortens the first', async (context) => {
  const { service, runtime, create, actions, events } = await serviceFixture(context);
  const id = await create({ StopSignal: 'SIGINT' });
  assert.equal(await service.stop(id, patient), 'already-stopped');
  await service.start(id);
  const process = runtime.process(id);
  process.deadly = new Set();
  const first = service.stop(id, { signal: null, timeoutSeconds: -1 });
  await sleep(20);
  const second = service.stop(id, { signal: null, timeoutSeconds: 0 });
  assert.deepEqual(await Promise.all([first, second]), ['stopped', 'stopped']);
  assert.deepEqual(process.signals, [2, 9]);
  assert.deepEqual(actions(), ['start', 'kill', 'kill', 'die', 'stop']);
  assert.equal(events.find(({ action }) => action === 'kill')?.attributes.signal, '2');
  assert.equal((await service.inspect(id)).state.exitCode, 137);
  await assert.rejects(service.stop(id, { signal: 'FOO', timeoutSeconds: null }), { code: 'invalid', message: 'Invalid signal: FOO' });
});

test('kill: passes a waiting stop by, and says what Docker says about a stopped container', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({}, {}, 'kk');
  await assert.rejects(service.kill('kk', 'KILL'), {
    code: 'conflict',
    message: `Cannot kill container: kk: Container ${id} is not running`,
  });
  await service.start(id);
  runtime.process(id).deadly = new Set();
  const stopping = service.stop(id, { signal: null, timeoutSeconds: 600 });
  await turn();
  await service.kill(id, 'HUP');
  await service.kill(id, '9');
  assert.equal(await stopping, 'stopped');
});

test('remove: running refused, forced kills, a stop under way is pre-empted, a second removal denied', async (context) => {
  const { service, runtime, create, actions } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  runtime.process(id).deadly = new Set();
  const gently = { force: false, volumes: false };
  await assert.rejects(service.remove(id, gently), {
    code: 'conflict',
    message: `You cannot remove a running container ${id}. Stop the container before attempting removal or force remove`,
  });
  const stopping = service.stop(id, { signal: null, timeoutSeconds: 600 });
  await turn();
  const removing = service.remove(id, { force: true, volumes: false });
  await assert.rejects(service.remove(id, { force: true, volumes: false }), {
    message: `removal of container ${id} is already in progress`,
  });
  await assert.rejects(service.start(id), { code: 'conflict' });
  assert.equal(await stopping, 'stopped');
  await removing;
  assert.equal(actions().at(-1), 'destroy');
  await assert.rejects(service.remove(id, gently), { code: 'not-found' });
});

test('restart: Docker’s events, and --rm survives it', async (context) => {
  const { service, runtime, create, actions } = await serviceFixture(context);
  const id = await create({}, { AutoRemove: true });
  await service.start(id);
  const before = runtime.process(id);
  await service.restart(id, patient);
  assert.notEqual(runtime.process(id), before);
  assert.deepEqual(actions(), ['start', 'kill', 'die', 'stop', 'start', 'restart']);
  const { exit } = await service.wait(id, 'removed', never);
  await service.stop(id, patient);
  assert.equal((await exit).statusCode, 143);
});

test('rename: takes the name everywhere, and Docker’s texts', async (context) => {
  const { service, create, events, restart } = await serviceFixture(context);
  const id = await create({}, {}, 'old');
  const other = await create({}, {}, 'taken');
  await service.rename('old', 'new');
  assert.equal((await service.inspect('new')).id, id);
  assert.deepEqual(events.at(-1)?.attributes, { image: 'box', name: 'new', oldName: '/old' });
  await assert.rejects(service.inspect('old'), { code: 'not-found' });
  await assert.rejects(service.rename('new', 'taken'), {
    code: 'conflict',
    message: `Error when allocating new name: Conflict. The container name "/taken" is already in use by container "${other}". You have to remove (or rename) that container to be able to reuse that name.`,
  });
  await create({}, {}, 'old');
  assert.equal((await (await restart()).inspect('new')).id, id);
});

test('attach: stdin typed before the start arrives; a client of its own stdin that vanishes takes it along', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({ OpenStdin: true, StdinOnce: true });
  const { stream } = await service.attach(id, allStreams);
  stream.write('typed early');
  await service.start(id);
  const process = runtime.process(id);
  assert.equal(process.request.stdin, 'once');
  await turn();
  assert.equal(process.streams[0]?.read()?.toString(), 'typed early');
  stream.destroy();
  await sleep(5);
  assert.equal(process.stdinClosed, 1);
});

test('attach: logs=1 replays what was logged, then goes on live', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({ Tty: true });
  await service.start(id);
  runtime.process(id).print('before\n');
  const { stream, tty } = await service.attach(id, { ...allStreams, logs: true });
  assert.ok(tty);
  // What is logged while the log is still being replayed comes twice.
  await once(stream, 'readable');
  await sleep(300);
  runtime.process(id).print('after\n');
  runtime.process(id).exit(0);
  assert.equal(await textOf(stream), 'before\nafter\n');
});

test('exit: a client that does not read delays the wait by two seconds at most', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  await service.attach(id, allStreams);
  await service.start(id);
  const { exit } = await service.wait(id, 'next-exit', never);
  runtime.process(id).exit(0);
  const before = performance.now();
  await exit;
  const tookMs = performance.now() - before;
  assert.ok(tookMs > 1000 && tookMs < 10_000, `${tookMs} ms`);
});

test('prune and counts: only what does not run goes', async (context) => {
  const { service, create, directory, events } = await serviceFixture(context);
  const [running, kept, gone] = [await create(), await create({ Labels: { keep: '1' } }), await create()];
  await service.start(running);
  mkdirSync(join(directory, 'containers', gone, 'upper'));
  writeFileSync(join(directory, 'containers', gone, 'upper', 'file'), 'x'.repeat(500));
  assert.deepEqual(service.counts(), { running: 1, paused: 0, stopped: 2 });
  const { removed, reclaimedBytes } = await service.prune({ 'label!': ['keep'] });
  assert.deepEqual([removed, reclaimedBytes], [[gone], 500]);
  assert.equal(events.at(-1)?.attributes.reclaimed, '500');
  await assert.rejects(service.prune({ name: ['x'] }), { code: 'invalid', message: "invalid filter 'name'" });
  assert.equal((await service.inspect(kept)).id, kept);
});

test('remove: whatever the container left behind (odd names, deep paths, no permissions) goes', async (context) => {
  const { service, create, directory } = await serviceFixture(context);
  const id = await create();
  const upper = join(directory, 'containers', id, 'upper');
  mkdirSync(upper);
  mkdirSync(Buffer.concat([Buffer.from(`${upper}/`), Buffer.from([0xff, 0xfe, 0x80])]));
  writeFileSync(join(upper, 'file'), '', { mode: 0 });
  let deep = upper;
  for (let level = 0; level < 150; level++) deep = join(deep, 'd'.repeat(20));
  mkdirSync(deep, { recursive: true });
  await service.remove(id, { force: false, volumes: false });
  assert.deepEqual(readdirSync(join(directory, 'containers')), []);
});

test('remove: when the files cannot go the container is dead, and removed again later', async (context) => {
  const { service, create, database } = await serviceFixture(context);
  const id = await create();
  database.refuse = (sql) => (sql.startsWith('DELETE') ? new EngineError('system', 'disk gone') : null);
  await assert.rejects(service.remove(id, { force: false, volumes: false }), { code: 'system', message: /disk gone/ });
  assert.equal((await service.inspect(id)).state.status, 'dead');
  await assert.rejects(service.start(id), { message: 'container is marked for removal and cannot be started' });
  database.refuse = () => null;
  await service.remove(id, { force: false, volumes: false });
  assert.deepEqual(await service.list({ all: true, limit: null, size: false, filters: {} }), []);
});
