/** The client's ssh agent as a socket of this machine, for a program that fetches for it: in a directory that only root reads, for as long as the program runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

/** `connect`: null where the client has no agent. */
export async function withAgentSocket<T>(connect: (() => Promise<Duplex>) | null, use: (path: string | null) => Promise<T>): Promise<T> {
  if (connect === null) return await use(null);
  // Not below the data root: the path of a socket holds 108 bytes.
  const directory = await mkdtemp(join(tmpdir(), 'gantry-ssh-'));
  const open = new Set<Duplex>();
  const server = createServer({ allowHalfOpen: true }, (socket) => void relay(socket, connect, open));
  try {
    const path = join(directory, 'agent');
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return await use(path);
  } finally {
    for (const stream of open) stream.destroy();
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function relay(socket: Socket, connect: () => Promise<Duplex>, open: Set<Duplex>): Promise<void> {
  const track = (stream: Duplex) => {
    open.add(stream);
    stream.once('close', () => open.delete(stream));
  };
  track(socket);
  socket.on('error', () => {});
  try {
    const agent = await connect();
    track(agent);
    agent.on('error', () => socket.destroy());
    socket.on('close', () => agent.destroy());
    agent.on('close', () => socket.destroy());
    socket.pipe(agent);
    agent.pipe(socket);
  } catch {
    // Whoever asks the agent finds it closed, and says so.
    socket.destroy();
  }
}
