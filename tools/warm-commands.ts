/**
 * Fills the cache of the command line's compiled code: a process of it goes through what commands go through (`tools/bundle.ts` makes the entry that does so), against a daemon that is none and
 * answers a run and a build as one would that has nothing to do.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { BuildStreams } from '../src/wire/build-streams.ts';

const patienceMs = 20_000;

/** `fill`: the file that runs each command line of its environment's `GANTRY_WARM`. A cache that was not filled costs time, and nothing else. */
export async function warmCommands(fill: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-warm-'));
  const server = createServer(answer);
  server.on('upgrade', (request, stream) => void upgraded(request, stream));
  try {
    const socket = join(directory, 's');
    server.listen(socket);
    await once(server, 'listening');
    writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
    const host = ['-H', `unix://${socket}`];
    const lines = [
      [...host, 'run', '--rm', 'busybox', 'true'],
      [...host, 'build', '-q', directory],
    ];
    const env = { ...process.env, GANTRY_WARM: JSON.stringify(lines) };
    const child = spawn(process.execPath, ['--no-warnings', fill], { stdio: 'ignore', env, timeout: patienceMs, killSignal: 'SIGKILL' });
    await once(child, 'exit');
  } finally {
    server.close();
    server.closeAllConnections();
    rmSync(directory, { recursive: true, force: true });
  }
}

const id = 'a'.repeat(64);

function answer({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
  const path = url.replace(/\?.*$/, '').replace(/^\/v[\d.]+/, '');
  const body = path === '/containers/create' ? { Id: id, Warnings: [] } : path.endsWith('/wait') ? { StatusCode: 0 } : {};
  const status = path === '/containers/create' ? 201 : path.endsWith('/start') || method === 'DELETE' ? 204 : 200;
  response.writeHead(status, { 'Content-Type': 'application/json', 'Api-Version': '1.51' });
  response.end(status === 204 ? undefined : JSON.stringify(body));
}

async function upgraded({ url = '', headers }: IncomingMessage, stream: Duplex): Promise<void> {
  stream.on('error', () => {});
  stream.write(`HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`);
  if (!url.includes('/gantry/build')) {
    stream.end();
    return;
  }
  const streams = new BuildStreams(stream, { opened: null, message: null, closed: () => {} });
  const vertex = { digest: 'sha256:0', name: 'a step', inputs: [], startedAt: new Date().toISOString() };
  for (const question of ['dockerfile', 'context', 'list']) {
    const asked = streams.open({ ask: question, name: 'context' });
    asked.end();
    await asked.toArray();
    streams.send({ event: { kind: 'vertex', vertex } });
  }
  streams.send({
    result: { imageId: 'sha256:0', configDigest: null, digest: null, mediaType: null, names: [], warnings: [], answer: null },
  });
  streams.end();
}
