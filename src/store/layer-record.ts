/**
 * What is known of an unpacked layer: `layer.json` beside its `fs` directory, written before the directory gets its final name.
 *
 *     <root>/d-<64 hex of the diffID>/{layer.json, fs/}      does not depend on what is below it
 *     <root>/c-<64 hex of the chain id>/{layer.json, fs/}    unpacked on top of just these parents
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainId, DiffId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';

/** Rises when unpacking changes its results: directories of another version are unpacked again. */
const VERSION = 1;

export interface LayerRecord {
  readonly diffId: DiffId;
  /** Sum of the sizes of regular files. */
  readonly sizeBytes: number;
  readonly entries: number;
  /** Attributes of `/`, when the layer lists it: the topmost layer that does gives them to the container's root. */
  readonly root: RootAttributes | null;
  /** Nothing below this layer shows. (overlay ignores the attribute on the root of a layer, so the stack is cut instead.) */
  readonly rootOpaque: boolean;
  /** Directories with whiteouts inside. Valid only above layers where each of them exists: elsewhere a whiteout would show as `c?????????`. */
  readonly whiteoutDirectories: readonly string[];
}

export interface RootAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedAt: { readonly seconds: number; readonly nanoseconds: number };
  /** Values in base64. */
  readonly extendedAttributes: Readonly<Record<string, string>>;
}

/** Of a root that no layer lists. */
export const ordinaryRoot: RootAttributes = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  modifiedAt: { seconds: 0, nanoseconds: 0 },
  extendedAttributes: {},
};

export function independentName(diffId: DiffId): string {
  return `d-${hexOf(diffId)}`;
}

export function dependentName(chainId: ChainId): string {
  return `c-${hexOf(chainId)}`;
}

export function isLayerName(name: string): boolean {
  return /^[cd]-[0-9a-f]{64}$/.test(name);
}

export function encodeLayerRecord(record: LayerRecord): string {
  return `${JSON.stringify({ version: VERSION, ...record })}\n`;
}

/** Null when it is missing, of another version, or not ours. */
export function readLayerRecord(directory: string): LayerRecord | null {
  try {
    const value: unknown = JSON.parse(readFileSync(join(directory, 'layer.json'), 'utf8'));
    const written = value as LayerRecord & { readonly version: number };
    return typeof value === 'object' && value !== null && written.version === VERSION ? written : null;
  } catch {
    return null;
  }
}

/** The name becomes part of a path, so what is not a digest must never get here. */
function hexOf(digest: string): string {
  const match = /^sha256:([0-9a-f]{64})$/.exec(digest);
  if (match?.[1] === undefined) throw new EngineError('invalid', `not a sha256 digest: ${JSON.stringify(digest.slice(0, 100))}`);
  return match[1];
}
