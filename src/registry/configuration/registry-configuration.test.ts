import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constantFrom, dictionary, property as forAll, jsonValue, oneof, assert as property } from 'fast-check';
import { EngineError } from '../../base/errors.ts';
import { repositoryPattern, tagPattern } from './name-pattern.ts';
import { defaultConfiguration, readConfiguration } from './registry-configuration.ts';

function findingsOf(value: unknown): readonly string[] {
  try {
    readConfiguration(JSON.stringify(value), 'r.json');
  } catch (error) {
    return (error as { details: { findings: readonly string[] } }).details.findings;
  }
  return [];
}

describe('readConfiguration', () => {
  it('gives everything its default', () => {
    assert.equal(defaultConfiguration.access.htpasswd, null);
    assert.equal(defaultConfiguration.access.scheme, 'token');
    assert.equal(defaultConfiguration.garbageCollection.graceMs, 86_400_000);
    assert.deepEqual(defaultConfiguration.upstreams, []);
  });

  it('reads what docs/registry.md shows', () => {
    const read = readConfiguration(
      JSON.stringify({
        listen: ['0.0.0.0:443', '[::1]:5000'],
        url: 'https://registry.example',
        tls: { certificate: '/c.pem', key: '/k.pem' },
        access: {
          htpasswd: '/etc/h',
          anonymousPull: ['public/**'],
          groups: { team: ['alice', 'bob'] },
          rules: [{ repository: 'team/**', groups: ['team'], actions: ['read', 'write'] }],
        },
        quotas: [{ repository: 'team/**', maxSize: '10GB' }],
        limits: { perAddress: { requestsPerSecond: 50 }, maxBlobSize: '20GiB' },
        immutableTags: [{ repository: 'prod/**', tag: 'v*' }],
        retention: { rules: [{ repository: 'ci/**', keepLast: 10, keepYoungerThan: '30d' }] },
        webhooks: [{ name: 'ci', url: 'http://10.0.0.1/hook' }],
        upstreams: [
          { prefix: '', registry: 'docker.io' },
          { prefix: 'own', registry: null },
        ],
      }),
      'r.json',
    );
    assert.deepEqual(read.listen, [
      { host: '0.0.0.0', port: 443 },
      { host: '::1', port: 5000 },
    ]);
    assert.equal(read.quotas[0]?.maxSize, 10 * 1024 ** 3);
    assert.deepEqual(read.limits.perAddress, { requestsPerSecond: 50, burst: 100 });
    assert.equal(read.retention.rules[0]?.keepYoungerThanMs, 30 * 86_400_000);
    assert.equal(read.upstreams[1]?.registry, null);
  });

  it('tells every mistake at once, each with its place', () => {
    assert.deepEqual(
      findingsOf({
        acess: {},
        listen: '5000',
        access: { scheme: 'tokens', rules: [{ repository: 'Team/*', actions: ['write', 'reed'] }] },
        limits: { maxBlobSize: 'big', perUser: {} },
        webhooks: [{ name: 'x', url: 'ftp://x' }],
      }),
      [
        'acess: unknown key. Did you mean "access"?',
        'listen: "5000" is no address to listen on: write HOST:PORT, as 127.0.0.1:5000',
        'access.scheme: must be one of token, basic, not "tokens". Did you mean "token"?',
        'access.rules[0].repository: "Team/*" matches nothing: names of repositories are lower case',
        'access.rules[0].actions[1]: must be one of read, write, delete, not "reed". Did you mean "read"?',
        'limits.perUser.requestsPerSecond: is missing',
        'limits.maxBlobSize: must be a size above 0, as "500MB" or "10GB", not "big"',
        'webhooks[0].url: "ftp://x" is no URL of http or https',
      ],
    );
  });

  it('tells what contradicts itself', () => {
    assert.deepEqual(
      findingsOf({
        access: { rules: [{ repository: '**', groups: ['nobody'], actions: ['read'] }] },
        retention: { rules: [{ repository: '**' }] },
        webhooks: [
          { name: 'a', url: 'http://a' },
          { name: 'a', url: 'http://b' },
        ],
        upstreams: [{ prefix: 'hub', registry: 'docker.io', username: 'me' }],
      }),
      [
        'access.rules[0].groups[0]: there is no group "nobody" in access.groups',
        'access.rules: without access.htpasswd nobody can say who he is',
        'retention.rules[0]: says nothing of what to keep. Give keepLast, keepYoungerThan, keepTags or removeUntaggedAfter',
        'webhooks[1].name: "a" is also that of webhooks[0]',
        'upstreams[0]: username and passwordFile belong together',
      ],
    );
  });

  it('quotes keys that are no plain words, and says where JSON ends to be JSON', () => {
    assert.match(findingsOf({ '\u001b[31m': 1 })[0] ?? '', /^\["\\u001b\[31m"\]: unknown key/);
    assert.throws(() => readConfiguration('{"listen": }', 'r.json'), /^InvalidError|the configuration file r\.json is not JSON/);
    assert.deepEqual(findingsOf([]), ['must be an object, not a list']);
  });
});

it('readConfiguration: whatever JSON the file holds, it is read or its mistakes are told', () => {
  const keys = constantFrom(...Object.keys(defaultConfiguration), '__proto__', 'constructor', 'x');
  property(
    forAll(oneof(jsonValue(), dictionary(keys, jsonValue({ maxDepth: 3 }))), (value) => {
      try {
        readConfiguration(JSON.stringify(value), 'r.json');
      } catch (error) {
        assert.ok(error instanceof EngineError && error.code === 'invalid', String(error));
        assert.ok((error.details.findings as readonly string[]).length > 0);
      }
    }),
    { numRuns: 500 },
  );
});

describe('patterns', () => {
  it('repositoryPattern: * within a component, ** over components, {user} the user', () => {
    const rows: readonly [string, string, string | null, boolean][] = [
      ['**', 'a', null, true],
      ['**', 'a/b/c', null, true],
      ['team/*', 'team/a', null, true],
      ['team/*', 'team/a/b', null, false],
      ['team/*', 'team', null, false],
      ['team/**', 'team/a/b', null, true],
      ['team/**', 'teams/a', null, false],
      ['a.b', 'axb', null, false],
      ['*-dev/**', 'x-dev/a', null, true],
      ['home/{user}/**', 'home/alice/x', 'alice', true],
      ['home/{user}/**', 'home/alice/x', 'bob', false],
      ['home/{user}/**', 'home/a/b/x', 'a/b', false],
      ['home/{user}/**', 'home/any/x', '*', false],
      ['home/{user}', 'home/alice', null, false],
    ];
    for (const [pattern, name, user, expected] of rows)
      assert.equal(repositoryPattern(pattern).matches(name, user), expected, `${pattern} ${name} ${user}`);
    for (const wrong of ['', 'a//b', '/a', 'a**', 'a b', '{who}', 'a{', '../x y']) assert.throws(() => repositoryPattern(wrong), wrong);
  });

  it('tagPattern', () => {
    assert.deepEqual(
      ['v1.2', 'xv1', 'v'].map((name) => tagPattern('v*').matches(name)),
      [true, false, true],
    );
    assert.equal(tagPattern('1.*').matches('12'), false);
    assert.throws(() => tagPattern('a/b'));
  });
});
