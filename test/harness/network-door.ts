/**
 * Makes a TCP server of this machine's loopback reachable under the same address inside another network namespace, where the peer lives: a registry then has one
 * name for both engines.
 *
 *     peer ──▶ 127.0.0.1:P (in its namespace, a process of ours) ──▶ unix socket ──▶ this process ──▶ 127.0.0.1:P
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endChild } from './registry-process.ts';

export interface NetworkDoor {
  close(): Promise<void>;
}

const inside = `
const { connect, createServer } = require('node:net');
const [path, host, port] = process.argv.slice(1);
createServer({ allowHalfOpen: true }, (here) => {
  const there = connect({ path, allowHalfOpen: true });
  for (const [from, to] of [[here, there], [there, here]]) from.on('error', () => to.destroy()).pipe(to);
}).listen(Number(port), host, () => process.stdout.write('open'));`;

/** `pid`: any process in that namespace; `address`: `127.0.0.1:port`. */
export async function openNetworkDoor(pid: number, address: string): Promise<NetworkDoor> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-door-'));
  const path = join(directory, 'socket');
  const [host = '', port = ''] = address.split(':');
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (here) => {
    const there = connect({ host, port: Number(port), allowHalfOpen: true });
    for (const socket of [here, there]) sockets.add(socket.once('close', () => sockets.delete(socket)));
    here.on('error', () => there.destroy()).pipe(there);
    there.on('error', () => here.destroy()).pipe(here);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const child = spawn('nsenter', ['--target', String(pid), '--net', process.execPath, '-e', inside, path, host, port], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const close = async (): Promise<void> => {
    await endChild(child);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true, force: true });
  };
  const isOpen = await new Promise<boolean>((resolve) => {
    child.stdout.once('data', () => resolve(true));
    child.once('exit', () => resolve(false));
  });
  if (!isOpen) {
    await close();
    throw new Error(`cannot open ${address} in the network namespace of ${pid}`);
  }
  return { close };
}
