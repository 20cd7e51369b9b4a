/**
 * The main thread's side of the net worker. The thread holds sockets that belong to running containers and is never started a second time: when it is lost,
 * every call fails, and only a new daemon helps.
 */
import { Worker } from 'node:worker_threads';
import { EngineError } from '../base/errors.ts';
import { errorOfFailure, type NetReply, type NetRequest } from './net-call-envelope.ts';
import type { NetCalls, NetNotice } from './net-calls.ts';

export interface NetWorkerOptions {
  /** Where the thread's code is; a bundle that moves this file gives its own. */
  readonly workerEntry?: URL;
}

export interface NetWorker extends NetCalls {
  onNotice(listener: (notice: NetNotice) => void): () => void;
}

interface OpenCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The calls in the order of `NetCalls`; a table, so that none can be forgotten. */
const callNames: Readonly<Record<keyof NetCalls, true>> = {
  open: true,
  hostSubnets: true,
  ensureBridge: true,
  removeBridge: true,
  ensureParent: true,
  removeParent: true,
  createSandbox: true,
  removeSandbox: true,
  addEndpoint: true,
  removeEndpoint: true,
  changePorts: true,
  lendDevices: true,
  setNames: true,
  restore: true,
  describe: true,
  survey: true,
  mend: true,
  close: true,
};

export function openNetWorker({ workerEntry = new URL('./net-worker.ts', import.meta.url) }: NetWorkerOptions = {}): NetWorker {
  const worker = new Worker(workerEntry, { name: 'net' });
  const open = new Map<number, OpenCall>();
  const listeners = new Set<(notice: NetNotice) => void>();
  let lastId = 0;
  let ended: EngineError | null = null;

  function end(error: EngineError): void {
    if (ended !== null) return;
    ended = error;
    for (const { reject } of open.values()) reject(error);
    open.clear();
  }

  function receive(reply: NetReply): void {
    if ('notice' in reply) {
      for (const listener of listeners) listener(reply.notice);
      return;
    }
    const call = open.get(reply.id);
    open.delete(reply.id);
    // Nothing is awaited: the thread alone must not keep the process alive.
    if (open.size === 0) worker.unref();
    if ('failure' in reply) call?.reject(errorOfFailure(reply.failure));
    else call?.resolve(reply.value);
  }

  function call(name: keyof NetCalls, args: readonly unknown[]): Promise<unknown> {
    if (ended !== null) return Promise.reject(ended);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    lastId += 1;
    open.set(lastId, { resolve, reject });
    worker.ref();
    worker.postMessage({ id: lastId, call: name, args } satisfies NetRequest);
    return promise;
  }

  worker.on('message', receive);
  worker.on('error', (cause) => end(new EngineError('system', `the net worker failed: ${String(cause)}; restart the daemon`, { cause })));
  worker.on('exit', () => end(new EngineError('system', 'the net worker ended unexpectedly; restart the daemon')));
  worker.unref();

  const calls = Object.fromEntries(
    Object.keys(callNames).map((name) => [name, (...args: readonly unknown[]) => call(name as keyof NetCalls, args)]),
  ) as unknown as NetCalls;
  return {
    ...calls,
    async close(keep) {
      if (ended !== null) return;
      try {
        await calls.close(keep);
      } finally {
        end(new EngineError('unavailable', 'the net worker is closed: the daemon is stopping'));
        await worker.terminate();
      }
    },
    onNotice(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
