import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '../base/log.ts';
import { encodeFrame } from '../wire/stream-frames.ts';
import { createApiServer } from './api-server.ts';
import { type FakeServices, fakeServices } from './fixtures/fake-services.ts';
import { head, readUntil, request, serveOnUnix } from './fixtures/raw-http.ts';
import { apiRoutes } from './routes.ts';

const upgrade = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};
const path = '/v1.51/containers/web/attach/ws?stream=1&stdin=1&stdout=1&stderr=1';

async function serve(fake: FakeServices) {
  return serveOnUnix(createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger }).createListener());
}

async function opened(server: { readonly path: string }, url = path): Promise<Socket> {
  const socket = connect(server.path);
  socket.write(head('GET', url, upgrade));
  assert.equal(
    (await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'))).toString(),
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
  );
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500 && !condition(); attempt++) await delay(10);
  assert.ok(condition());
}

/** One masked frame with the mask 0: its payload stays readable. */
const frame = (first: number, text: string) => Buffer.concat([Buffer.from([first, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

describe('GET /containers/{id}/attach/ws', () => {
  it('carries bare bytes both ways and closes with the output', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = await opened(server);
    socket.write(frame(0x82, 'typed'));
    await until(() => Buffer.concat(fake.stdin).toString() === 'typed');
    fake.output.end(Buffer.concat([encodeFrame(1, Buffer.from('out')), encodeFrame(2, Buffer.from('err'))]));
    const bytes = await readUntil(socket, (all) => all.includes(Buffer.from([0x88, 2])));
    assert.equal(bytes.toString('hex'), `8203${Buffer.from('out').toString('hex')}8203${Buffer.from('err').toString('hex')}880203e8`);
    socket.write(frame(0x88, ''));
    await until(() => fake.sessionDestroyed);
  });

  it('answers a ping, and leaves when the client closes', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = await opened(server);
    socket.write(frame(0x89, 'hi'));
    assert.equal((await readUntil(socket, (all) => all.length >= 4)).toString('hex'), '8a026869');
    socket.write(frame(0x88, ''));
    assert.equal((await readUntil(socket, (all) => all.length >= 4)).toString('hex'), '880203e8');
    await until(() => fake.sessionDestroyed);
  });

  it('tells a client that breaks the protocol, and cuts it', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = await opened(server);
    socket.write(Buffer.from([0x82, 1, 65]));
    assert.equal((await readUntil(socket, (all) => all.length >= 4)).toString('hex'), '880203ea');
    await until(() => fake.sessionDestroyed);
  });

  it('speaks text before 1.28, to which clients of then listen', async () => {
    const fake = fakeServices();
    fake.view = { ...fake.view, config: { ...fake.view.config, Tty: true } };
    await using server = await serve(fake);
    const socket = await opened(server, path.replace('1.51', '1.27'));
    fake.output.write('x');
    assert.equal((await readUntil(socket, (all) => all.length >= 3)).toString('hex'), '810178');
    socket.destroy();
  });

  it('refuses what is no WebSocket, and a missing container, as an ordinary answer', async () => {
    await using server = await serve(fakeServices());
    assert.equal((await request(server.path, 'GET', path)).status, 400);
    const socket = connect(server.path);
    socket.write(head('GET', path.replace('web', 'nope'), upgrade));
    assert.match((await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'))).toString(), /^HTTP\/1.1 404 /);
    socket.destroy();
  });
});
