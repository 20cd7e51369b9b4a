/**
 * A part of a file as the rest of an answer: by sendfile(2) where the socket is plain, in reads and writes where it is not (TLS, pipelined answers).
 *
 * What waits for a slow client is an ordinary write of Node's: its callback says that the socket takes bytes again.
 *
 *     write some (waits) ─▶ sendfile as much as the socket takes ─▶ full? ─▶ write some (waits) ─▶ …
 */
import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { EngineError } from '../base/errors.ts';
import { type FileSender, openFileSender, seekFile } from '../linux/send-file.ts';

/** What is written between two calls of sendfile: the less, the less is copied. */
const shareBytes = 64 * 1024;
const readBytes = 512 * 1024;
const sendBytes = 8 * 1024 * 1024;

/**
 * The response has its head with Content-Length, and nothing of its body. Not ended here. Throws when the client is gone, and when the file is shorter.
 * Returns how many bytes Node did not count as written.
 */
export async function sendFilePart(response: ServerResponse, file: FileHandle, start: number, end: number): Promise<number> {
  const { socket } = response;
  const plain = socket !== null && !(socket instanceof TLSSocket) && end - start > readBytes ? openFileSender(socket) : null;
  if (plain === null) {
    await copy(response, file, start, end);
    return 0;
  }
  try {
    return await send(response, plain, file, start, end);
  } finally {
    plain.close();
  }
}

async function send(response: ServerResponse, sender: FileSender, file: FileHandle, start: number, end: number): Promise<number> {
  seekFile(file.fd, start);
  const share = Buffer.allocUnsafe(shareBytes);
  let left = end - start;
  let sent = 0;
  while (left > 0) {
    const { bytesRead } = await file.read(share, 0, Math.min(share.length, left), null);
    if (bytesRead === 0) throw shorter();
    // Everything before it is with the kernel when this is: the order of the bytes holds.
    await write(response, share.subarray(0, bytesRead));
    left -= bytesRead;
    while (left > 0) {
      const wanted = Math.min(left, sendBytes);
      const taken = Math.max(0, await sender.send(file.fd, wanted));
      left -= taken;
      sent += taken;
      if (response.destroyed) throw gone();
      if (taken < wanted) break;
    }
  }
  return sent;
}

/** Reads one part ahead of what is being written. */
async function copy(response: ServerResponse, file: FileHandle, start: number, end: number): Promise<void> {
  const buffers = [Buffer.allocUnsafe(Math.min(readBytes, end - start)), Buffer.allocUnsafe(Math.min(readBytes, end - start))];
  const read = async (at: number, turn: number) => {
    const buffer = buffers[turn % 2] as Buffer;
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
    return buffer.subarray(0, bytesRead);
  };
  let next = read(start, 0);
  for (let at = start, turn = 1; at < end; turn++) {
    const bytes = await next;
    if (bytes.length === 0) throw shorter();
    at += bytes.length;
    if (at < end) next = read(at, turn);
    // It is awaited when the write is done, unless that fails.
    next.catch(() => {});
    await write(response, bytes);
  }
}

/** Until the kernel has it. */
function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) {
      reject(gone());
      return;
    }
    const onClose = () => reject(gone());
    response.once('close', onClose);
    response.write(bytes, (failure) => {
      response.off('close', onClose);
      if (failure) reject(failure);
      else resolve();
    });
  });
}

function gone(): Error {
  return Object.assign(new Error('the client went away'), { code: 'ECONNRESET' });
}

function shorter(): EngineError {
  return new EngineError('system', 'a file is shorter than it was: the answer that sends it is cut');
}
