import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceOptions } from './device-options.ts';

const options = (given: Readonly<Record<string, readonly string[]>>) => deviceOptions(new Map(Object.entries(given)));

test('deviceOptions: what holds when nothing is said', () => {
  assert.deepEqual(options({}), {
    specDirectories: ['/etc/cdi', '/var/run/cdi'],
    driverRoot: '/',
    deviceRoot: '/',
    gpusFromEnvironment: false,
  });
});

test('--cdi-spec-dir: directories in their order, each once; an empty one alone turns them off', () => {
  assert.deepEqual(options({ 'cdi-spec-dir': ['/a/', '/b', '/a'] }).specDirectories, ['/a', '/b']);
  assert.deepEqual(options({ 'cdi-spec-dir': [''] }).specDirectories, []);
  assert.throws(() => options({ 'cdi-spec-dir': ['a'] }), /--cdi-spec-dir: "a" is not an absolute path/);
});

test('--driver-root, --device-root, --gpus-from-environment', () => {
  const { driverRoot, deviceRoot, gpusFromEnvironment } = options({
    'driver-root': ['/run/nvidia/driver/'],
    'device-root': ['/run/nvidia/../fake'],
    'gpus-from-environment': ['true'],
  });
  assert.deepEqual([driverRoot, deviceRoot, gpusFromEnvironment], ['/run/nvidia/driver', '/run/fake', true]);
  assert.throws(() => options({ 'driver-root': ['x'] }), /--driver-root: "x" is not an absolute path/);
  assert.throws(() => options({ 'gpus-from-environment': ['perhaps'] }), /--gpus-from-environment: "perhaps" is neither true nor false/);
});
