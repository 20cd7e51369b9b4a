import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import type { AccessDecision, AccessRequest, AccessScope, RepositoryAction } from '../access.ts';
import { type AccessConfiguration, readConfiguration } from '../configuration/registry-configuration.ts';
import { signToken } from './json-web-token.ts';
import { PasswordCheck } from './password-check.ts';
import { RegistryAccess } from './registry-access.ts';
import { parseScopes } from './scope.ts';
import { openTokenKeys, rotateKeys, type TokenKeys } from './signing-keys.ts';

const users = new Map([
  ['alice', hashSync('wonder', 4)],
  ['bob', hashSync('builder', 4)],
]);

const configuration = (more: object = {}): AccessConfiguration =>
  readConfiguration(
    JSON.stringify({
      access: {
        htpasswd: '/h',
        anonymousPull: ['public/**'],
        groups: { team: ['alice', 'bob'] },
        rules: [
          { repository: 'team/**', groups: ['team'], actions: ['read'] },
          { repository: 'team/**', users: ['alice'], actions: ['write', 'delete'] },
          { repository: 'home/{user}/**', users: ['*'], actions: ['write'] },
        ],
        ...more,
      },
    }),
    'test',
  ).access;

let keys: TokenKeys;
let directory: string;
let passwords: PasswordCheck;
let access: RegistryAccess;
let now = Date.parse('2026-01-01T00:00:00Z');

const parts = (more: object = {}) => ({ configuration: configuration(more), passwords, keys, url: null, perUser: null });

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'registry-access-'));
  keys = await openTokenKeys(join(directory, 'token-keys'));
  passwords = new PasswordCheck(users);
  access = new RegistryAccess(parts(), { now: () => now });
});

after(async () => {
  await passwords.close();
  await rm(directory, { recursive: true });
});

const request = (authorization: string | null, more: Partial<AccessRequest> = {}): AccessRequest => ({
  authorization,
  address: '192.0.2.1',
  origin: 'https://r.example:5000',
  ...more,
});
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const bearer = (user: string | null, ...scopes: string[]): string => `Bearer ${access.issue(user, parseScopes(scopes)).token}`;
const repository = (name: string, ...actions: RepositoryAction[]): AccessScope => ({ kind: 'repository', name, actions });
const challengeOf = (decision: AccessDecision): string => (decision.kind === 'challenge' ? decision.challenge : decision.kind);

describe('RegistryAccess.decide', () => {
  const rows: readonly (readonly [string, () => string | null, AccessScope, AccessDecision['kind']])[] = [
    ['nobody, base', () => null, { kind: 'base' }, 'challenge'],
    ['nobody reads what is public', () => null, repository('public/a', 'pull'), 'granted'],
    ['nobody writes what is public', () => null, repository('public/a', 'pull', 'push'), 'challenge'],
    ['nobody reads the rest', () => null, repository('team/a', 'pull'), 'challenge'],
    ['nobody, catalogue', () => null, { kind: 'catalogue' }, 'granted'],
    ['a user, base', () => basic('bob', 'builder'), { kind: 'base' }, 'granted'],
    ['a wrong password', () => basic('bob', 'wonder'), repository('public/a', 'pull'), 'challenge'],
    ['a user by his group', () => basic('bob', 'builder'), repository('team/a', 'pull'), 'granted'],
    ['a user without the right', () => basic('bob', 'builder'), repository('team/a', 'push'), 'denied'],
    ['a user with it', () => basic('alice', 'wonder'), repository('team/a', 'pull', 'push'), 'granted'],
    ['delete is a right of its own', () => basic('bob', 'builder'), repository('home/bob/x', 'delete'), 'denied'],
    ['his own names', () => basic('bob', 'builder'), repository('home/bob/x', 'push'), 'granted'],
    ['those of others', () => basic('bob', 'builder'), repository('home/alice/x', 'pull'), 'denied'],
    ['another scheme', () => 'Digest abc', { kind: 'base' }, 'challenge'],
    ['a token for it', () => bearer('alice', 'repository:team/a:pull,push'), repository('team/a', 'push'), 'granted'],
    ['a token for less', () => bearer('alice', 'repository:team/a:pull'), repository('team/a', 'push'), 'challenge'],
    ['SEC-27: a token for another repository', () => bearer('alice', 'repository:team/b:pull'), repository('team/a', 'pull'), 'challenge'],
    ['a token of who may not', () => bearer('bob', 'repository:team/a:pull,push'), repository('team/a', 'push'), 'denied'],
    ['a token of nobody', () => bearer(null, 'repository:public/a:pull'), repository('public/a', 'pull'), 'granted'],
    ['a token of nobody, base', () => bearer(null), { kind: 'base' }, 'granted'],
    ['a token of nobody for more', () => bearer(null, 'repository:team/a:pull'), repository('team/a', 'pull'), 'challenge'],
    ['a token for the catalogue', () => bearer('bob', 'registry:catalog:*'), { kind: 'catalogue' }, 'granted'],
    ['a token for something else', () => bearer('bob', 'repository:team/a:pull'), { kind: 'catalogue' }, 'challenge'],
    ['a token that is none', () => 'Bearer abc', repository('public/a', 'pull'), 'challenge'],
  ];
  for (const [what, authorization, scope, expected] of rows)
    it(what, async () => {
      assert.equal((await access.decide(request(authorization()), scope)).kind, expected);
    });

  it('challenges clients for what they need, and browsers for a password', async () => {
    const scope = repository('team/a', 'pull', 'push');
    assert.equal(
      challengeOf(await access.decide(request(null), scope)),
      'Bearer realm="https://r.example:5000/token",service="gantry-registry",scope="repository:team/a:pull,push"',
    );
    assert.match(challengeOf(await access.decide(request(bearer('alice')), scope)), /,error="insufficient_scope"$/);
    assert.match(challengeOf(await access.decide(request(bearer(null)), scope)), /,error="insufficient_scope"$/);
    assert.match(challengeOf(await access.decide(request('Bearer x'), scope)), /,error="invalid_token"$/);
    assert.equal(
      challengeOf(await access.decide(request(null, { isBrowser: true }), scope)),
      'Basic realm="gantry-registry", charset="UTF-8"',
    );
    assert.match(challengeOf(await access.decide(request(null), { kind: 'base' })), /service="gantry-registry"$/);
  });

  it('shows in a list what its user may see, whatever the token was asked for', async () => {
    const token = bearer('bob', 'registry:catalog:*');
    const seen = async (name: string) => (await access.decide(request(token, { isListEntry: true }), repository(name, 'pull'))).kind;
    assert.deepEqual([await seen('team/a'), await seen('secret/a'), await seen('home/alice/x')], ['granted', 'denied', 'denied']);
  });

  it('SEC-26: a repository that one may not see is refused alike, there or not: it is not looked at', async () => {
    const answer = await access.decide(request(basic('bob', 'builder')), repository('secret/there', 'pull'));
    assert.deepEqual(answer, await access.decide(request(basic('bob', 'builder')), repository('secret/nowhere', 'pull')));
  });

  it('counts what is taken away at once, whatever a token says', async () => {
    const token = bearer('bob', 'repository:team/a:pull');
    const own = new RegistryAccess(parts(), { now: () => now });
    assert.equal((await own.decide(request(token), repository('team/a', 'pull'))).kind, 'granted');
    own.replace(parts({ rules: [] }));
    assert.equal((await own.decide(request(token), repository('team/a', 'pull'))).kind, 'denied');
    passwords.replaceUsers(new Map([...users].filter(([user]) => user !== 'bob')));
    assert.equal((await access.decide(request(token), repository('team/a', 'pull'))).kind, 'challenge');
    passwords.replaceUsers(users);
  });

  it('SEC-27: an expired token, also one that was seen before, is asked for again', async () => {
    const token = bearer('bob', 'repository:team/a:pull');
    assert.equal((await access.decide(request(token), repository('team/a', 'pull'))).kind, 'granted');
    now += 300_000 + 31_000;
    assert.equal((await access.decide(request(token), repository('team/a', 'pull'))).kind, 'challenge');
    now -= 300_000 + 31_000;
  });

  it('SEC-27: a refresh token is no access token, nor the other way round', async () => {
    const refresh = access.issueRefreshToken('alice');
    assert.equal((await access.decide(request(`Bearer ${refresh}`), { kind: 'base' })).kind, 'challenge');
    assert.deepEqual(await access.userOf({ kind: 'refresh', token: refresh }, ''), { user: 'alice' });
    assert.equal(await access.userOf({ kind: 'refresh', token: access.issue('alice', []).token }, ''), null);
    passwords.replaceUsers(new Map([['alice', hashSync('other', 4)]]));
    assert.equal(await access.userOf({ kind: 'refresh', token: refresh }, ''), null, 'another password ends it');
    passwords.replaceUsers(users);
  });

  it('limits requests of one user', async () => {
    const own = new RegistryAccess({ ...parts(), perUser: { requestsPerSecond: 0.001, burst: 2 } }, { now: () => now });
    const ask = () => own.decide(request(basic('bob', 'builder')), { kind: 'base' });
    await ask();
    await ask();
    await assert.rejects(ask(), { refusal: 'TOOMANYREQUESTS', status: 429 });
  });

  it('without a password file everybody may do everything', async () => {
    const open = new RegistryAccess({ ...parts(), configuration: readConfiguration('{}', '').access });
    assert.deepEqual(await open.decide(request('Bearer nonsense'), repository('any', 'push')), { kind: 'granted', user: null });
  });
});

describe('token keys', () => {
  it('are kept 0600, survive a restart and a rotation, and go when no token of theirs is valid', async () => {
    const own = join(directory, 'own-keys');
    const first = await openTokenKeys(own);
    assert.equal((await openTokenKeys(own)).signing.id, first.signing.id);
    assert.equal((await stat(join(own, `${first.signing.id}.pem`))).mode & 0o777, 0o600);
    await utimes(join(own, `${first.signing.id}.pem`), 1000, 1000);
    const second = await rotateKeys(own, 3_600_000);
    assert.notEqual(second.signing.id, first.signing.id);
    assert.ok(second.verifying.has(first.signing.id));
    await utimes(join(own, `${second.signing.id}.pem`), 2000, 2000);
    const third = await rotateKeys(own, 3_600_000);
    assert.deepEqual([third.verifying.has(first.signing.id), third.verifying.has(second.signing.id)], [false, true]);
    assert.equal((await readdir(own)).length, 2);
  });

  it('SEC-27: a key that others may read signs nothing', async () => {
    const own = join(directory, 'open-keys');
    const { signing } = await openTokenKeys(own);
    await chmod(join(own, `${signing.id}.pem`), 0o644);
    await assert.rejects(openTokenKeys(own), /chmod 600/);
  });

  it('SEC-27: a token by a key that was ours once is refused', async () => {
    const other = await openTokenKeys(join(directory, 'other-keys'));
    const token = signToken({ iss: 'gantry-registry', aud: 'gantry-registry', sub: 'alice', nbf: 0, exp: 9e9, access: [] }, other.signing);
    assert.equal((await access.decide(request(`Bearer ${token}`), { kind: 'base' })).kind, 'challenge');
  });
});

it('parseScopes reads what clients send, and drops what is none', () => {
  assert.deepEqual(
    parseScopes(['repository:a/b:pull,push repository:host:5000/c:pull', 'repository(plugin):d:*', 'registry:catalog:*', 'nonsense', '']),
    [
      { type: 'repository', name: 'a/b', actions: ['pull', 'push'] },
      { type: 'repository', name: 'host:5000/c', actions: ['pull'] },
      { type: 'repository', name: 'd', actions: ['pull', 'push', 'delete'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ],
  );
});
