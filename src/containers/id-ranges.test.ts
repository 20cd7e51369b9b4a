import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedIds, IdRanges, requireUserNamespaces } from './id-ranges.ts';

test('askedIds: modes', () => {
  assert.deepEqual(['', 'host', 'auto', 'auto:size=1000'].map(askedIds), [null, null, 65536, 1000]);
  for (const mode of ['private', 'auto:', 'auto:size=0', 'auto:size=x', 'auto:size=9999999999', 'container:x'])
    assert.throws(() => askedIds(mode), /invalid userns mode/);
});

test('IdRanges: the first gap, none twice, and an error that says what to do', () => {
  const ranges = new IdRanges({ base: 1000, size: 300 });
  const first = ranges.claim(100, []);
  assert.deepEqual(first, { base: 1000, size: 100 });
  assert.deepEqual(ranges.claim(100, []), { base: 1100, size: 100 });
  ranges.settle(first);
  assert.deepEqual(ranges.claim(100, [{ base: 1000, size: 50 }]), { base: 1200, size: 100 });
  assert.throws(() => ranges.claim(100, [{ base: 1000, size: 50 }]), /no 100 ids in a row are left .* 1000-1299/);
  assert.deepEqual(ranges.claim(50, [{ base: 1000, size: 50 }]), { base: 1050, size: 50 });
});

test('requireUserNamespaces: from 5.19 on', () => {
  requireUserNamespaces({ kernel: { major: 5, minor: 19 } });
  requireUserNamespaces({ kernel: { major: 6, minor: 1 } });
  assert.throws(() => requireUserNamespaces({ kernel: { major: 5, minor: 15 } }), /needs Linux 5\.19/);
});
