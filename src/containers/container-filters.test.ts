import assert from 'node:assert/strict';
import test from 'node:test';
import { serviceFixture } from './testing/service-fixture.ts';

test('list: every filter of docker ps', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const first = await create({ Labels: { app: 'web', tier: '1' }, ExposedPorts: { '80/tcp': {} } }, {}, 'first');
  const second = await create({ Labels: { app: 'db' } }, { NetworkMode: 'host' }, 'second');
  const third = await create({}, { Binds: ['/tmp:/data'] }, 'third');
  await service.start(second);
  await service.start(third);
  runtime.process(third).exit(3);
  const wait = await service.wait(third, 'not-running', new AbortController().signal);
  await wait.exit;
  const names = async (filters: Record<string, string[]>, options = {}) =>
    (await service.list({ all: true, limit: null, size: false, filters, ...options })).map(({ name }) => name);
  assert.deepEqual(await names({}), ['third', 'second', 'first']);
  assert.deepEqual(await names({}, { all: false }), ['second']);
  assert.deepEqual(await names({}, { all: false, limit: 1 }), ['third']);
  assert.deepEqual(await names({ name: ['^/first$', 'eco'] }), ['second', 'first']);
  assert.deepEqual(await names({ id: [first.slice(0, 5)] }), ['first']);
  assert.deepEqual(await names({ label: ['app', 'tier=1'] }), ['first']);
  assert.deepEqual(await names({ label: ['app=db'] }), ['second']);
  assert.deepEqual(await names({ status: ['exited'] }, { all: false }), ['third']);
  assert.deepEqual(await names({ exited: ['3'] }), ['third']);
  assert.deepEqual(await names({ exited: ['0'] }), []);
  assert.deepEqual(await names({ ancestor: ['box'] }), ['third', 'second', 'first']);
  assert.deepEqual(await names({ ancestor: ['other'] }), []);
  assert.deepEqual(await names({ before: ['second'] }), ['first']);
  assert.deepEqual(await names({ since: ['second'] }), ['third']);
  assert.deepEqual(await names({ volume: ['/data'] }), ['third']);
  assert.deepEqual(await names({ network: ['host'] }), ['second']);
  assert.deepEqual(await names({ expose: ['79-81'] }), ['first']);
  assert.deepEqual(await names({ publish: ['80'] }), []);
  assert.deepEqual(await names({ health: ['none'] }), ['third', 'second', 'first']);
  assert.deepEqual(await names({ 'is-task': ['true'] }), []);
  for (const [key, value] of [
    ['bogus', 'x'],
    ['status', 'x'],
    ['exited', 'x'],
    ['health', 'x'],
  ] as const) {
    await assert.rejects(names({ [key]: [value] }), { code: 'invalid', message: /^invalid filter '/ });
  }
  await assert.rejects(names({ before: ['nobody'] }), { code: 'not-found' });
  await assert.rejects(names({ __proto__x: ['x'], constructor: ['x'] }), { code: 'invalid' });
});
