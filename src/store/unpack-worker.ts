/**
 * Entry of an unpack worker thread. One request at a time:
 *
 *     ──▶ {kind: 'unpack', job, cancel} or {kind: 'remove', root, names}
 *     ◀── {kind: 'progress', doneBytes, totalBytes}*       at most ten a second
 *     ◀── {kind: 'done', outcome} or {kind: 'failed', error}
 *
 * `cancel` is shared memory, as the thread does not read messages while it works: a thread that is terminated would lose its descriptors.
 */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { EngineError, type ErrorCode, errorText, SystemCallError } from '../base/errors.ts';
import { closeDescriptor } from '../linux/file-calls.ts';
import { openRoot } from '../linux/path-in-root.ts';
import { removeTree } from '../linux/remove-tree.ts';
import { type UnpackJob, type UnpackOutcome, unpackLayer } from './unpack-layer.ts';

export type WorkerRequest =
  | { readonly kind: 'unpack'; readonly job: UnpackJob; readonly cancel: SharedArrayBuffer }
  | { readonly kind: 'remove'; readonly root: string; readonly names: readonly string[] };

export type WorkerReply =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'done'; readonly outcome: UnpackOutcome | null }
  | { readonly kind: 'failed'; readonly error: WorkerError };

/** An error on its way between threads. */
export interface WorkerError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

const PROGRESS_EVERY_MS = 100;
const port = parentPort;

port?.on('message', (request: WorkerRequest) => {
  void answer(request).then((reply) => port.postMessage(reply));
});

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  try {
    if (request.kind === 'unpack') return { kind: 'done', outcome: await unpack(request.job, new Int32Array(request.cancel)) };
    removeAll(request.root, request.names);
    return { kind: 'done', outcome: null };
  } catch (error) {
    return { kind: 'failed', error: describe(error) };
  }
}

function unpack(job: UnpackJob, cancel: Int32Array): Promise<UnpackOutcome> {
  let last = 0;
  return unpackLayer(job, {
    isCancelled: () => Atomics.load(cancel, 0) !== 0,
    progress(doneBytes, totalBytes) {
      const now = performance.now();
      if (now - last < PROGRESS_EVERY_MS && doneBytes < totalBytes) return;
      last = now;
      port?.postMessage({ kind: 'progress', doneBytes, totalBytes } satisfies WorkerReply);
    },
  });
}

/** The trash is below the same root, and starts with `tmp-` as everything that a crash may leave. */
function removeAll(rootPath: string, names: readonly string[]): void {
  const trashPath = join(rootPath, `tmp-trash-${process.pid}-${performance.now()}`);
  mkdirSync(trashPath, { mode: 0o700 });
  const root = openRoot(rootPath);
  const trash = openRoot(trashPath);
  try {
    for (const name of names) removeTree(root, name, trash);
  } finally {
    closeDescriptor(trash);
    closeDescriptor(root);
  }
  rmdirSync(trashPath);
}

function describe(error: unknown): WorkerError {
  if (error instanceof SystemCallError) {
    return {
      code: 'system',
      message: error.errnoName === 'ENOSPC' ? `the disk is full: ${error.message}` : error.message,
      details: error.details,
    };
  }
  if (error instanceof EngineError) return { code: error.code, message: error.message, details: error.details };
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return {
    code: 'system',
    message: code === 'ENOSPC' ? `the disk is full: ${errorText(error)}` : errorText(error),
    details: { errnoName: code },
  };
}
