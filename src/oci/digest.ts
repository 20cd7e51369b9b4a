/** Content digests: the only algorithm is sha256, as everywhere in Docker; another one is refused by name, never taken on trust. */
import { hash } from 'node:crypto';
import type { ChainId, DiffId, Digest, ImageId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';

const sha256Digest = /^sha256:[0-9a-f]{64}$/;
const anyDigest = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

export function isDigest(text: string): text is Digest {
  return sha256Digest.test(text);
}

/** `what` says whose digest it is, for the message. */
export function parseDigest(text: unknown, what = 'digest'): Digest {
  if (typeof text === 'string' && isDigest(text)) return text;
  if (typeof text === 'string' && anyDigest.test(text)) {
    const algorithm = text.slice(0, text.indexOf(':'));
    throw invalid(`${what}: digest algorithm ${algorithm} is not supported, only sha256 with 64 lower-case hex digits is`);
  }
  throw invalid(`${what}: ${quoted(text)} is not a sha256 digest`);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}` as Digest;
}

export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The 64 hex digits. */
export function digestHex(digest: Digest | DiffId | ChainId | ImageId): string {
  return digest.slice('sha256:'.length);
}

/** Docker's 12 digit form of an id, with or without `sha256:`. */
export function shortId(id: string): string {
  return id.slice(id.indexOf(':') + 1).slice(0, 12);
}

/** One chain id per layer, bottom first (OCI image spec, config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly DiffId[]): readonly ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push((below === undefined ? diffId : digestOf(`${below} ${diffId}`)) as string as ChainId);
  }
  return chain;
}

function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
