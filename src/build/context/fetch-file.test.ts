import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readContextIndex } from './context-index.ts';
import type { HttpRequest } from './context-store.ts';
import { createContextStore, type OpenContextStore } from './create-context-store.ts';
import { tarOf } from './testing/small-tar.ts';

let directory = '';
let store: OpenContextStore;
const environment: Record<string, string> = {};
const servers: Server[] = [];
const signal = new AbortController().signal;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-http-'));
  store = await createContextStore({ root: directory, limits: { bytes: 1_000_000, entries: 100 }, environment: () => environment });
});

after(async () => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function get(url: string, request: Partial<HttpRequest> = {}, aborts = signal) {
  return store.http({ url, checksum: null, unpack: false, secret: async () => null, ...request }, aborts);
}

const digest = (bytes: string | Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

test('a file has its name from the address, mode 0600, and the time that the server says', async () => {
  const url = await serve((_, response) => response.setHeader('Last-Modified', 'Sun, 13 Sep 2020 12:26:40 GMT').end('content'));
  const file = await get(`${url}/a/my%20file.txt?signature=x#y`, { checksum: digest('content') });
  assert.deepEqual([file.fileName, file.isArchive, file.digest], ['my file.txt', false, digest('content')]);
  const stats = lstatSync(join(file.files.directory, 'my file.txt'));
  assert.deepEqual([stats.mode & 0o7777, stats.mtimeMs], [0o600, 1_600_000_000_000]);
  const entry = readContextIndex(file.files.index ?? '').get('my file.txt');
  assert.deepEqual([entry?.mode, `sha256:${entry?.digest}`, entry?.modifiedAt.seconds], [0o600, digest('content'), 1_600_000_000]);
  await file.release();
  const bare = await get(`${url}/`);
  assert.deepEqual([bare.fileName, readdirSync(bare.files.directory)], ['__unnamed__', ['__unnamed__']]);
  await bare.release();
});

test('an archive is unpacked when that is wanted, by what it holds', async () => {
  const bytes = gzipSync(tarOf([{ path: 'd/f', content: 'x' }]));
  const url = await serve((request, response) => response.end(request.url === '/no.tar.gz' ? 'no archive' : bytes));
  const archive = await get(`${url}/any-name`, { unpack: true });
  assert.deepEqual(
    [archive.isArchive, archive.digest, readFileSync(join(archive.files.directory, 'd/f'), 'utf8')],
    [true, digest(bytes), 'x'],
  );
  await archive.release();
  const file = await get(`${url}/any-name`);
  assert.deepEqual([file.isArchive, readdirSync(file.files.directory)], [false, ['any-name']]);
  await file.release();
  const other = await get(`${url}/no.tar.gz`, { unpack: true });
  assert.deepEqual([other.isArchive, readdirSync(other.files.directory)], [false, ['no.tar.gz']]);
  await other.release();
});

test('what is wrong is said, and leaves nothing', async () => {
  const url = await serve((request, response) => {
    if (request.url === '/cut') response.writeHead(200, { 'Content-Length': '100' }).write('only this', () => response.destroy());
    else if (request.url === '/loop') response.writeHead(302, { Location: '/loop' }).end();
    else if (request.url === '/large') response.end(Buffer.alloc(1_000_001));
    else response.writeHead(404).end('no');
  });
  await assert.rejects(get(`${url}/missing?token=secret`), (error: Error) =>
    /invalid response status 404 of http.*\/missing$/.test(error.message),
  );
  await assert.rejects(get(`${url}/cut`), /cannot fetch .*\/cut/);
  await assert.rejects(get(`${url}/loop`), /redirects more than 10 times/);
  await assert.rejects(get(`${url}/large`), /larger than 1000000 bytes/);
  await assert.rejects(get('http://127.0.0.1:1/x'), /cannot fetch http:\/\/127.0.0.1:1\/x: .*ECONNREFUSED/);
  await assert.rejects(get('file:///etc/passwd'), /not an http or https address/);
  await assert.rejects(get(`${url}/x`, { checksum: 'md5:1' }), /invalid checksum/);
  const fine = await serve((_, response) => response.end('content'));
  await assert.rejects(get(`${fine}/x`, { checksum: digest('other') }), /digest mismatch sha256:/);
  await store.settled();
  assert.deepEqual(readdirSync(join(directory, 'contexts')), []);
});

test('credentials go to their host, and do not follow a redirection to another one', async () => {
  const seen: string[] = [];
  const other = await serve((request, response) => {
    seen.push(`other ${request.headers.authorization}`);
    response.end('x');
  });
  const url = await serve((request, response) => {
    seen.push(`first ${request.headers.authorization}`);
    if (request.url === '/away') response.writeHead(302, { Location: `${other}/f` }).end();
    else if (request.url === '/here') response.writeHead(302, { Location: '/f' }).end();
    else response.end('x');
  });
  const host = new URL(url).host;
  const secret = async (id: string) => (id === `HTTP_AUTH_TOKEN_${host}` ? Buffer.from('t0ken\n') : null);
  await (await get(`${url}/away`, { secret })).release();
  await (await get(`${url}/here`, { secret })).release();
  await (await get(url.replace('//', '//u:p@'), { secret: async () => null })).release();
  const header = async (id: string) => (id === 'HTTP_AUTH_HEADER_127.0.0.1' ? Buffer.from('Custom x') : null);
  await (await get(`${url}/f`, { secret: header })).release();
  const basic = `Basic ${Buffer.from('u:p').toString('base64')}`;
  const bearer = 'Bearer t0ken';
  assert.deepEqual(seen, [`first ${bearer}`, 'other undefined', `first ${bearer}`, `first ${bearer}`, `first ${basic}`, 'first Custom x']);
});

test('the proxy of the daemon is asked', async () => {
  const proxy = await serve((request, response) => response.end(`by proxy: ${request.url}`));
  environment.HTTP_PROXY = proxy;
  try {
    const file = await get('http://name.invalid/f');
    assert.equal(readFileSync(join(file.files.directory, 'f'), 'utf8'), 'by proxy: http://name.invalid/f');
    await file.release();
  } finally {
    delete environment.HTTP_PROXY;
  }
});

test('a download that is cancelled ends at once', async () => {
  const url = await serve((_, response) => response.write('a little'));
  const abort = new AbortController();
  const fetching = get(`${url}/f`, {}, abort.signal);
  setTimeout(() => abort.abort(new Error('cancelled by the test')), 50);
  await assert.rejects(fetching, /cancelled by the test/);
  await store.settled();
  assert.deepEqual(readdirSync(join(directory, 'contexts')), []);
});
