import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ApiError } from './api-client.ts';
import { ConnectError } from './connection.ts';
import { GantryClient } from './gantry-client.ts';

describe('ApiClient', () => {
  let folder: string;
  let server: Server;
  let client: GantryClient;
  let connections = 0;

  beforeEach(() => {
    folder = mkdtempSync(`${tmpdir()}/gantry-client-`);
    client = new GantryClient({ address: `unix://${folder}/s` });
    connections = 0;
  });

  afterEach(() => {
    client.close();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function listen(raw: Server): Promise<void> {
    server = raw;
    server.on('connection', () => {
      connections += 1;
    });
    await new Promise<void>((resolve) => server.listen(`${folder}/s`, resolve));
  }

  function http(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<void> {
    return listen(createHttpServer(handle));
  }

  it('puts the version before paths, encodes the query and reads JSON', async () => {
    await http((request, response) => response.end(JSON.stringify([{ url: request.url }])));
    const list = await client.containers.list({ all: true, limit: 3, filters: { name: ['a&b'] } });
    assert.equal(
      (list[0] as unknown as { url: string }).url,
      `/v1.51/containers/json?all=1&limit=3&filters=${encodeURIComponent('{"name":{"a&b":true}}')}`,
    );
  });

  it('keeps a connection for the next request', async () => {
    await http((_, response) => response.end('[]'));
    for (let round = 0; round < 5; round += 1) await client.containers.list({});
    assert.equal(connections, 1);
  });

  it('sends a request again when the kept connection had been closed', async () => {
    await listen(
      createServer((socket) => {
        socket.once('data', () => {
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]');
        });
      }),
    );
    for (let round = 0; round < 3; round += 1) assert.deepEqual(await client.containers.list({}), []);
    assert.equal(connections, 3);
  });

  it("throws the daemon's own words with their status", async () => {
    await http((_, response) => {
      response.writeHead(409, { 'content-type': 'application/json' });
      response.end('{"message":"name is taken"}\n');
    });
    await assert.rejects(
      client.containers.start('x'),
      (error: unknown) => error instanceof ApiError && error.status === 409 && error.message === 'name is taken',
    );
  });

  it('gives a text body, or the status, when an error is no JSON', async () => {
    await http((request, response) => {
      response.statusCode = 502;
      response.end(request.url?.includes('empty') ? '' : 'bad gateway, says the proxy');
    });
    await assert.rejects(client.containers.start('x'), /^ApiError: bad gateway, says the proxy$/);
    await assert.rejects(client.containers.start('empty'), /502 Bad Gateway/);
  });

  it('names the address nobody listens at', async () => {
    await assert.rejects(
      client.system.ping(),
      (error: unknown) => error instanceof ConnectError && error.message.includes(`${folder}/s. Is it running?`),
    );
  });

  it('streams a request body in chunks and waits for a slow reader', async () => {
    let received = 0;
    await http(async (request, response) => {
      for await (const chunk of request) {
        received += (chunk as Buffer).length;
        await new Promise((wake) => setImmediate(wake));
      }
      response.end('{"stream":"Loaded image: x\\n"}\n');
    });
    let sent = 0;
    let ahead = 0;
    async function* tar() {
      for (let block = 0; block < 256; block += 1) {
        sent += 65536;
        ahead = Math.max(ahead, sent - received);
        yield Buffer.alloc(65536, block);
      }
    }
    const lines: unknown[] = [];
    for await (const line of await client.images.load(tar(), { quiet: true, platform: '' })) lines.push(line);
    assert.deepEqual(lines, [{ stream: 'Loaded image: x\n' }]);
    assert.equal(received, 256 * 65536);
    assert.ok(ahead < 8 * 1024 * 1024, `${ahead} bytes were ahead of the reader`);
  });

  it('hears an early refusal while it still sends', async () => {
    await http((request, response) => {
      request.pause();
      response.writeHead(400, { 'content-type': 'application/json', connection: 'close' });
      response.end('{"message":"no such thing as this tar"}');
    });
    async function* endless() {
      for (;;) yield Buffer.alloc(65536);
    }
    await assert.rejects(client.images.load(endless(), { quiet: true, platform: '' }), /no such thing as this tar/);
  });

  it('streams a large answer without holding it', async () => {
    await http((_, response) => {
      let left = 512;
      const more = (): void => {
        while (left > 0) {
          left -= 1;
          if (!response.write(Buffer.alloc(65536, 7))) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    let size = 0;
    for await (const chunk of await client.images.save(['x'], '')) {
      size += (chunk as Buffer).length;
      await new Promise((wake) => setImmediate(wake));
    }
    assert.equal(size, 512 * 65536);
  });

  it('hijacks: bytes behind the head arrive, our end is half a close, output comes after it', async () => {
    await listen(
      createServer({ allowHalfOpen: true }, (socket: Socket) => {
        socket.once('data', () => {
          socket.write(
            'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ',
          );
          let heard = '';
          socket.on('data', (chunk) => {
            heard += chunk.toString();
          });
          socket.on('end', () => setTimeout(() => socket.end(`heard ${heard} after the end`), 30));
        });
      }),
    );
    const { stream, framed } = await client.containers.attach('x', { stdin: true, stdout: true, stderr: true }, true);
    assert.equal(framed, false);
    stream.end('typed');
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    assert.equal(text, 'early heard typed after the end');
  });

  it('registers a wait before the exit is known', async () => {
    const exit = Promise.withResolvers<void>();
    await http(async (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      await exit.promise;
      response.end('{"StatusCode":7}\n');
    });
    const wait = await client.containers.wait('x', 'next-exit');
    exit.resolve();
    assert.deepEqual(await wait.exit, { StatusCode: 7 });
  });

  it('stops waiting when it is told to', async () => {
    await http(() => {});
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('enough')), 20);
    await assert.rejects(client.api.json('GET', '/info', { signal: abort.signal }), /enough/);
  });

  it('refuses line breaks in headers and empty names', async () => {
    await http((_, response) => response.end('[]'));
    await assert.rejects(client.api.json('GET', '/info', { headers: { 'X-A': 'b\r\nX-Evil: 1' } }), /line breaks/);
    await assert.rejects(async () => client.containers.start(''), /value is empty/);
  });
});
