/**
 * DNS over TCP for one container: pipelined questions, answered as the answers come (RFC 7766). What a container can hold of us is bounded: connections, questions
 * under way on each, the length of a question, the time without a word, and answers that it doesn't fetch.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { frame, messageReader } from './tcp-framing.ts';

/** False: it is no question and gets no answer. Otherwise calls `reply` once, perhaps at once, unless what answers is closed first. */
export type AnswerQuestion = (packet: Buffer, reply: (answer: Buffer) => void) => boolean;

const mostConnections = 64;
const mostUnderWay = 64;
/** A question with its EDNS options; nobody has longer ones. */
const longestQuestionBytes = 4096;
const idleMs = 10_000;
const unfetchedBytes = 256 * 1024;

export interface TcpService {
  close(): void;
}

/** Listens on a bound socket, which becomes ours. */
export async function serveTcp(fd: number, answer: AnswerQuestion): Promise<TcpService> {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    serveConnection(socket, answer);
  });
  server.maxConnections = mostConnections;
  await listening(server, fd);
  server.on('error', () => undefined);
  server.unref();
  return {
    close() {
      server.close();
      for (const socket of connections) socket.destroy();
    },
  };
}

function listening(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function serveConnection(socket: Socket, answer: AnswerQuestion): void {
  let underWay = 0;
  let ended = false;
  const flow = () => {
    if (ended && underWay === 0) socket.end();
    else if (underWay >= mostUnderWay || socket.writableLength > unfetchedBytes) socket.pause();
    else socket.resume();
  };
  const read = messageReader(longestQuestionBytes, (message) => {
    underWay += 1;
    const isQuestion = answer(message, (reply) => {
      underWay -= 1;
      if (socket.writable) socket.write(frame(reply));
      flow();
    });
    // Who sends something else has no use for the connection, and would hold it for ever.
    if (!isQuestion) socket.destroy();
  });
  socket.on('data', (chunk) => {
    if (read(chunk as Buffer)) flow();
    else socket.destroy();
  });
  socket.on('drain', flow);
  socket.on('end', () => {
    ended = true;
    flow();
  });
  socket.on('error', () => socket.destroy());
  socket.setTimeout(idleMs, () => {
    if (underWay === 0) socket.destroy();
  });
}
