import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountPoints, readMountPoints } from './mount-table.ts';

test('parseMountPoints: escapes and bytes come back as names', () => {
  const lines = ['36 35 98:0 / /mnt/a\\040b rw - tmpfs none rw', '37 35 98:0 / /mnt/\\134x rw master:1 - ext3 /dev/root rw', ''];
  assert.deepEqual(parseMountPoints(lines.join('\n')), ['/mnt/a b', '/mnt/\\x']);
  assert.deepEqual(parseMountPoints(Buffer.from('1 1 0:1 / /ü rw - x y rw\n').toString('latin1')), ['/ü']);
});

test('readMountPoints: the root is mounted', async () => {
  assert.ok((await readMountPoints()).includes('/'));
});
