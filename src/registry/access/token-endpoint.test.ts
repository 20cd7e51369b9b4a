import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { readConfiguration } from '../configuration/registry-configuration.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { PasswordCheck } from './password-check.ts';
import { RegistryAccess } from './registry-access.ts';
import { openTokenKeys } from './signing-keys.ts';
import { answerTokenRequest } from './token-endpoint.ts';

describe('answerTokenRequest', () => {
  let directory: string;
  let passwords: PasswordCheck;
  let access: RegistryAccess;
  let url: string;
  const server = createServer((request, response) => {
    answerTokenRequest(access, request, response, '192.0.2.1').catch((error) => {
      response.writeHead(error instanceof RegistryRefusal ? error.status : 500).end(String(error.message));
    });
  });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'token-endpoint-'));
    passwords = new PasswordCheck(new Map([['alice', hashSync('wonder', 4)]]));
    const { access: configuration } = readConfiguration('{"access":{"htpasswd":"/h","anonymousPull":["public/**"]}}', 'test');
    access = new RegistryAccess({ configuration, passwords, keys: await openTokenKeys(directory), url: null, perUser: null });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  });

  after(async () => {
    server.close();
    server.closeAllConnections();
    await passwords.close();
    await rm(directory, { recursive: true });
  });

  const basic = (password: string) => ({ Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}` });
  const get = (query: string, headers: Record<string, string> = {}) => fetch(`${url}?${query}`, { headers });
  const post = (form: Record<string, string>) => fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  const json = async (answer: Response) => (await answer.json()) as Record<string, string>;

  it('gives a token for what the rules allow of what was asked for', async () => {
    const answer = await get('scope=repository:public/a:pull,push&scope=repository:team/a:pull');
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const given = await json(answer);
    assert.deepEqual(
      [given.scope, given.token, given.expires_in, given.refresh_token],
      ['repository:public/a:pull', given.access_token, 300, undefined],
    );
    assert.equal(
      (await json(await get('scope=repository:team/a:pull,push,delete', basic('wonder')))).scope,
      'repository:team/a:pull,push,delete',
    );
  });

  it('gives a refresh token to who asks for one with a password, and tokens for it', async () => {
    const { refresh_token: first = '' } = await json(await get('offline_token=true', basic('wonder')));
    assert.equal((await json(await get('offline_token=true'))).refresh_token, undefined);
    const again = await json(
      await post({ grant_type: 'refresh_token', refresh_token: first, service: 'gantry-registry', scope: 'repository:x:pull' }),
    );
    assert.deepEqual([again.scope, again.refresh_token], ['repository:x:pull', first]);
    const byForm = await json(await post({ grant_type: 'password', username: 'alice', password: 'wonder', access_type: 'offline' }));
    assert.ok(byForm.refresh_token);
  });

  it('refuses', async () => {
    const rows: readonly (readonly [status: number, answer: () => Promise<Response>])[] = [
      [401, () => get('', basic('wander'))],
      [401, () => get('', { Authorization: 'Bearer x' })],
      [400, () => get('service=another')],
      [401, () => post({ grant_type: 'refresh_token', refresh_token: access.issue('alice', []).token })],
      [401, () => post({ grant_type: 'password', username: 'nobody', password: 'wonder' })],
      [400, () => post({ grant_type: 'authorization_code' })],
      [415, () => fetch(url, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } })],
      [413, () => post({ grant_type: 'password', password: 'x'.repeat(70_000) })],
      [405, () => fetch(url, { method: 'DELETE' })],
    ];
    for (const [status, ask] of rows) assert.equal((await ask()).status, status);
  });
});
