import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceFixture } from './testing/service-fixture.ts';

const never = new AbortController().signal;

test('adoption: what runs goes on, and its end is told as ever', async (context) => {
  const { runtime, service, create, restart } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  const next = await restart();
  assert.equal((await next.inspect(id)).state.status, 'running');
  const { exit } = await next.wait(id, 'next-exit', never);
  runtime.process(id).exit(5);
  assert.equal((await exit).statusCode, 5);
});

test('adoption: an end meanwhile keeps its code; a lost one is 255; --rm is honoured', async (context) => {
  const fixture = await serviceFixture(context);
  const { runtime, service, create, restart, directory } = fixture;
  const [ended, lost, gone] = [await create(), await create(), await create({}, { AutoRemove: true })];
  for (const id of [ended, lost, gone]) await service.start(id);
  fixture.database.refuse = (sql) => (sql.startsWith('UPDATE') ? new Error('killed') : null);
  runtime.process(ended).status = { code: 4, at: new Date(), oomKilled: true, note: null };
  runtime.process(gone).status = { code: 0, at: new Date(), oomKilled: false, note: null };
  runtime.processes.delete(lost);
  fixture.database.refuse = () => null;
  const next = await restart();
  const state = (await next.inspect(ended)).state;
  assert.deepEqual([state.status, state.exitCode, state.oomKilled], ['exited', 4, true]);
  const lostState = (await next.inspect(lost)).state;
  assert.deepEqual([lostState.exitCode, lostState.error], [255, 'exit status lost']);
  await assert.rejects(next.inspect(gone), { code: 'not-found' });
  assert.ok(!readdirSync(join(directory, 'containers')).includes(gone));
});

test('adoption: a crash between the start and its record, and one within create or remove, is repaired', async (context) => {
  const { runtime, service, database, create, restart, directory } = await serviceFixture(context);
  const [started, removing] = [await create(), await create()];
  database.refuse = (sql) => (sql.startsWith('UPDATE') ? new Error('SIGKILL') : null);
  await service.start(started);
  database.refuse = (sql) => (sql.startsWith('DELETE') ? new Error('SIGKILL') : null);
  await assert.rejects(service.remove(removing, { force: false, volumes: false }));
  database.refuse = () => null;
  const stray = 'f'.repeat(64);
  mkdirSync(join(directory, 'containers', stray, 'upper'), { recursive: true });
  const next = await restart();
  assert.equal((await next.inspect(started)).state.status, 'running');
  await assert.rejects(next.inspect(removing), { code: 'not-found' });
  assert.deepEqual(readdirSync(join(directory, 'containers')), [started]);
  assert.equal(runtime.processes.size, 1);
});

test('adoption: a process that no record knows is killed', async (context) => {
  const { runtime, service, database, create, restart } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  await database.write('full', [{ sql: 'DELETE FROM containers WHERE id = ?', params: [id] }]);
  const process = runtime.process(id);
  await restart();
  assert.deepEqual(process.signals, [9]);
  assert.equal(runtime.processes.size, 0);
});

test('adoption: an exit that was stored but not released is not told twice', async (context) => {
  const { runtime, service, create, restart } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  const process = runtime.process(id);
  process.release = async () => {};
  process.exit(9);
  await sleep(20);
  const before = (await service.inspect(id)).state;
  const next = await restart();
  assert.deepEqual((await next.inspect(id)).state, before);
});

test('adoption: a crash after the end was stored: what the runtime kept goes, and --rm is honoured', async (context) => {
  const { runtime, service, database, create, restart, directory } = await serviceFixture(context);
  const [plain, gone, neverStarted] = [await create(), await create({}, { AutoRemove: true }), await create({}, { AutoRemove: true })];
  for (const id of [plain, gone]) {
    await service.start(id);
    runtime.process(id).release = async () => {};
  }
  // The daemon dies before it can write that the removal has begun.
  database.refuse = (sql, params) => (sql.startsWith('UPDATE') && params.includes('"removing"') ? new Error('SIGKILL') : null);
  for (const id of [plain, gone]) runtime.process(id).exit(3);
  await sleep(20);
  database.refuse = () => null;
  const next = await restart();
  assert.equal((await next.inspect(plain)).state.exitCode, 3);
  assert.equal((await next.inspect(neverStarted)).state.status, 'created');
  await assert.rejects(next.inspect(gone), { code: 'not-found' });
  assert.deepEqual(readdirSync(join(directory, 'exec', 'c')), []);
});
