/** What a registry of the tests saw of a request, and what it sent. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Digest } from '../../../src/base/brand.ts';
import type { RequestKind } from './faults.ts';

export interface RecordedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly kind: RequestKind;
  readonly repository: string | null;
  /** Of a blob's request. */
  readonly digest: Digest | null;
  readonly headers: IncomingHttpHeaders;
  /** Of a Range header; 0 without one. */
  readonly startsAt: number;
  status: number;
  /** Body bytes that went out. */
  sentBytes: number;
  receivedBytes: number;
}

/** Any form of a secret that a test looks for in what a host has seen. */
export function carries(request: RecordedRequest, secrets: readonly string[]): boolean {
  const text = `${request.path}\n${JSON.stringify(request.headers)}`;
  const decoded = Buffer.from((request.headers.authorization ?? '').replace(/^\w+ /, ''), 'base64').toString();
  return secrets.some((secret) => text.includes(secret) || decoded.includes(secret));
}
