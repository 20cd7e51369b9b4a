import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { EngineError } from '../../base/errors.ts';
import type { PortSpec } from '../net-calls.ts';
import { EphemeralPorts } from './ephemeral-ports.ts';
import { socketInodes } from './port-holder.ts';
import { PortTable } from './port-table.ts';

const quiet = { info() {}, warn() {}, error() {}, debug() {} };

function table(settings = { firewall: true, firewall6: true, proxy: true }): PortTable {
  return new PortTable({ settings, ipv6: true, nameOf: (id) => `name-of-${id}`, log: quiet as never });
}

function spec(hostPorts: readonly [number, number], over: Partial<PortSpec> = {}): PortSpec {
  return { protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPorts, mode: 'nat', target4: '127.0.0.1', target6: null, ...over };
}

async function said(port: number): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of connect({ port, host: '127.0.0.1' })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe('PortTable', () => {
  it('names the container that holds a port, and frees it on release', () => {
    const ports = table();
    const results = ports.reserve('a', [spec([0, 0])]);
    const port = results[0]?.hostPort ?? 0;
    assert.throws(
      () => ports.reserve('b', [spec([port, port])]),
      /Bind for 127\.0\.0\.1:\d+ failed: port is already allocated \(by container name-of-a\)/,
    );
    ports.release('a', 'all');
    ports.reserve('b', [spec([port, port])]);
    ports.close();
  });

  it('names the program of the host that holds a port', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const ports = table();
    assert.throws(() => ports.reserve('a', [spec([port, port])]), new RegExp(`already allocated \\(by .*pid ${process.pid}\\)`));
    server.close();
  });

  it('takes the next free one of a range, and says when all are taken', () => {
    const ports = table();
    const first = ports.reserve('a', [spec([0, 0])])[0]?.hostPort ?? 0;
    const second = ports.reserve('b', [spec([first, first + 5])])[0]?.hostPort ?? 0;
    assert.ok(second > first && second <= first + 5);
    assert.throws(
      () => ports.reserve('c', [spec([first, first]), spec([0, 0])]),
      (error) => error instanceof EngineError && error.code === 'conflict',
    );
    ports.close();
  });

  it('a port that moves to another address of its container keeps its socket; one that is given up is free', async () => {
    const ports = table();
    const results = ports.reserve('a', [spec([0, 0], { mode: 'proxy', containerPort: 1 })]);
    const { hostPort = 0 } = results[0] ?? {};
    const [before] = ports.kept('a');
    ports.release('a', results);
    const server = createServer((socket) => socket.end('moved')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port: containerPort } = server.address() as AddressInfo;
    ports.reserve('a', [spec([hostPort, hostPort], { mode: 'proxy', containerPort })]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await said(hostPort), 'moved');
    const [after] = ports.kept('a');
    ports.release('a', results);
    ports.reserve('b', [spec([hostPort, hostPort])]);
    ports.close();
    server.close();
    assert.equal(before?.label, after?.label);
  });

  it('the old connections of a proxy do not hold its port', async () => {
    const server = createServer((socket) => socket.end('bye')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port: containerPort } = server.address() as AddressInfo;
    const ports = table();
    const { hostPort = 0 } = ports.reserve('a', [spec([0, 0], { mode: 'proxy', containerPort })])[0] ?? {};
    assert.equal(await said(hostPort), 'bye');
    ports.release('a', 'all');
    assert.equal(ports.reserve('b', [spec([hostPort, hostPort])])[0]?.hostPort, hostPort);
    // Nor does the reservation share it with a server that re-uses addresses.
    const rival = createServer().listen(hostPort, '127.0.0.1');
    const [error] = await once(rival, 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'EADDRINUSE');
    ports.close();
    server.close();
  });

  it('undoes all when one port is taken', () => {
    const ports = table();
    const held = ports.reserve('a', [spec([0, 0])])[0]?.hostPort ?? 0;
    assert.throws(() => ports.reserve('b', [spec([0, 0]), spec([held, held])]));
    assert.deepEqual(ports.kept('b'), []);
    ports.close();
  });

  it('publishes on both families with one number; without an IPv6 target by proxy', () => {
    const ports = table();
    const results = ports.reserve('a', [spec([0, 0], { hostIp: '' })]);
    assert.deepEqual(
      results.map(({ hostIp, mode }) => [hostIp, mode]),
      [
        ['0.0.0.0', 'nat'],
        ['::', 'proxy'],
      ],
    );
    assert.equal(new Set(results.map(({ hostPort }) => hostPort)).size, 1);
    assert.equal(ports.kept('a').length, 2);
    ports.close();
  });

  it("an address that is not the host's", () => {
    assert.throws(() => table().reserve('a', [spec([8080, 8080], { hostIp: '203.0.113.9' })]), /cannot assign requested address/);
  });

  it('proxies bytes both ways with half-closes', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const ports = table();
    const { port: containerPort } = server.address() as AddressInfo;
    const results = ports.reserve('a', [spec([0, 0], { mode: 'proxy', containerPort })]);
    const client = connect({ port: results[0]?.hostPort ?? 0, host: '127.0.0.1', allowHalfOpen: true });
    client.end('hello');
    const answer: Buffer[] = [];
    for await (const chunk of client) answer.push(chunk as Buffer);
    assert.equal(Buffer.concat(answer).toString(), 'HELLO');
    ports.close();
    server.close();
  });

  it('proxies datagrams, each client by its own socket', async () => {
    const echo = createSocket('udp4', (message, from) => echo.send(`${from.port} ${message}`, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const ports = table();
    const wish = spec([0, 0], { protocol: 'udp', mode: 'proxy', containerPort: echo.address().port });
    const { hostPort = 0 } = ports.reserve('a', [wish])[0] ?? {};
    const ask = async (client: Socket, text: string): Promise<string> => {
      client.send(text, hostPort, '127.0.0.1');
      const [message] = await once(client, 'message');
      return String(message);
    };
    const [one, other] = [createSocket('udp4'), createSocket('udp4')];
    const [first, second, third] = [await ask(one, 'x'), await ask(other, 'x'), await ask(one, 'x')];
    assert.equal(first, third);
    assert.notEqual(first, second);
    for (const socket of [one, other, echo]) socket.close();
    ports.close();
  });
});

it('EphemeralPorts goes round its range, after the last one given', () => {
  const ports = new EphemeralPorts(() => '100\t103\n');
  assert.deepEqual([...ports.candidates()], [100, 101, 102, 103]);
  for (const port of ports.candidates()) if (port === 101) break;
  assert.deepEqual([...ports.candidates()], [102, 103, 100, 101]);
});

it('socketInodes finds bound sockets, not connected ones', () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20 4 30 10 -1`;
  assert.deepEqual(socketInodes(text, 8080), ['4242']);
});
