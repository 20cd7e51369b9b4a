/**
 * The thread that writes and hashes big blobs, so that neither costs the event loop anything. Requests (envelope: worker-call.ts):
 *
 *     {op: 'begin', path}            → token       creates the file, which must not exist
 *     {op: 'chunk', token, bytes}    → null        appended and hashed
 *     {op: 'finish', token}          → {hex, sizeBytes}
 *     {op: 'abort', token}           → null        closes; the caller removes the file
 *     {op: 'measure', path, limitBytes} → {hex, sizeBytes}   of the plain bytes of a file that may be compressed
 *     {op: 'digest', path}           → hex         of the bytes as they are
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { decompress } from '../archive/compression.ts';
import { invalid } from '../base/errors.ts';
import { describeFailure } from './worker-call.ts';

type Request =
  | { readonly id: number; readonly op: 'begin'; readonly path: string }
  | { readonly id: number; readonly op: 'measure'; readonly path: string; readonly limitBytes: number }
  | { readonly id: number; readonly op: 'digest'; readonly path: string }
  | { readonly id: number; readonly op: 'chunk'; readonly token: number; readonly bytes: Uint8Array }
  | { readonly id: number; readonly op: 'finish' | 'abort'; readonly token: number };

interface OpenFile {
  readonly fd: number;
  readonly hash: Hash;
  sizeBytes: number;
}

const openFiles = new Map<number, OpenFile>();
let lastToken = 0;

parentPort?.on('message', async (request: Request) => {
  try {
    // Chunks must be written in the order of their arrival, so nothing but what only reads is awaited.
    const value = request.op === 'measure' || request.op === 'digest' ? await read(request) : answer(request);
    parentPort?.postMessage({ id: request.id, ok: true, value });
  } catch (thrown) {
    parentPort?.postMessage({ id: request.id, ok: false, error: describeFailure(thrown) });
  }
});

function read(request: Extract<Request, { readonly op: 'measure' | 'digest' }>): Promise<unknown> {
  return request.op === 'measure' ? measure(request.path, request.limitBytes) : digest(request.path);
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function answer(request: Exclude<Request, { readonly op: 'measure' | 'digest' }>): unknown {
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

async function measure(path: string, limitBytes: number): Promise<{ hex: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of decompress(createReadStream(path, { highWaterMark: 256 * 1024 }))) {
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) throw invalid(`the layer has more than ${limitBytes} bytes when it is unpacked`);
    hash.update(chunk);
  }
  return { hex: hash.digest('hex'), sizeBytes };
}
