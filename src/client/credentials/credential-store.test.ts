import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, beforeEach, describe, it } from 'node:test';
import { CredentialStore } from './credential-store.ts';
import { DockerConfig } from './docker-config.ts';
import { HUB_KEY, registryKey } from './registry-key.ts';

const folder = mkdtempSync(`${tmpdir()}/gantry-credentials-`);
after(() => rmSync(folder, { recursive: true, force: true }));
const path = `${folder}/config/config.json`;
const env = { PATH: `${folder}:${process.env.PATH}` };

const encode = (text: string): string => Buffer.from(text).toString('base64');

/** Keeps its secrets in a file, writes down how it was called, and knows how to fail. */
writeFileSync(
  `${folder}/docker-credential-file`,
  `#!/bin/sh
cd ${folder}; input=$(cat); echo "$0 $* / $(tr '\\0' ' ' </proc/$$/cmdline)" >>called
[ ! -e fails ] || { echo "no key ring: $input"; exit 1; }
case $1 in
store) echo "$input" >secret;;
get) [ -e secret ] && cat secret || { echo "credentials not found in native keychain"; exit 1; };;
erase) rm -f secret;;
list) echo '{"localhost:5000":"me"}';;
esac
`,
  { mode: 0o755 },
);

function store(file: unknown, more: Record<string, string> = {}): CredentialStore {
  mkdirSync(`${folder}/config`, { recursive: true });
  writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file));
  return new CredentialStore(new DockerConfig(`${folder}/config`), { ...env, ...more });
}

const written = (): Record<string, unknown> => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;

beforeEach(() => {
  for (const name of ['fails', 'secret', 'called', 'config', 'dotfiles.json'])
    rmSync(`${folder}/${name}`, { recursive: true, force: true });
});

describe('registryKey', () => {
  for (const [text, key] of [
    ['', HUB_KEY],
    ['docker.io', HUB_KEY],
    ['https://index.docker.io/v1/', HUB_KEY],
    ['index.docker.io', HUB_KEY],
    ['registry-1.docker.io', HUB_KEY],
    ['localhost:5000', 'localhost:5000'],
    ['https://a.example:1/v2/', 'a.example:1'],
    ['http://a.example', 'a.example'],
  ] as const)
    it(JSON.stringify(text), () => assert.equal(registryKey(text), key));
});

describe('CredentialStore.get', () => {
  it('finds an entry by any spelling of its registry', async () => {
    for (const name of ['a.example', 'https://a.example', 'http://a.example/v1/', 'https://a.example/v2/'])
      assert.deepEqual(await store({ auths: { [name]: { auth: encode('me:pass:word') } } }).get('a.example'), {
        username: 'me',
        password: 'pass:word',
        serveraddress: 'a.example',
      });
    for (const name of [HUB_KEY, 'docker.io', 'index.docker.io'])
      assert.equal((await store({ auths: { [name]: { auth: encode('me:x') } } }).get('docker.io')).serveraddress, HUB_KEY);
  });

  it('keeps the credentials of one registry from another (SEC-28)', async () => {
    const known = { auths: { 'a.example': { auth: encode('me:x') }, 'a.example:5000': { auth: encode('you:y') } } };
    assert.deepEqual(await store(known).get('b.example'), {});
    assert.deepEqual(await store(known).get('a.example:5001'), {});
    assert.equal((await store(known).get('a.example:5000')).username, 'you');
    assert.deepEqual(await store(known).get('docker.io'), {});
    assert.deepEqual(await store({ auths: {} }).get('__proto__'), {});
  });

  it('reads tokens and plain fields', async () => {
    assert.deepEqual(await store({ auths: { a: { auth: encode('me:'), identitytoken: 'T' } } }).get('a'), {
      username: 'me',
      identitytoken: 'T',
      serveraddress: 'a',
    });
    assert.deepEqual(await store({ auths: { a: { registrytoken: 'R' } } }).get('a'), { registrytoken: 'R', serveraddress: 'a' });
    assert.equal((await store({ auths: { a: { username: 'me', password: 'p' } } }).get('a')).password, 'p');
    assert.deepEqual(await store({ auths: { a: {} } }).get('a'), {});
  });

  it('complains of an entry that is broken, without what it holds', async () => {
    for (const auth of ['!!!', encode('nocolon'), encode(':x')])
      await assert.rejects(store({ auths: { a: { auth }, b: {} } }).get('a'), (error: Error) => {
        assert.match(error.message, /the entry of a in .*config\.json is broken/);
        return !error.message.includes(auth);
      });
    await assert.rejects(store('{"auths":{"a":{"auth":"c2VjcmV0"').get('a'), (error: Error) => {
      assert.match(error.message, /cannot read .*config\.json: it is not JSON/);
      return !error.message.includes('c2Vj');
    });
  });

  it('asks the helper of that registry, else that of all, and nobody else', async () => {
    const config = {
      credsStore: 'none',
      credHelpers: { 'localhost:5000': 'file' },
      auths: { 'localhost:5000': { auth: encode('old:x') } },
    };
    writeFileSync(`${folder}/secret`, '{"ServerURL":"localhost:5000","Username":"me","Secret":"p"}');
    assert.equal((await store(config).get('localhost:5000')).username, 'me');
    await assert.rejects(store(config).get('other'), /cannot run the credential helper docker-credential-none: it is not in the PATH/);
    writeFileSync(`${folder}/secret`, '{"Username":"<token>","Secret":"T"}');
    assert.deepEqual(await store(config).get('localhost:5000'), { identitytoken: 'T', serveraddress: 'localhost:5000' });
    rmSync(`${folder}/secret`);
    assert.deepEqual(await store(config).get('localhost:5000'), {});
    writeFileSync(`${folder}/secret`, 'no json at all');
    await assert.rejects(store(config).get('localhost:5000'), /answered something that is not JSON$/);
    await assert.rejects(store({ credsStore: '../evil' }).get('a'), /has no valid name/);
  });

  it('takes DOCKER_AUTH_CONFIG first', async () => {
    const more = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { a: { auth: encode('ci:x') } } }) };
    const both = store({ auths: { a: { auth: encode('me:x') }, b: { auth: encode('me:x') } } }, more);
    assert.equal((await both.get('a')).username, 'ci');
    assert.equal((await both.get('b')).username, 'me');
    await assert.rejects(store({}, { DOCKER_AUTH_CONFIG: 'secret' }).get('a'), /^EngineError: DOCKER_AUTH_CONFIG is not of the form/);
  });

  it('all lists what is known of every registry', async () => {
    writeFileSync(`${folder}/secret`, '{"Username":"me","Secret":"p"}');
    const known = await store({
      credHelpers: { 'localhost:5000': 'file' },
      auths: { 'https://b/v1/': { auth: encode('b:x') }, c: {} },
    }).all();
    assert.deepEqual([...known.keys()].sort(), ['b', 'localhost:5000']);
    assert.deepEqual([...(await store({ credsStore: 'file' }).all()).keys()], ['localhost:5000']);
  });
});

describe('CredentialStore.store and erase', () => {
  it('keeps what it does not know, and the file to its owner', async () => {
    const fresh = store({ other: { a: [1] }, auths: { b: { auth: 'x' } } });
    assert.equal(await fresh.store('a', { username: 'me', password: 'p' }), 'in-the-clear');
    assert.equal(await fresh.store('a', { username: 'me', password: 'p' }), 'unchanged');
    assert.deepEqual(written(), { other: { a: [1] }, auths: { b: { auth: 'x' }, a: { auth: encode('me:p') } } });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await fresh.store('a', { username: 'me', identityToken: 'T' });
    assert.deepEqual((written().auths as Record<string, unknown>).a, { auth: encode('me:'), identitytoken: 'T' });
    await fresh.erase('https://a/');
    assert.deepEqual(written(), { other: { a: [1] }, auths: { b: { auth: 'x' } } });
  });

  it('erases every spelling', async () => {
    const known = { auths: { 'a.b': {}, 'https://a.b/v1/': {}, 'http://a.b': {}, 'a.c': {} } };
    await store(known).erase('a.b');
    assert.deepEqual(written(), { auths: { 'a.c': {} } });
  });

  it('writes through a link', async () => {
    const linked = store({});
    rmSync(path);
    writeFileSync(`${folder}/dotfiles.json`, '{"x":1}');
    symlinkSync(`${folder}/dotfiles.json`, path);
    await linked.store('a', { username: 'me', password: 'p' });
    assert.equal((JSON.parse(readFileSync(`${folder}/dotfiles.json`, 'utf8')) as { x: number }).x, 1);
    assert.ok((JSON.parse(readFileSync(`${folder}/dotfiles.json`, 'utf8')) as { auths?: object }).auths);
  });

  it('gives the secret to the helper alone, by standard input', async () => {
    const helped = store({ credsStore: 'file' });
    assert.equal(await helped.store('localhost:5000', { username: 'me', password: 'hunter2' }), 'stored');
    assert.deepEqual(written(), { credsStore: 'file', auths: { 'localhost:5000': {} } });
    assert.deepEqual(await helped.get('localhost:5000'), { username: 'me', password: 'hunter2', serveraddress: 'localhost:5000' });
    writeFileSync(`${folder}/fails`, '');
    await assert.rejects(helped.store('localhost:5000', { username: 'me', password: 'hunter2' }), (error: Error) => {
      assert.match(error.message, /could not store the credentials of localhost:5000: no key ring: .*<secret>/);
      return !error.message.includes('hunter2');
    });
    await assert.rejects(helped.erase('localhost:5000'), /could not erase the credentials of localhost:5000: no key ring/);
    rmSync(`${folder}/fails`);
    await helped.erase('localhost:5000');
    assert.deepEqual(written(), { credsStore: 'file', auths: {} });
    assert.ok(!readFileSync(`${folder}/called`, 'utf8').includes('hunter2'), 'the process list');
  });
});
