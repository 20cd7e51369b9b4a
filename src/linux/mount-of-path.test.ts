import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findMount, mountOfPath } from './mount-of-path.ts';

const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /mnt rw - tmpfs none rw
31 30 0:26 / /mnt/a\\040b rw shared:7 master:1 - tmpfs none rw
32 30 0:27 / /mnt/a\\040b rw - xfs none rw
33 22 0:28 / /mn rw master:2 - btrfs none rw
`;

test('findMount: the innermost mount above a path, the last one of several on one point, by whole names', () => {
  assert.deepEqual(findMount(table, '/etc'), { mountPoint: '/', fileSystem: 'ext4', shared: true, slave: false });
  assert.deepEqual(findMount(table, '/mnt/a'), { mountPoint: '/mnt', fileSystem: 'tmpfs', shared: false, slave: false });
  assert.deepEqual(findMount(table, '/mnt/a b/c'), { mountPoint: '/mnt/a b', fileSystem: 'xfs', shared: false, slave: false });
  assert.deepEqual(findMount(table, '/mn/x'), { mountPoint: '/mn', fileSystem: 'btrfs', shared: false, slave: true });
});

test('mountOfPath: /proc is of its own kind', () => {
  assert.equal(mountOfPath('/proc/self/status').fileSystem, 'proc');
});
