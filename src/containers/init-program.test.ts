import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initOf } from './init-program.ts';
import { serviceFixture } from './testing/service-fixture.ts';

test('initOf: asked for, or the daemon’s default, in a PID namespace of its own', () => {
  const init = { program: '/init', byDefault: false };
  assert.equal(initOf(init, { PidMode: '' }), null);
  assert.equal(initOf(init, { PidMode: '', Init: true }), '/init');
  assert.equal(initOf(init, { PidMode: 'host', Init: true }), null);
  assert.equal(initOf(init, { PidMode: 'container:x', Init: true }), null);
  assert.equal(initOf({ ...init, byDefault: true }, { PidMode: '', Init: null }), '/init');
  assert.equal(initOf({ ...init, byDefault: true }, { PidMode: '', Init: false }), null);
  assert.throws(() => initOf({ program: null, byDefault: false }, { PidMode: '', Init: true }), /gantry-init is not built/);
});

test('start: the spec of a container with an init; its execs have none', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create({ Cmd: ['app', 'x'] }, { Init: true });
  await service.start(id);
  const { spec } = runtime.process(id).request;
  assert.deepEqual(spec.process.args, ['/sbin/docker-init', '--', 'app', 'x']);
  assert.deepEqual(spec.mounts.at(-1), { destination: '/sbin/docker-init', type: 'bind', source: '/gantry-init', options: ['bind', 'ro'] });
  const { path, args } = await service.inspect(id);
  assert.deepEqual([path, ...args], ['app', 'x']);
});
