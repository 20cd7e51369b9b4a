/**
 * The thread that writes and hashes uploads. A session's file grows over many requests; its hash goes along while the thread lives, and is made anew from the file
 * after a restart. Requests (envelope: store/worker-call.ts), of one session one after another:
 *
 *     {op: 'open', session, path}       → bytes that are there   opens or makes the file; hashes what is there unless that is known
 *     {op: 'append', session, bytes}    → null                   written and hashed; when the disk refuses, what had come before stays
 *     {op: 'park', session}             → null                   closes the file, keeps the hash
 *     {op: 'finish', session, path}     → {hex, sizeBytes}       closes and forgets
 *     {op: 'forget', session}           → null                   closes and forgets
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { describeFailure } from '../store/worker-call.ts';

export type UploadRequest =
  | { readonly op: 'open' | 'finish'; readonly session: string; readonly path: string }
  | { readonly op: 'append'; readonly session: string; readonly bytes: Uint8Array }
  | { readonly op: 'park' | 'forget'; readonly session: string };

interface Session {
  fd: number | null;
  readonly hash: Hash;
  sizeBytes: number;
}

/** Hashes of sessions whose file is closed; the oldest are forgotten and made again from the file when they are needed. */
const parkedLimit = 4096;
const sessions = new Map<string, Session>();

parentPort?.on('message', async (request: UploadRequest & { readonly id: number }) => {
  try {
    parentPort?.postMessage({ id: request.id, ok: true, value: await answer(request) });
  } catch (thrown) {
    parentPort?.postMessage({ id: request.id, ok: false, error: describeFailure(thrown) });
  }
});

function answer(request: UploadRequest): unknown {
  switch (request.op) {
    case 'open':
      return open(request.session, request.path).then(({ sizeBytes }) => sizeBytes);
    case 'append':
      return append(request.session, request.bytes);
    case 'park':
      return park(request.session);
    case 'finish':
      return finish(request.session, request.path);
    case 'forget':
      forget(request.session);
      return null;
  }
}

async function open(name: string, path: string): Promise<Session> {
  const known = sessions.get(name);
  if (known?.fd != null) return known;
  const fd = openSync(path, 'a', 0o600);
  try {
    const { size } = fstatSync(fd);
    const session = known?.sizeBytes === size ? known : { fd, hash: await hashOf(path), sizeBytes: size };
    session.fd = fd;
    sessions.set(name, session);
    return session;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

async function hashOf(path: string): Promise<Hash> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash;
}

function append(name: string, bytes: Uint8Array): null {
  const session = sessions.get(name);
  if (session?.fd == null) throw new Error(`upload ${name} is not open`);
  try {
    let written = 0;
    while (written < bytes.length) written += writeSync(session.fd, bytes, written);
  } catch (thrown) {
    // File and hash must say the same.
    ftruncateSync(session.fd, session.sizeBytes);
    throw thrown;
  }
  session.hash.update(bytes);
  session.sizeBytes += bytes.length;
  return null;
}

function park(name: string): null {
  const session = sessions.get(name);
  if (session?.fd == null) return null;
  closeSync(session.fd);
  session.fd = null;
  // To the end: the first is the one that was parked longest ago, or is open.
  sessions.delete(name);
  sessions.set(name, session);
  if (sessions.size <= parkedLimit) return null;
  for (const [oldest, { fd }] of sessions) {
    if (fd !== null) continue;
    sessions.delete(oldest);
    break;
  }
  return null;
}

async function finish(name: string, path: string): Promise<{ hex: string; sizeBytes: number }> {
  const { hash, sizeBytes } = await open(name, path);
  forget(name);
  return { hex: hash.digest('hex'), sizeBytes };
}

function forget(name: string): void {
  const session = sessions.get(name);
  if (session?.fd != null) closeSync(session.fd);
  sessions.delete(name);
}
