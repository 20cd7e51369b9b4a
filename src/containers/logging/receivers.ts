/** Receivers of log lines on loopback and temporary sockets, for tests. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LogMessage, LogSubject } from './log-driver.ts';

export const subject: LogSubject = {
  id: 'abcdef0123456789'.repeat(4),
  name: 'web',
  imageId: `sha256:${'12345678'.repeat(8)}`,
  imageName: 'busybox',
  command: 'sh -c true',
  createdAt: new Date('2026-01-02T03:04:05.678Z'),
  labels: { tier: 'front', other: 'x' },
  env: ['STAGE=test', 'SECRET=1'],
  hostname: 'host1',
};

export function message(text: string, more: Partial<LogMessage> = {}): LogMessage {
  return { text, stderr: false, timeNano: 1_767_323_045_678_901_234n, partial: false, ...more };
}

export const never = new AbortController().signal;

export function temporaryDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'g-LOG-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    if (holds()) return;
    await delay(5);
  }
  throw new Error(`timed out waiting for ${what}`);
}

export interface StreamReceiver {
  readonly port: number;
  /** All that came, of all connections. */
  bytes(): Buffer;
  text(): string;
  connections: number;
  /** Resets what is open and refuses what comes. */
  stop(): Promise<void>;
}

export async function streamReceiver(
  context: TestContext,
  options: {
    readonly path?: string;
    readonly port?: number;
    readonly server?: (onSocket: (socket: Socket) => void) => Server;
    readonly onData?: (socket: Socket, data: Buffer) => void;
  } = {},
): Promise<StreamReceiver> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const onSocket = (socket: Socket) => {
    receiver.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      chunks.push(data);
      options.onData?.(socket, data);
    });
  };
  const server = options.server?.(onSocket) ?? createServer(onSocket);
  if (options.path === undefined) server.listen(options.port ?? 0, '127.0.0.1');
  else server.listen(options.path);
  await once(server, 'listening');
  const address = server.address();
  const receiver: StreamReceiver = {
    port: typeof address === 'string' ? 0 : (address as AddressInfo).port,
    bytes: () => Buffer.concat(chunks),
    text: () => Buffer.concat(chunks).toString(),
    connections: 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
  context.after(() => receiver.stop());
  return receiver;
}

export async function udpReceiver(context: TestContext): Promise<{ readonly port: number; readonly datagrams: Buffer[] }> {
  const socket = createSocket('udp4');
  const datagrams: Buffer[] = [];
  socket.on('message', (datagram) => datagrams.push(datagram));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  context.after(() => socket.close());
  return { port: socket.address().port, datagrams };
}
