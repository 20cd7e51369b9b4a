/**
 * The thread that writes and hashes big blobs, so that neither costs the event loop anything. Requests (envelope: worker-call.ts):
 *
 *     {op: 'begin', path}            → token       creates the file, which must not exist
 *     {op: 'chunk', token, bytes}    → null        appended and hashed
 *     {op: 'finish', token}          → {hex, sizeBytes}
 *     {op: 'abort', token}           → null        closes; the caller removes the file
 *     {op: 'hash', path}             → {hex, sizeBytes}   of a file that is already there
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { describeFailure } from './worker-call.ts';

type Request =
  | { readonly id: number; readonly op: 'begin' | 'hash'; readonly path: string }
  | { readonly id: number; readonly op: 'chunk'; readonly token: number; readonly bytes: Uint8Array }
  | { readonly id: number; readonly op: 'finish' | 'abort'; readonly token: number };

interface OpenFile {
  readonly fd: number;
  readonly hash: Hash;
  sizeBytes: number;
}

const openFiles = new Map<number, OpenFile>();
let lastToken = 0;

parentPort?.on('message', (request: Request) => {
  try {
    parentPort?.postMessage({ id: request.id, ok: true, value: answer(request) });
  } catch (thrown) {
    parentPort?.postMessage({ id: request.id, ok: false, error: describeFailure(thrown) });
  }
});

function answer(request: Request): unknown {
  switch (request.op) {
    case 'begin':
      openFiles.set(++lastToken, { fd: openSync(request.path, 'wx', 0o600), hash: createHash('sha256'), sizeBytes: 0 });
      return lastToken;
    case 'chunk':
      return append(request.token, request.bytes);
    case 'finish': {
      const file = take(request.token);
      return file && { hex: file.hash.digest('hex'), sizeBytes: file.sizeBytes };
    }
    case 'abort':
      take(request.token);
      return null;
    case 'hash':
      return hashFile(request.path);
  }
}

function append(token: number, bytes: Uint8Array): null {
  const file = openFiles.get(token);
  if (!file) throw new Error(`blob ${token} is not open`);
  let written = 0;
  while (written < bytes.length) written += writeSync(file.fd, bytes, written);
  file.hash.update(bytes);
  file.sizeBytes += bytes.length;
  return null;
}

function take(token: number): OpenFile | undefined {
  const file = openFiles.get(token);
  openFiles.delete(token);
  if (file) closeSync(file.fd);
  return file;
}

function hashFile(path: string): { hex: string; sizeBytes: number } {
  const fd = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1 << 20);
    let sizeBytes = 0;
    for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) {
      hash.update(buffer.subarray(0, read));
      sizeBytes += read;
    }
    return { hex: hash.digest('hex'), sizeBytes };
  } finally {
    closeSync(fd);
  }
}
