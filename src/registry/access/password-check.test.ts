import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { parseHtpasswd } from './htpasswd.ts';
import { PasswordCheck } from './password-check.ts';
import { TokenBuckets } from './token-buckets.ts';

const hash = hashSync('wonder', 4);

describe('parseHtpasswd', () => {
  it('takes bcrypt, as every program writes it', () => {
    const content = `# users\n\nalice:${hash}\r\nbob:${hash.replace('$2b$', '$2y$')}\ncarol:${hash.replace('$2b$', '$2a$')}\n`;
    assert.deepEqual([...parseHtpasswd(content, 'h').keys()], ['alice', 'bob', 'carol']);
  });

  it('refuses everything else by name and line, all at once, and shows no hash', () => {
    const rows: readonly (readonly [string, string])[] = [
      ['a:$apr1$x$y', 'an MD5 hash'],
      ['b:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'a SHA-1 hash'],
      ['c:$6$salt$hash', 'a SHA-512 hash'],
      ['d:rqXexS6ZhobKA', 'a DES crypt hash'],
      ['e:secret in plain', 'a plain or unknown password'],
      ['f:$2y$10$short', 'a damaged bcrypt hash'],
      ['g:$argon2id$v=19$x', 'an Argon2 hash'],
    ];
    const expected = rows.map(([line, kind], index) => `  h:${index + 1}: "${line[0]}" has ${kind}, only bcrypt is taken: htpasswd -B`);
    assert.throws(() => parseHtpasswd(rows.map(([line]) => line).join('\n'), 'h'), {
      message: `cannot use the password file h:\n${expected.join('\n')}`,
    });
    assert.throws(
      () => parseHtpasswd(`alice:${hash}\nalice:${hash}\nnobody\n*:${hash}`, 'h'),
      /h:2: "alice" is there twice\n {2}h:3: must be USER:HASH\n {2}h:4: /,
    );
    assert.throws(() => parseHtpasswd(`x:${hash.replace('$04$', '$20$')}`, 'h'), /cost 20/);
  });
});

describe('PasswordCheck', () => {
  let now = 0;
  const check = new PasswordCheck(new Map([['alice', hash]]), { now: () => now });
  after(() => check.close());
  const ask = async (user: string, password: string, address = '192.0.2.1') => (await check.check(user, password, address)).kind;

  it('knows right from wrong, and remembers what was right until the password changes', async () => {
    assert.deepEqual(
      [await ask('alice', 'wonder'), await ask('alice', 'wander'), await ask('nobody', 'wonder')],
      ['right', 'wrong', 'wrong'],
    );
    const many = await Promise.all(Array.from({ length: 500 }, () => ask('alice', 'wonder')));
    assert.deepEqual([...new Set(many)], ['right']);
    check.replaceUsers(new Map([['alice', hashSync('other', 4)]]));
    assert.equal(await ask('alice', 'wonder', '192.0.2.3'), 'wrong');
    check.replaceUsers(new Map([['alice', hash]]));
  });

  it('slows down guesses of one user from one address, and nobody else', async () => {
    const guesses = await Promise.all(Array.from({ length: 20 }, (_, index) => ask('bob', `guess ${index}`, '192.0.2.9')));
    assert.equal(guesses.filter((kind) => kind === 'too-often').length, 15);
    assert.deepEqual(
      [await ask('bob', 'x', '192.0.2.10'), await ask('alice', 'wonder', '192.0.2.9'), await ask('bob', 'y', '192.0.2.9')],
      ['wrong', 'right', 'too-often'],
    );
    now += 11_000;
    assert.equal(await ask('bob', 'z', '192.0.2.9'), 'wrong');
  });

  it('slows down guesses of many users from one address', async () => {
    now += 1_000_000;
    const guesses = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`user ${index}`, 'guess', '192.0.2.30')));
    assert.equal(guesses.filter((kind) => kind === 'too-often').length, 20);
    assert.equal(await ask('somebody', 'guess', '192.0.2.31'), 'wrong');
  });

  it('many first requests with the right password at once are one question', async () => {
    now += 1_000_000;
    const kinds = await Promise.all(Array.from({ length: 30 }, () => ask('alice', 'wonder', '192.0.2.20')));
    assert.deepEqual([...new Set(kinds)], ['right']);
  });

  it('an empty password and one with a zero byte are never right', async () => {
    assert.deepEqual(
      [await ask('alice', '', 'a'), await ask('alice', 'wonder\0', 'b'), await ask('alice', 'w'.repeat(2000), 'c')],
      ['wrong', 'wrong', 'wrong'],
    );
  });
});

describe('TokenBuckets', () => {
  it('gives a burst, then so many per second, each key for itself', () => {
    let now = 0;
    const buckets = new TokenBuckets({ requestsPerSecond: 2, burst: 3 }, () => now);
    assert.deepEqual(
      Array.from({ length: 4 }, () => buckets.takeOrWait('a')),
      [0, 0, 0, 0.5],
    );
    assert.equal(buckets.takeOrWait('b'), 0);
    now = 500;
    assert.deepEqual([buckets.takeOrWait('a'), buckets.takeOrWait('a')], [0, 0.5]);
  });

  it('holds no more than so many keys', () => {
    const buckets = new TokenBuckets({ requestsPerSecond: 1, burst: 3 }, () => 0);
    for (let index = 0; index < 60_000; index++) buckets.take(String(index));
    assert.ok(buckets.size <= 50_000);
  });
});
