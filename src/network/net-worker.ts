/**
 * The net worker: the one thread that owns the netlink sockets, enters network namespaces and answers DNS. Calls come as messages and are carried out one
 * at a time, in order; while none waits, what can be put off is done piece by piece.
 */
import { parentPort } from 'node:worker_threads';
import { EngineError } from '../base/errors.ts';
import { failureOf, type NetReply, type NetRequest } from './net-call-envelope.ts';
import { createNetKernel } from './worker/net-kernel.ts';

/** Rather a little later than in the way of a container that is just being started. */
const idleAfterMs = 10;

const port = parentPort;
if (port === null) throw new EngineError('system', 'net-worker.ts is the entry of a worker thread');

const post = (reply: NetReply): void => port.postMessage(reply);
const { calls, idle } = createNetKernel((notice) => post({ notice }));
const waiting: NetRequest[] = [];
let working = false;
let idleTimer: NodeJS.Timeout | null = null;

port.on('message', (request: NetRequest) => {
  waiting.push(request);
  if (!working) void work();
});

async function work(): Promise<void> {
  working = true;
  if (idleTimer) clearTimeout(idleTimer);
  for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) await answer(request);
  working = false;
  idleTimer = setTimeout(workIdly, idleAfterMs);
}

async function answer({ id, call, args }: NetRequest): Promise<void> {
  try {
    const value = await (calls[call] as (...values: readonly unknown[]) => Promise<unknown>)(...args);
    post({ id, value });
  } catch (thrown) {
    post({ id, failure: failureOf(thrown) });
  }
}

/** A call that comes in between is carried out first. */
function workIdly(): void {
  idleTimer = idle() ? setTimeout(workIdly, 0) : null;
}
