/** TLS, `certs.d` and proxies, with certificates that openssl makes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { createRegistryClient } from './http-registry-client.ts';
import { exchange } from './http-transport.ts';
import type { RegistrySettings } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { createRoutes } from './routes.ts';
import { worthTakingBytes } from './socket-tap.ts';
import { gather } from './testing/gather.ts';
import { smallServer, testSettings } from './testing/small-server.ts';

const blob = Buffer.from('a blob');
const descriptor = { digest: digestOf(blob), size: blob.length };
let directory = '';

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'gantry-routes-'));
  writeFileSync(join(directory, 'server.ext'), 'subjectAltName=DNS:registry.test,IP:127.0.0.1\n');
  writeFileSync(join(directory, 'client.ext'), 'extendedKeyUsage=clientAuth\n');
  const script = `set -e
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -days 2 -subj /CN=authority -out ca.crt
    for role in server client; do
      openssl ecparam -name prime256v1 -genkey -noout -out $role.key
      openssl req -new -key $role.key -subj /CN=$role | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $role.ext -out $role.cert
    done`;
  execFileSync('sh', ['-c', script], { cwd: directory, stdio: 'ignore' });
});
after(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string): Buffer => readFileSync(join(directory, name));
const tls = () => ({ key: file('server.key'), cert: file('server.cert') });

/** A directory of certificates for one host, with some of the files. */
function certsFor(host: string, ...names: readonly string[]): string {
  const parent = mkdtempSync(join(directory, 'certs-'));
  mkdirSync(join(parent, host));
  for (const name of names) cpSync(join(directory, name), join(parent, host, name));
  return parent;
}

/** A name that only the proxy knows stands for a registry that is not loopback. */
async function ask(host: string, settings: Partial<RegistrySettings>): Promise<string> {
  const client = createRegistryClient(testSettings(settings));
  try {
    const body = await client.repository({ domain: host, path: 'a' }, null).blob(descriptor, 0);
    return Buffer.concat(await gather(body.bytes)).toString();
  } finally {
    client.close();
  }
}

async function failure(asking: Promise<unknown>): Promise<string> {
  const thrown = await asking.then(
    () => assert.fail('it was answered'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof Error);
  return thrown.message;
}

/** `CONNECT` to wherever `registry.test` is meant to be, and plain requests; what it was asked is written down. */
async function startProxy(target: () => string) {
  const asked: string[] = [];
  const proxy = createServer((incoming, response) => {
    asked.push(`${incoming.method} ${incoming.url} ${incoming.headers['proxy-authorization'] ?? '-'}`);
    const { pathname } = new URL(incoming.url ?? '');
    const [host, port] = target().split(':');
    incoming.pipe(
      request({ host, port, path: pathname, method: incoming.method, headers: incoming.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      }),
    );
  });
  proxy.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url} ${incoming.headers['proxy-authorization'] ?? '-'}`);
    if (incoming.url?.startsWith('refused')) return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    const [host, port] = target().split(':');
    const through = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      through.pipe(socket).pipe(through);
    });
    for (const end of [through, socket]) end.on('error', () => {});
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `http://me:pw@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    [Symbol.dispose]() {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}

test('TLS: a registry of an unknown authority is refused with what to do, taken with its CA in certs.d, or when declared insecure', async () => {
  await using registry = await smallServer((_, response) => void response.end(blob), { tls: tls() });
  using proxy = await startProxy(() => registry.host);
  const proxies = { http: null, https: proxy.url, noProxy: [] };
  const message = await failure(ask('registry.test', { proxies }));
  assert.match(
    message,
    /^Get "https:\/\/registry.test\/v2\/a\/blobs\/sha256:[0-9a-f]+": tls: failed to verify certificate: x509: certificate signed by unknown authority/,
  );
  assert.match(message, /certs.d\/registry.test\/ca.crt/);
  assert.equal(
    await ask('registry.test', { proxies, certificateDirectories: ['/nowhere', certsFor('registry.test', 'ca.crt')] }),
    'a blob',
  );
  assert.equal(await ask('registry.test', { proxies, insecure: ['registry.test'] }), 'a blob');
  const other = await failure(ask('other.test', { proxies, certificateDirectories: [certsFor('other.test', 'ca.crt')] }));
  assert.match(other, /tls: failed to verify certificate: .*other\.test/);
  const authorization = `Basic ${Buffer.from('me:pw').toString('base64')}`;
  assert.ok(proxy.asked.includes(`CONNECT registry.test:443 ${authorization}`));
  assert.ok(registry.asked.every(({ headers }) => headers['proxy-authorization'] === undefined));
});

test('TLS: loopback is asked over TLS without being verified, then in plain', async () => {
  await using secure = await smallServer((_, response) => void response.end(blob), { tls: tls() });
  await using plain = await smallServer((_, response) => void response.end(blob));
  assert.equal(await ask(secure.host, {}), 'a blob');
  assert.equal(await ask(plain.host, {}), 'a blob');
});

test('TLS: a large body comes whole, straight and through a proxy', async () => {
  const large = Buffer.alloc(worthTakingBytes * 2, 'bytes of a large body; ');
  await using registry = await smallServer((_, response) => void response.writeHead(200, { 'content-length': large.length }).end(large), {
    tls: tls(),
  });
  using proxy = await startProxy(() => registry.host);
  const proxies = { http: null, https: proxy.url, noProxy: [] };
  for (const [host, settings] of [[registry.host, {}] as const, ['registry.test', { proxies, insecure: ['registry.test'] }] as const]) {
    const client = createRegistryClient(testSettings(settings));
    const body = await client.repository({ domain: host, path: 'a' }, null).blob({ digest: digestOf(large), size: large.length }, 0);
    const pieces = await gather(body.bytes);
    assert.equal(digestOf(Buffer.concat(pieces)), digestOf(large));
    client.close();
  }
});

test('certs.d: client certificates are shown; halves of pairs are errors that say which', async () => {
  await using registry = await smallServer((_, response) => void response.end(blob), {
    tls: { ...tls(), ca: file('ca.crt'), requestCert: true, rejectUnauthorized: true },
  });
  using proxy = await startProxy(() => registry.host);
  const proxies = { http: null, https: proxy.url, noProxy: [] };
  const withFiles = (...names: readonly string[]) =>
    ask('registry.test', { proxies, certificateDirectories: [certsFor('registry.test', ...names)] });
  assert.equal(await withFiles('ca.crt', 'client.cert', 'client.key'), 'a blob');
  await failure(withFiles('ca.crt'));
  assert.match(
    await failure(withFiles('client.cert')),
    /^missing key client.key for client certificate client.cert in .*\. CA certificates must use the extension \.crt$/,
  );
  assert.match(await failure(withFiles('client.key')), /^missing client certificate client.cert for key client.key/);
});

test('proxies: plain requests carry the whole URL, CONNECT that is refused is told, NO_PROXY goes straight', async () => {
  await using registry = await smallServer((_, response) => void response.end(blob));
  using proxy = await startProxy(() => registry.host);
  const proxies = { http: proxy.url, https: proxy.url, noProxy: ['direct.test'] };
  const mirrored = { prefixMirrors: [{ prefix: 'quay.test', urls: ['http://plain.test:5000/cache'] }] };
  assert.equal(await ask('quay.test', { proxies, ...mirrored }), 'a blob');
  assert.match(proxy.asked.at(-1) ?? '', /^GET http:\/\/plain\.test:5000\/v2\/cache\/a\/blobs\/sha256:[0-9a-f]+ Basic /);
  const message = await failure(ask('refused.test', { proxies }));
  assert.match(message, /proxy 127\.0\.0\.1:\d+ answered 403 to CONNECT refused\.test:443/);
  assert.ok(!message.includes('pw'));
  const before = proxy.asked.length;
  await failure(ask('direct.test', { proxies }));
  assert.equal(proxy.asked.length, before);
});

test('SEC-28 routes: the address that a name leads to is checked when it is connected to', async () => {
  await using server = await smallServer((_, response) => void response.end('never'));
  const routes = createRoutes(testSettings());
  const url = new URL(`http://localhost:${server.host.split(':')[1]}/x`);
  const asking = exchange({ method: 'GET', url, headers: {} }, await routes.to(url, 'public', true));
  await assert.rejects(
    asking,
    (thrown) => thrown instanceof RegistryError && thrown.code === 'forbidden' && /is refused/.test(thrown.message),
  );
  const allowed = await exchange({ method: 'GET', url, headers: {} }, await routes.to(url, 'loopback', true));
  allowed.body.resume();
  // The connection that is kept was made under another rule.
  await new Promise((resolve) => allowed.body.once('close', resolve));
  await assert.rejects(exchange({ method: 'GET', url, headers: {} }, await routes.to(url, 'public', true)), /is refused/);
  assert.equal(server.asked.length, 1);
  routes.retire();
});

test('connections are kept and used again; a client that is closed lets them go', async () => {
  let closed = 0;
  await using registry = await smallServer((_, response) => {
    response.socket?.once('close', () => closed++);
    response.end(blob);
  });
  const client = createRegistryClient(testSettings());
  const repository = client.repository({ domain: registry.host, path: 'a' }, null);
  for (let round = 0; round < 5; round++) await gather((await repository.blob(descriptor, 0)).bytes);
  assert.equal(new Set(registry.asked.map(({ port }) => port)).size, 1);
  client.close();
  while (closed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
});
