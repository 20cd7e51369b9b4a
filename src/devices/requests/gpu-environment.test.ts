import assert from 'node:assert/strict';
import { test } from 'node:test';
import { driverCapabilities, environmentOf, joinVariables, nvidiaCapabilities, visibleVariable } from './gpu-environment.ts';

const capabilities = (asked: readonly string[], ...variables: readonly string[]) => {
  const { chosen, variables: told } = driverCapabilities(asked, environmentOf(variables));
  return [[...chosen], told];
};

test('driverCapabilities: those of the request, else of the environment, else the usual ones', () => {
  assert.deepEqual(capabilities(['gpu']), [['compute', 'utility'], []]);
  assert.deepEqual(capabilities(['gpu'], 'NVIDIA_DRIVER_CAPABILITIES=video, utility'), [['video', 'utility'], []]);
  assert.deepEqual(capabilities(['gpu'], 'NVIDIA_DRIVER_CAPABILITIES=all'), [nvidiaCapabilities, []]);
  assert.deepEqual(capabilities(['compute', 'graphics', 'gpu'], 'NVIDIA_DRIVER_CAPABILITIES=all'), [
    ['compute', 'graphics'],
    ['NVIDIA_DRIVER_CAPABILITIES=compute,graphics'],
  ]);
  assert.throws(
    () => capabilities(['gpu'], 'NVIDIA_DRIVER_CAPABILITIES=compute,cuda'),
    /NVIDIA_DRIVER_CAPABILITIES names "cuda", .* all, or compute,/,
  );
});

test('visibleVariable: what was asked, and for a number what was chosen', () => {
  assert.deepEqual(visibleVariable('nvidia', { kind: 'all' }, ['0', '1']), ['NVIDIA_VISIBLE_DEVICES=all']);
  assert.deepEqual(visibleVariable('nvidia', { kind: 'count', count: 2 }, ['1', '3']), ['NVIDIA_VISIBLE_DEVICES=1,3']);
  assert.deepEqual(visibleVariable('amd', { kind: 'ids', ids: ['0'] }, ['0']), ['AMD_VISIBLE_DEVICES=0']);
  assert.deepEqual(visibleVariable('nvidia', { kind: 'nothing' }, []), ['NVIDIA_VISIBLE_DEVICES=void']);
  assert.deepEqual(visibleVariable('nvidia', { kind: 'driver' }, []), ['NVIDIA_VISIBLE_DEVICES=none']);
  assert.deepEqual(visibleVariable('intel', { kind: 'all' }, []), []);
});

test('joinVariables: of several requests one list', () => {
  assert.deepEqual(joinVariables(['V=1', 'C=compute', 'V=0,1', 'C=video', 'V=none']), ['V=1,0', 'C=compute,video']);
  assert.deepEqual(joinVariables(['V=void', 'V=all', 'V=2']), ['V=all']);
  assert.deepEqual([...joinVariables(['V=void', 'V=none']), ...joinVariables(['V=void'])], ['V=none', 'V=void']);
});
