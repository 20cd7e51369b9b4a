import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CdiDevice } from './cdi/cdi-spec.ts';
import { everyUnit, poolOfDescription, unitsNamed } from './gpu-pool.ts';

const device = (name: string, ...nodes: readonly string[]): CdiDevice => ({
  name,
  containerEdits: { deviceNodes: nodes.map((path) => ({ path })) },
});

test('poolOfDescription: names of the same nodes are one GPU, pairs are parts, all is everything', () => {
  const pool = poolOfDescription('nvidia', {
    kind: 'nvidia.com/gpu',
    devices: [
      device('GPU-aa', '/dev/nvidia0'),
      device('1', '/dev/nvidia1', '/dev/dri/card1'),
      device('0', '/dev/nvidia0'),
      device('GPU-bb', '/dev/dri/card1', '/dev/nvidia1'),
      device('1:0', '/dev/nvidia1', '/dev/nvidia-caps/nvidia-cap3'),
      device('MIG-cc', '/dev/nvidia1', '/dev/nvidia-caps/nvidia-cap3'),
      device('all', '/dev/nvidia0', '/dev/nvidia1'),
    ],
  });
  assert.ok(pool);
  assert.deepEqual(
    everyUnit(pool).map(({ name, key, names, label }) => [name, key, names, label]),
    [
      ['0', 'nvidia.com/gpu=GPU-aa', ['0', 'GPU-aa'], 'GPU 0 (GPU-aa)'],
      ['1', 'nvidia.com/gpu=GPU-bb', ['1', 'GPU-bb'], 'GPU 1 (GPU-bb)'],
      ['1:0', 'nvidia.com/gpu=MIG-cc', ['1:0', 'MIG-cc'], 'part 1:0 (MIG-cc)'],
    ],
  );
  assert.deepEqual(unitsNamed(pool, 'all')?.length, 2);
  assert.equal(unitsNamed(pool, '1:1'), null);
});

test('poolOfDescription: without indexes by what names there are, at last by all', () => {
  const names = (...given: readonly string[]) =>
    poolOfDescription('nvidia', { kind: 'nvidia.com/gpu', devices: given.map((name) => device(name, `/dev/${name}`)) })?.gpus.map(
      ({ name }) => name,
    );
  assert.deepEqual(names('GPU-aa', 'GPU-bb', 'MIG-cc', 'all'), ['GPU-aa', 'GPU-bb']);
  assert.deepEqual(names('all'), ['all']);
  assert.equal(names(), undefined);
});
