import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
const { folder, gantry } = home;
after(() => home[Symbol.dispose]());

const config = `${folder}/.docker/config.json`;
const encode = (text: string): string => Buffer.from(text).toString('base64');
const stored = (): unknown => JSON.parse(readFileSync(config, 'utf8'));

function keep(file: unknown): void {
  mkdirSync(`${folder}/.docker`, { recursive: true });
  writeFileSync(config, JSON.stringify(file));
}

/** Lets in whoever has the password `wonder`. */
let identityToken = '';
let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(folder, (_path, response) => {
    if (daemon.asked.at(-1)?.includes('"password":"wonder"'))
      sendJson(response, 200, { IdentityToken: identityToken, Status: 'Login Succeeded' });
    else sendJson(response, 401, { message: 'login attempt to http://r:1/v2/ failed with status: 401 Unauthorized' });
  });
});
after(() => daemon[Symbol.asyncDispose]());
beforeEach(() => {
  rmSync(`${folder}/.docker`, { recursive: true, force: true });
  identityToken = '';
});

const login = (line: string, stdin = '', terminal = false) =>
  gantry(['login', ...line.split(' ').filter(Boolean)], { env: daemon.env, stdin, ...(terminal ? { terminal: { columns: 80 } } : {}) });

const clearText = `\nWARNING! Your credentials are stored unencrypted in '${config}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n`;
const insecure = 'WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n';
const refused = 'Error response from daemon: login attempt to http://r:1/v2/ failed with status: 401 Unauthorized\n';
const known =
  "Authenticating with existing credentials... [Username: a]\n\n Info -> To login with a different account, run 'gantry logout' followed by 'gantry login'\n\n\n";

describe('login', () => {
  it('takes the password from standard input, and stores it once', async () => {
    assert.deepEqual(await login('-u alice --password-stdin r:1', 'wonder\n'), { code: 0, stdout: 'Login Succeeded\n', stderr: clearText });
    assert.deepEqual(stored(), { auths: { 'r:1': { auth: encode('alice:wonder') } } });
    assert.equal((await login('-u alice --password-stdin https://r:1/v2/', 'wonder\n')).stderr, '');
    assert.equal(daemon.asked.at(-1), 'POST /auth {"username":"alice","password":"wonder","serveraddress":"r:1"}');
  });

  it('asks on a terminal, and shows no password', async () => {
    const { code, stdout } = await login('r:1', 'alice\nwondex\x7fr\r', true);
    assert.deepEqual([code, stdout], [0, 'Username: Password: \nLogin Succeeded\n']);
    const hub = await login('', 'alice\nwonder\r', true);
    assert.match(hub.stdout, /^Log in with your Docker ID/);
    assert.deepEqual(Object.keys((stored() as { auths: object }).auths), ['r:1', 'https://index.docker.io/v1/']);
    assert.deepEqual(await login('-u a r:1', '\x03', true), { code: 130, stdout: 'Password: \n', stderr: '' });
    assert.match((await login('-u a r:1', '\r', true)).stderr, /^Error: Password Required\n/);
    assert.match((await login('other:1', '\n', true)).stderr, /^Error: Non-null Username Required\n/);
  });

  it('tries what is known first, then asks', async () => {
    keep({ auths: { 'r:1': { auth: encode('a:wonder') } } });
    assert.deepEqual(await login('r:1'), { code: 0, stdout: 'Login Succeeded\n', stderr: known });
    keep({ auths: { 'r:1': { auth: encode('a:old') } } });
    const again = await login('r:1', '\nwonder\r', true);
    assert.equal(again.stderr, `${known}Login did not succeed, error: ${refused}${clearText}`);
    assert.equal(again.stdout, 'Username (a): Password: \nLogin Succeeded\n');
    assert.deepEqual(stored(), { auths: { 'r:1': { auth: encode('a:wonder') } } });
  });

  it('keeps the token that a registry gives, not the password', async () => {
    identityToken = 'T';
    assert.equal((await login('-u a --password-stdin r:1', 'wonder')).code, 0);
    assert.deepEqual(stored(), { auths: { 'r:1': { auth: encode('a:'), identitytoken: 'T' } } });
  });

  it('stores nothing when the registry refuses, and says what the registry said', async () => {
    assert.deepEqual(await login('-u a -p nope r:1'), { code: 1, stdout: '', stderr: insecure + refused });
    assert.equal(existsSync(config), false);
  });

  const noTerminal = /^(WARNING!.*\n)?Error: Cannot perform an interactive login from a non TTY device/;
  for (const [line, stdin, message] of [
    ['r:1', '', noTerminal],
    ['-u a r:1', '', noTerminal],
    ['-p x r:1', '', noTerminal],
    ['-u a --password-stdin r:1', '\n', noTerminal],
    ['--password-stdin r:1', 'x', /^the --password-stdin option requires --username to be set\n$/],
    ['-u a -p b --password-stdin r:1', 'x', /^conflicting options: cannot specify both --password and --password-stdin\n$/],
    ['--username= -p b r:1', '', /^username is empty\n$/],
    ['-u a --password= r:1', '', /^password is empty\n$/],
    ['a b', '', /requires at most 1 argument/],
  ] as const) {
    it(`refuses ${line}`, async () => {
      const { code, stderr } = await login(line, stdin);
      assert.equal(code, 1);
      assert.match(stderr, message);
    });
  }

  it('tells when the credentials could not be stored', async () => {
    keep({ credsStore: 'is-not-there' });
    const { code, stderr } = await login('-u a --password-stdin r:1', 'wonder');
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^Error saving credentials: cannot run the credential helper docker-credential-is-not-there: it is not in the PATH/,
    );
  });
});

describe('logout', () => {
  it('removes what is stored, in Docker’s words', async () => {
    keep({ auths: { 'r:1': { auth: 'x' }, 'https://index.docker.io/v1/': {} } });
    assert.equal((await gantry(['logout', 'r:1'])).stdout, 'Removing login credentials for r:1\n');
    assert.equal((await gantry(['logout', 'r:1'])).code, 0);
    assert.equal((await gantry(['logout'])).stdout, 'Removing login credentials for https://index.docker.io/v1/\n');
    assert.deepEqual(stored(), { auths: {} });
  });

  it('fails when a helper keeps the secret', async () => {
    keep({ credsStore: 'is-not-there' });
    const { code, stderr } = await gantry(['logout', 'r:1']);
    assert.equal(code, 1);
    assert.match(stderr, /^Error erasing credentials: cannot run the credential helper/);
  });
});
