import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveOwner, resolveOwnerOrRoot } from './file-owner.ts';

const files = { passwd: 'root:x:0:0::/root:\nweb:x:33:34::/:\n7:x:8:9::/:\n', group: 'root:x:0:\nstaff:x:50:\n' };
const none = { passwd: null, group: null };

test('resolveOwner: numbers, names, groups', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', '0:0'],
    ['5', '5:5'],
    ['7', '7:7'],
    ['5:6', '5:6'],
    ['web', '33:34'],
    ['web:staff', '33:50'],
    ['web:', '33:34'],
    [':staff', '0:50'],
    ['5:staff', '5:50'],
    ['root', '0:0'],
  ];
  for (const [text, expected] of cases) {
    const { uid, gid } = resolveOwner(text, files, '--chown');
    assert.equal(`${uid}:${gid}`, expected, text);
  }
  assert.deepEqual(resolveOwner('root:root', none, '--chown'), { uid: 0, gid: 0 });
  assert.deepEqual(resolveOwner('5', none, '--chown'), { uid: 5, gid: 5 });
});

test('SEC-14 resolveOwner: unknown names and ids out of range are errors', () => {
  assert.throws(() => resolveOwner('nobody', files, '--chown=nobody'), { code: 'invalid', message: /no user "nobody" in \/etc\/passwd/ });
  assert.throws(() => resolveOwner('web:x', files, '--chown=web:x'), { message: /no group "x"/ });
  assert.throws(() => resolveOwner('4294967296', files, '--chown'), { message: /in range/ });
  assert.throws(() => resolveOwner('web', none, '--chown'), { message: /no user "web"/ });
});

test('resolveOwnerOrRoot: WORKDIR below a USER that the image does not know', () => {
  assert.deepEqual(resolveOwnerOrRoot('web', files, 'USER web'), { uid: 33, gid: 34 });
  assert.deepEqual(resolveOwnerOrRoot('nobody', files, 'USER nobody'), { uid: 0, gid: 0 });
  assert.deepEqual(resolveOwnerOrRoot('5:none', files, 'USER'), { uid: 0, gid: 0 });
  assert.throws(() => resolveOwnerOrRoot('4294967296', files, 'USER'), { message: /in range/ });
});
