/** The header `X-Docker-Container-Path-Stat`: base64 of `{"name","size","mode","mtime","linkTarget"}`. */
import { formatTimeNano } from './timestamps.ts';

export const pathStatHeader = 'X-Docker-Container-Path-Stat';

export interface PathStatFields {
  readonly name: string;
  readonly sizeBytes: number;
  /** Bits as Go's os.FileMode has them. */
  readonly mode: number;
  readonly modifiedAtNs: string;
  readonly linkTarget: string;
}

export function encodePathStat({ name, sizeBytes, mode, modifiedAtNs, linkTarget }: PathStatFields): string {
  const json = JSON.stringify({ name, size: sizeBytes, mode, mtime: formatTimeNano(BigInt(modifiedAtNs)), linkTarget });
  return Buffer.from(json).toString('base64');
}

/** What a client looks at. */
export interface DecodedPathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly linkTarget: string;
}

export function decodePathStat(header: string): DecodedPathStat {
  return JSON.parse(Buffer.from(header, 'base64').toString()) as DecodedPathStat;
}

/** Of Go's os.FileMode. */
export function isDirectoryMode(mode: number): boolean {
  return mode >= 2 ** 31;
}

export function isLinkMode(mode: number): boolean {
  return (Math.floor(mode / 2 ** 27) & 1) === 1;
}
