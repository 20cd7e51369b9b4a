import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import { resolveUser } from './users.ts';

const files = {
  passwd: [
    'root:x:0:0:root:/root:/bin/sh',
    '# a comment',
    'www:x:33:33:www:/var/www:/bin/sh',
    '1000:x:5:5:a number for a name:/five:',
    'seven:x:7:70:::',
    'broken:x:none:0::/:',
    'huge:x:4294967296:0::/:',
  ].join('\n'),
  group: 'root:x:0:\nadm:x:4:www,other\ntape:x:26:www\nbig:x:4294967296:\n1000:x:8:\n',
};

const refused = (user: string, message: RegExp, groupAdd: string[] = []): void => {
  assert.throws(
    () => resolveUser(user, groupAdd, files),
    (error) => error instanceof EngineError && error.code === 'invalid' && message.test(error.message),
  );
};

test('resolveUser: nobody named is root, with the home and groups of root', () => {
  assert.deepEqual(resolveUser('', [], files), { uid: 0, gid: 0, additionalGids: [0], home: '/root' });
  assert.deepEqual(resolveUser('', [], { passwd: null, group: null }), { uid: 0, gid: 0, additionalGids: [0], home: '/' });
});

test('resolveUser: a name brings its group, home and memberships', () => {
  assert.deepEqual(resolveUser('www', [], files), { uid: 33, gid: 33, additionalGids: [33, 4, 26], home: '/var/www' });
});

test('resolveUser: a group that is given replaces memberships', () => {
  assert.deepEqual(resolveUser('www:tape', [], files), { uid: 33, gid: 26, additionalGids: [26], home: '/var/www' });
  assert.deepEqual(resolveUser('www:99', [], files), { uid: 33, gid: 99, additionalGids: [99], home: '/var/www' });
});

test('resolveUser: an id finds its line, or stands alone', () => {
  assert.deepEqual(resolveUser('33', [], files), { uid: 33, gid: 33, additionalGids: [33, 4, 26], home: '/var/www' });
  assert.deepEqual(resolveUser('7', [], files), { uid: 7, gid: 70, additionalGids: [70], home: '/' });
  assert.deepEqual(resolveUser('4000', [], { passwd: null, group: null }), { uid: 4000, gid: 0, additionalGids: [0], home: '/' });
});

test('resolveUser: GroupAdd takes names and ids', () => {
  assert.deepEqual(resolveUser('1001:33', ['adm', '777', '33'], files).additionalGids, [33, 4, 777]);
  refused('www', /^Unable to find group nogroup$/, ['nogroup']);
});

test('resolveUser: unknown names are refused with the text of Docker', () => {
  refused('nobody', /^unable to find user nobody: no matching entries in passwd file$/);
  refused('www:nobody', /^unable to find group nobody: no matching entries in group file$/);
});

test('SEC-14 resolveUser: ids out of range never wrap around to root', () => {
  const range = /^uids and gids must be in range 0-2147483647$/;
  for (const id of ['4294967296', '4294967295', '2147483648', '-1', '99999999999999999999999']) {
    refused(id, range);
    refused(`0:${id}`, range);
    refused('0', range, [id]);
  }
  refused('huge', range);
  refused('0:big', range);
});

test('SEC-14 resolveUser: a number is an id, whatever the files call a user', () => {
  assert.equal(resolveUser('1000', [], files).uid, 1000);
  assert.equal(resolveUser('0:1000', [], files).gid, 1000);
});

test('SEC-14 resolveUser: a line without a number for an id is not root', () => {
  refused('broken', /must be in range/);
});

test('resolveUser: any text gives ids in range or an invalid request', () => {
  const text = fc.string({ unit: fc.constantFrom('0', '1', '9', ':', '\n', 'a', '-', '+', ' ', 'x', ',') });
  fc.assert(
    fc.property(text, text, text, (user, passwd, group) => {
      try {
        const { uid, gid, additionalGids } = resolveUser(user, [], { passwd, group });
        return [uid, gid, ...additionalGids].every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31);
      } catch (error) {
        return error instanceof EngineError && error.code === 'invalid';
      }
    }),
  );
});
