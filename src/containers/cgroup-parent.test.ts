import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupPathBelow, checkedCgroupParent } from './cgroup-parent.ts';

test('checkedCgroupParent: plain paths, absolute or below the daemon', () => {
  for (const [given, stored] of [
    ['', ''],
    ['/', '/'],
    ['/a//b/', '/a/b'],
    ['a/b', 'a/b'],
    ['/x.slice', '/x.slice'],
  ] as const)
    assert.equal(checkedCgroupParent(given), stored);
  for (const given of ['../x', '/a/../b', 'a/.', 'a\nb', 'user.slice', 'launcher', 'launcher/x'])
    assert.throws(() => checkedCgroupParent(given), { code: 'invalid' }, given);
});

test('cgroupPathBelow', () => {
  assert.deepEqual(
    ['', '/', '/a/b', 'a/b'].map((parent) => cgroupPathBelow('/gantry', parent, 'ID')),
    ['/gantry/ID', '/ID', '/a/b/ID', '/gantry/a/b/ID'],
  );
});
