import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IdMapping } from '../oci/runtime-spec.ts';
import { parseIdmap, specMappings } from './mapped-owners.ts';

test('parseIdmap: an owner, and ranges of users and groups', () => {
  assert.deepEqual(parseIdmap('owner=1000:50'), { kind: 'swap', uid: 1000, gid: 50 });
  assert.deepEqual(parseIdmap('uids=0-1000-1#5-7-2;gids=0-0-10'), {
    kind: 'ranges',
    uids: [
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 5, hostID: 7, size: 2 },
    ],
    gids: [{ containerID: 0, hostID: 0, size: 10 }],
  });
  assert.deepEqual(parseIdmap('gids=1-2-3'), { kind: 'ranges', uids: [], gids: [{ containerID: 1, hostID: 2, size: 3 }] });
  const wrong = [
    '',
    'owner=1',
    'owner=-1:2',
    'owner=2147483648:0',
    'uids=0-1',
    'uids=0-1-0',
    'uids=@0-1-1',
    'uids=4294967295-0-1',
    'uids=',
  ];
  for (const text of [...wrong, 'uids=0-1-1;uids=1-1-1', 'uids=0-1-1;', 'all=0-1-1'])
    assert.throws(() => parseIdmap(text), { code: 'invalid' });
});

test('specMappings: owner and wish change places, everybody else stays, and every id has one mapping', () => {
  const id = fc.integer({ min: 0, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(id, id, id, (owner, wish, other) => {
      const { uidMappings, gidMappings } = specMappings({ kind: 'swap', uid: wish, gid: 7 }, { uid: owner, gid: 7 });
      const map = (value: number, mappings: readonly IdMapping[] = [{ containerID: 0, hostID: 0, size: 2 ** 32 - 1 }]): number => {
        const range = mappings.filter(({ containerID, size }) => value >= containerID && value < containerID + size);
        assert.equal(range.length, 1);
        return value - (range[0]?.containerID ?? 0) + (range[0]?.hostID ?? 0);
      };
      assert.equal(map(owner, uidMappings), wish);
      assert.equal(map(wish, uidMappings), owner);
      if (other !== owner && other !== wish) assert.equal(map(other, uidMappings), other);
      assert.equal(map(7, gidMappings), 7);
    }),
  );
  assert.deepEqual(specMappings({ kind: 'swap', uid: 3, gid: 4 }, { uid: 3, gid: 4 }), {});
});
