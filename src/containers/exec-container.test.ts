import assert from 'node:assert/strict';
import test from 'node:test';
import { StartError } from '../runtime/runtime.ts';
import type { ExecConfig } from './config.ts';
import { serviceFixture, textOf } from './testing/service-fixture.ts';

const config: ExecConfig = {
  User: '',
  Privileged: false,
  Tty: false,
  AttachStdin: true,
  AttachStdout: true,
  AttachStderr: true,
  DetachKeys: '',
  Env: ['MORE=1'],
  WorkingDir: '/tmp',
  Cmd: ['sh', '-c', 'true'],
};
const attached = { detach: false, tty: false, consoleSize: null };

test('exec: the exit code is known when the stream ends', async (context) => {
  const { service, runtime, create, actions, events } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  const exec = await service.createExec(id, config);
  assert.deepEqual((await service.inspect(id)).execIds, [exec]);
  const session = await service.startExec(exec, attached);
  assert.equal(service.inspectExec(exec).exitCode, null);
  const process = runtime.process(id).execs[0];
  assert.deepEqual(process?.request.spec.process.args, ['sh', '-c', 'true']);
  assert.equal(process?.request.spec.process.cwd, '/tmp');
  assert.ok(process?.request.spec.process.env.includes('MORE=1'));
  process?.far?.write('out');
  process?.exit(42);
  assert.ok(session !== null);
  assert.equal(await textOf(session.stream), 'out');
  const view = service.inspectExec(exec);
  assert.deepEqual([view.running, view.exitCode], [false, 42]);
  assert.deepEqual(actions(), ['start', 'exec_create: sh -c true', 'exec_start: sh -c true', 'exec_die']);
  assert.deepEqual([events.at(-1)?.attributes.execID, events.at(-1)?.attributes.exitCode], [exec, '42']);
  await assert.rejects(service.startExec(exec, attached), { code: 'conflict', message: `Error: Exec command ${exec} has already run` });
});

test('exec: a failed start keeps Docker’s exit code and text', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  runtime.process(id).beforeExec = () => {
    throw new StartError('exec: "nope": executable file not found in $PATH', 127);
  };
  const exec = await service.createExec(id, config);
  await assert.rejects(
    service.startExec(exec, attached),
    /^StartError: OCI runtime exec failed: exec failed: unable to start .*not found in \$PATH: unknown$/,
  );
  assert.equal(service.inspectExec(exec).exitCode, 127);
});

test('exec: stopped containers, unknown ids, detached and resize', async (context) => {
  const { service, runtime, create } = await serviceFixture(context);
  const id = await create();
  await assert.rejects(service.createExec(id, config), { code: 'conflict', message: `Container ${id} is not running` });
  assert.throws(() => service.inspectExec('nope'), { code: 'not-found', message: 'No such exec instance: nope' });
  await service.start(id);
  await assert.rejects(service.createExec(id, { ...config, Cmd: [] }), { message: 'No exec command specified' });
  const exec = await service.createExec(id, { ...config, AttachStdin: false, AttachStdout: false, AttachStderr: false });
  await assert.rejects(service.resizeExec(exec, 1, 2), { code: 'conflict' });
  assert.equal(await service.startExec(exec, { ...attached, detach: true }), null);
  await service.resizeExec(exec, 24, 80);
  assert.deepEqual(runtime.process(id).execs[0]?.sizes, [[24, 80]]);
});

test('exec: one that runs over a restart of the daemon can be asked for its end', async (context) => {
  const { service, runtime, create, restart } = await serviceFixture(context);
  const id = await create();
  await service.start(id);
  const exec = await service.createExec(id, config);
  await service.startExec(exec, { ...attached, detach: true });
  const next = await restart();
  assert.ok(next.inspectExec(exec).running);
  runtime.process(id).execs[0]?.exit(6);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(next.inspectExec(exec).exitCode, 6);
});
