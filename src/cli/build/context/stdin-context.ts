/** `build -`: a tar (compressed or not) is the context, anything else is the Dockerfile of an empty one. */
import { detectCompression } from '../../../archive/compression.ts';
import type { CliInput } from '../../cli-io.ts';
import { dockerfileOfStdin } from './dockerfile-source.ts';

export type StdinContext =
  | { readonly kind: 'tar'; readonly stream: AsyncIterable<Uint8Array> }
  | { readonly kind: 'dockerfile'; readonly text: Uint8Array };

const BLOCK_BYTES = 512;
const CHECKSUM = { at: 148, length: 8 };

export async function readStdinContext(stdin: CliInput): Promise<StdinContext> {
  const source = (stdin as AsyncIterable<Buffer | string>)[Symbol.asyncIterator]();
  const start: Buffer[] = [];
  let ended = false;
  while (!ended && start.reduce((sum, chunk) => sum + chunk.length, 0) < BLOCK_BYTES) {
    const next = await source.next();
    if (next.done === true) ended = true;
    else start.push(Buffer.from(next.value));
  }
  const head = Buffer.concat(start);
  if (isArchive(head)) return { kind: 'tar', stream: joined(head, source) };
  return { kind: 'dockerfile', text: await dockerfileOfStdin(joined(head, source) as unknown as CliInput) };
}

async function* joined(head: Buffer, rest: AsyncIterator<Buffer | string>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield Buffer.from(next.value);
}

/** By content: a header whose sum is right, an archive that ends at once, or a compressed stream. */
export function isArchive(head: Uint8Array): boolean {
  if (detectCompression(head) !== 'none') return true;
  if (head.length < BLOCK_BYTES) return false;
  const block = head.subarray(0, BLOCK_BYTES);
  if (block.every((byte) => byte === 0)) return true;
  let sum = CHECKSUM.length * 0x20;
  for (let at = 0; at < BLOCK_BYTES; at += 1) if (at < CHECKSUM.at || at >= CHECKSUM.at + CHECKSUM.length) sum += block[at] ?? 0;
  const written = Buffer.from(block.subarray(CHECKSUM.at, CHECKSUM.at + CHECKSUM.length))
    .toString('latin1')
    .replace(/[\0 ]+/g, '');
  return /^[0-7]+$/.test(written) && Number.parseInt(written, 8) === sum;
}
