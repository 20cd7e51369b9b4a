/** A Unix socket in a step's directory, whose connections are passed on to the agent of the client. */
import { closeSync, constants, openSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';

export interface AgentSocket {
  close(): void;
}

export async function listenForAgent(path: string, connect: () => Promise<Duplex>): Promise<AgentSocket> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    connect().then(
      (agent) => join(socket, agent),
      () => socket.destroy(),
    );
  });
  // A socket's name is short: the directory is named by a descriptor.
  const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const listening = Promise.withResolvers<void>();
    server.once('error', listening.reject);
    server.listen(`/proc/self/fd/${directory}/${basename(path)}`, listening.resolve);
    await listening.promise;
  } catch (error) {
    closeSync(directory);
    throw error;
  }
  return {
    close() {
      for (const socket of open) socket.destroy();
      // Its end removes the name, through the descriptor.
      server.close(() => closeSync(directory));
    },
  };
}

function join(socket: Socket, agent: Duplex): void {
  if (socket.destroyed) {
    agent.destroy();
    return;
  }
  const end = () => {
    socket.destroy();
    agent.destroy();
  };
  pipeline(socket, agent, (error) => (error ? end() : undefined));
  pipeline(agent, socket, (error) => (error ? end() : undefined));
}
