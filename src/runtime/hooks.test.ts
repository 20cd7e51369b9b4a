import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hooks, RuntimeSpec } from '../oci/runtime-spec.ts';
import { checkHooks, createContainerSteps, hookEndText, lastLines, startContainerSteps } from './hooks.ts';

const specWith = (hooks: Hooks): RuntimeSpec => ({
  ociVersion: '1.2.0',
  process: { cwd: '/', env: [], args: ['true'], user: { uid: 0, gid: 0 } },
  root: { path: '/' },
  mounts: [],
  annotations: { note: '"pid":0' },
  linux: { namespaces: [] },
  hooks,
});
const place = { id: 'abc', bundle: '/run/gantry/c/abc' };

test('hook steps: of the host or confined, the environment as it is, and a state around the place of the pid', () => {
  const spec = specWith({
    createContainer: [{ path: '/a', env: ['A=1'], timeout: 3 }],
    startContainer: [{ path: '/b', args: ['b', 'x'] }],
  });
  const [[create], [start]] = [createContainerSteps(spec, place), startContainerSteps(spec, place)];
  assert.ok(create?.step.op === 'hook' && start?.step.op === 'hook');
  assert.deepEqual([create.step.argv, create.step.env, create.step.confined, create.step.timeoutMs], [['/a'], ['A=1'], false, 3000]);
  assert.deepEqual([start.step.argv, start.step.env, start.step.confined, start.step.timeoutMs], [['b', 'x'], [], true, 60_000]);
  assert.deepEqual(JSON.parse(`${create.step.before}77${create.step.after}`), {
    ociVersion: '1.2.0',
    id: 'abc',
    status: 'creating',
    pid: 77,
    bundle: '/run/gantry/c/abc',
    annotations: { note: '"pid":0' },
  });
  assert.equal(create.failure, 'run the createContainer hook /a');
});

test('checkHooks: paths, time-outs and variables', () => {
  const refused: readonly (readonly [Hooks, RegExp])[] = [
    [{ prestart: [{ path: 'x' }] }, /path of the prestart hook x must be absolute/],
    [{ poststop: [{ path: '/x', timeout: 0 }] }, /time-out of the poststop hook \/x must be 1 to 86400 seconds, not 0/],
    [{ poststop: [{ path: '/x', env: ['=A'] }] }, /has "=A", which is not NAME=value/],
  ];
  for (const [hooks, message] of refused) assert.throws(() => checkHooks(specWith(hooks)), message);
  checkHooks(specWith({ prestart: [{ path: '/x', timeout: 5, env: ['A='] }] }));
});

test('lastLines and hookEndText: nothing of it moves the cursor of a terminal', () => {
  assert.equal(lastLines('one\n\ntwo \u001b[2Jx\u0000\n'), 'one; two  [2Jx');
  assert.equal(lastLines('1\n2\n3\n4\n5\n6\n7'), '3; 4; 5; 6; 7');
  assert.equal(hookEndText({ code: 3, signal: null }, 1000, 'no\n'), 'it ended with status 3: no');
  assert.equal(hookEndText('timeout', 1000, ''), 'it did not end within 1 s and was killed');
});
