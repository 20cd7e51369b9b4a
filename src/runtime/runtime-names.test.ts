import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onlyNative, runtimeNames } from './runtime-names.ts';

const runc = { name: 'runc', path: '/usr/sbin/runc', args: [], patienceMs: 1 };
const mine = { ...runc, name: 'mine' };
const noVersion = { family: null, version: null, weakness: null };

test('runtimeNames: the default, those there are, and what clients of Docker say without a wish behind it', () => {
  const names = runtimeNames([mine, runc], 'mine', async () => noVersion);
  assert.deepEqual(['', 'native', 'mine', 'runc', 'io.containerd.runc.v2'].map(names.resolve), ['mine', 'native', 'mine', 'runc', 'runc']);
  assert.deepEqual(['', 'runc', 'io.containerd.runc.v2'].map(onlyNative.resolve), ['native', 'native', 'native']);
  assert.throws(() => names.resolve('crun'), { code: 'invalid', message: 'unknown or invalid runtime name: crun' });
  assert.throws(() => runtimeNames([], 'mine', async () => noVersion));
  assert.deepEqual(
    names.list().map(({ name }) => name),
    ['native', 'mine', 'runc'],
  );
});

test('runtimeNames: nvidia is the default with GPUs, unless a program is configured by that name', () => {
  const without = runtimeNames([mine], 'mine', async () => noVersion);
  assert.deepEqual([without.resolve('nvidia'), without.runner('nvidia'), without.meansGpus('nvidia')], ['nvidia', 'mine', true]);
  assert.deepEqual([without.runner('mine'), without.meansGpus('mine')], ['mine', false]);
  const own = runtimeNames([{ ...runc, name: 'nvidia' }], 'native', async () => noVersion);
  assert.deepEqual([own.resolve('nvidia'), own.runner('nvidia'), own.meansGpus('nvidia')], ['nvidia', 'nvidia', false]);
});

test('runtimeNames: a program is asked for its version once', async () => {
  let asked = 0;
  const names = runtimeNames([mine], 'native', async () => {
    asked++;
    return noVersion;
  });
  assert.deepEqual([await names.version('mine'), await names.version('mine'), await names.version('native')], [noVersion, noVersion, null]);
  assert.equal(asked, 1);
});
