import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resourceOptions, resourceSettings } from './resource-options.ts';

const options = (values: Record<string, readonly string[]>) => resourceOptions(new Map(Object.entries(values)));

test('resourceOptions: ulimits, sizes, cgroup parents, real-time budgets', () => {
  assert.deepEqual(options({}), { ulimits: [], cgroupParent: '', shmSizeBytes: 0, realtime: { period: 0, runtime: 0 } });
  const given = options({
    'default-ulimit': ['nofile=1000:2000', 'core=-1', 'nproc=5'],
    'default-shm-size': ['1.5g'],
    'cgroup-parent': ['/a//b/'],
    'cpu-rt-runtime': ['1000'],
  });
  assert.deepEqual(given.ulimits, [
    { Name: 'nofile', Soft: 1000, Hard: 2000 },
    { Name: 'core', Soft: -1, Hard: -1 },
    { Name: 'nproc', Soft: 5, Hard: 5 },
  ]);
  assert.deepEqual([given.shmSizeBytes, given.cgroupParent, given.realtime.runtime], [1.5 * 2 ** 30, '/a/b', 1000]);
  assert.equal(options({ 'default-shm-size': ['65536'] }).shmSizeBytes, 65536);
});

test('resourceOptions: what cannot be is refused by its flag', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['default-ulimit', 'nofile', /--default-ulimit: "nofile": write NAME=SOFT/],
    ['default-ulimit', 'bogus=1', /there is no ulimit bogus/],
    ['default-ulimit', 'nofile=5:1', /soft limit must not be above/],
    ['default-ulimit', 'nofile=-1:1', /soft limit must not be above/],
    ['default-shm-size', 'much', /--default-shm-size: "much" is no size/],
    ['default-shm-size', '0', /is no size/],
    ['cgroup-parent', '../x', /invalid cgroup parent/],
    ['cpu-rt-runtime', 'x', /--cpu-rt-runtime/],
  ];
  for (const [flag, value, text] of cases) assert.throws(() => options({ [flag]: [value] }), text, `${flag} ${value}`);
});

test("the configuration file's shapes", () => {
  const fromJson = (flag: string) => resourceSettings.find((setting) => setting.flag === flag)?.fromJson;
  assert.deepEqual(fromJson('default-ulimit')?.({ nofile: { Name: 'nofile', Hard: 64000, Soft: 100 } }, 'f'), ['nofile=100:64000']);
  assert.throws(() => fromJson('default-ulimit')?.({ nofile: 5 }, 'f'), /f: nofile must have the numbers Soft and Hard/);
  assert.deepEqual(fromJson('default-shm-size')?.('64M', 'f'), ['64M']);
});
