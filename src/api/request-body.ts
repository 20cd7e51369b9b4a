/** Reading what a client sends, with a limit, before anything is answered. */
import type { IncomingMessage } from 'node:http';
import { invalid } from '../base/errors.ts';
import { parseJsonText } from '../wire/json-text.ts';

/** Labels and environments of real requests stay far below. */
export const maxJsonBytes = 8 * 1024 * 1024;

const decoder = new TextDecoder('utf-8', { fatal: true });

export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

/** JSON bodies must say so, because a web page can send every other type without asking (SECURITY.md row 30). */
export function requireJsonType(request: IncomingMessage): void {
  const type = request.headers['content-type'] ?? '';
  const mime = type.split(';', 1)[0]?.trim().toLowerCase();
  if (mime !== 'application/json') throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
}

export async function readBytes(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // Leaving the loop early must not destroy the connection: the refusal still has to be sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) throw invalid(`the request body is larger than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** `null` for an empty body. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const bytes = await readBytes(request, maxJsonBytes);
  if (bytes.length === 0) return null;
  requireJsonType(request);
  return parseJsonText(decodeUtf8(bytes), 'the request body');
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw invalid('invalid JSON in the request body: it is not UTF-8', { cause });
  }
}
