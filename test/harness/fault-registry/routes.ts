/** The routes of a registry of the tests. A fault that needs no right answer is dealt with first; the others bend the answer's headers and body. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../src/base/brand.ts';
import { digestOf, isDigest } from '../../../src/oci/digest.ts';
import { filler, resetConnection } from './answer-body.ts';
import { body, type Exchange, type Headers, head, received, sendError, sendJson, sendText } from './exchange.ts';
import type { Fault, RequestKind } from './faults.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { memorySource } from './registry-content.ts';
import { answerUpload } from './upload-routes.ts';

const routes: readonly (readonly [RequestKind, RegExp])[] = [
  ['base', /^\/v2\/?$/],
  ['catalogue', /^\/v2\/_catalog$/],
  ['manifest', /^\/v2\/(.+)\/manifests\/([^/]+)$/],
  ['upload', /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/],
  ['blob', /^\/v2\/(.+)\/blobs\/([^/]+)$/],
  ['tags', /^\/v2\/(.+)\/tags\/list$/],
  ['referrers', /^\/v2\/(.+)\/referrers\/([^/]+)$/],
  ['token', /^\/token$/],
  ['search', /^\/v1\/search$/],
];

export function describeRequest({ method = '', url = '', headers }: IncomingMessage): RecordedRequest {
  const { pathname } = new URL(url, 'http://x');
  const [kind, pattern] = routes.find(([, one]) => one.test(pathname)) ?? (['other', /$^/] as const);
  const [, repository = null, last = ''] = pattern.exec(decodeURIComponent(pathname)) ?? [];
  const digest = kind === 'blob' && isDigest(last) ? last : null;
  const startsAt = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
  return { method, path: url, kind, repository, digest, headers, startsAt, status: 0, sentBytes: 0, receivedBytes: 0 };
}

export async function answerRequest(exchange: Exchange): Promise<void> {
  const { request, record } = exchange;
  if (await answeredByFault(exchange)) return;
  if (record.kind !== 'token' && record.kind !== 'search' && refused(exchange)) return;
  const last = decodeURIComponent(new URL(record.path, 'http://x').pathname.split('/').pop() ?? '');
  switch (record.kind) {
    case 'base':
      return sendJson(exchange, 200, {});
    case 'token':
      return await answerToken(exchange);
    case 'manifest':
      return await answerManifest(exchange, last);
    case 'blob':
      return await answerBlob(exchange, last as Digest);
    case 'upload':
      return await answerUpload(exchange, last);
    case 'tags':
      return answerNames(exchange, 'tags', exchange.content.tags(record.repository ?? ''));
    case 'catalogue':
      return answerNames(exchange, 'repositories', exchange.content.repositories());
    case 'referrers':
      return answerReferrers(exchange, last as Digest);
    case 'search':
      return sendJson(exchange, 200, { query: '', num_results: exchange.searchResults.length, results: exchange.searchResults });
    default:
      request.resume();
      return sendError(exchange, 404, 'UNSUPPORTED', `there is no ${record.path}`);
  }
}

/** What needs no right answer. */
async function answeredByFault(exchange: Exchange): Promise<boolean> {
  const { fault, request, response, record } = exchange;
  switch (fault?.kind) {
    case 'answer': {
      await received(request, record);
      const { status, headers = {}, body = '' } = fault;
      if (typeof body === 'string') sendText(exchange, status, body, headers);
      else sendError(exchange, status, body.code, body.message, headers);
      return true;
    }
    case 'redirect': {
      await received(request, record);
      const location = typeof fault.location === 'string' ? fault.location : fault.location(record.path);
      sendText(exchange, fault.status ?? 307, '', { Location: location });
      return true;
    }
    case 'filler': {
      const length: Headers = fault.announced ? { 'Content-Length': fault.bytes } : {};
      head(exchange, 200, { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json', ...length });
      await body(exchange, filler(fault.bytes), null);
      return true;
    }
    case 'reset':
      resetConnection(response);
      return true;
    case 'silence':
      request.resume();
      return true;
    case 'late':
      await delay(fault.byMs);
      return false;
    default:
      return false;
  }
}

function refused(exchange: Exchange): boolean {
  const { record, request, gatekeeper, origin } = exchange;
  const action = record.kind === 'base' || record.kind === 'catalogue' ? null : actionOf(record);
  const challenge = gatekeeper.refuse(request.headers.authorization ?? '', origin, record.repository, action);
  if (challenge === null) return false;
  request.resume();
  const headers = challenge.header === null ? {} : { 'WWW-Authenticate': challenge.header };
  sendError(exchange, challenge.status, 'UNAUTHORIZED', 'authentication required', headers);
  return true;
}

function actionOf({ method, kind }: RecordedRequest): 'pull' | 'push' | 'delete' {
  if (method === 'DELETE' && kind !== 'upload') return 'delete';
  return kind === 'upload' || method === 'PUT' ? 'push' : 'pull';
}

async function answerToken(exchange: Exchange): Promise<void> {
  const { request, record, gatekeeper } = exchange;
  const text = (await received(request, record)).toString();
  const query = new URL(record.path, 'http://x').searchParams;
  const token = gatekeeper.issue(request.headers.authorization ?? '', query, request.method === 'POST' ? new URLSearchParams(text) : null);
  if (token === null) sendError(exchange, 401, 'UNAUTHORIZED', 'authentication required');
  else sendJson(exchange, 200, token);
}

async function answerManifest(exchange: Exchange, reference: string): Promise<void> {
  const { request, record, content, fault } = exchange;
  const repository = record.repository ?? '';
  const bytes = await received(request, record);
  if (record.method === 'PUT') return putManifest(exchange, repository, reference, bytes);
  if (record.method === 'DELETE') {
    if (content.removeManifest(repository, reference)) return sendText(exchange, 202, '');
    return sendError(exchange, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  }
  const found = content.manifest(repository, reference);
  if (found === undefined) return sendError(exchange, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  const sent = fault?.kind === 'body' ? fault.bytes : found.bytes;
  const delta = fault?.kind === 'length' ? fault.delta : 0;
  const length: Headers = fault?.kind === 'chunked' ? {} : { 'Content-Length': sent.length + delta };
  head(exchange, 200, { 'Content-Type': found.mediaType, 'Docker-Content-Digest': digestOf(found.bytes), ...length });
  await body(exchange, memorySource(sent).read(0, sent.length), fault);
}

function putManifest(exchange: Exchange, repository: string, reference: string, bytes: Buffer): void {
  const { request, content } = exchange;
  const digest = digestOf(bytes);
  if (isDigest(reference) && reference !== digest) return void sendError(exchange, 400, 'DIGEST_INVALID', 'provided digest did not match');
  content.addManifest(repository, isDigest(reference) ? null : reference, bytes, request.headers['content-type'] ?? '');
  const subject = (JSON.parse(bytes.toString()) as { subject?: { digest?: string } }).subject?.digest;
  const more: Headers = subject !== undefined && exchange.hasReferrersApi ? { 'OCI-Subject': subject } : {};
  sendText(exchange, 201, '', { Location: `/v2/${repository}/manifests/${digest}`, 'Docker-Content-Digest': digest, ...more });
}

async function answerBlob(exchange: Exchange, digest: Digest): Promise<void> {
  const { request, record, content, fault } = exchange;
  request.resume();
  const blob = content.blob(digest, record.repository ?? '');
  if (blob === undefined) return sendError(exchange, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  if (record.method === 'DELETE') {
    content.removeBlob(digest);
    return sendText(exchange, 202, '');
  }
  const total = fault?.kind === 'body' ? fault.bytes.length : blob.sizeBytes;
  const range = fault?.kind === 'ignore-range' ? null : rangeOf(request.headers.range, total, fault);
  if (range === 'unsatisfiable') return sendText(exchange, 416, '', { 'Content-Range': `bytes */${total}` });
  const { start, end } = range ?? { start: 0, end: total };
  const delta = fault?.kind === 'length' ? fault.delta : 0;
  const length: Headers = fault?.kind === 'chunked' ? {} : { 'Content-Length': end - start + delta };
  const part: Headers = range === null ? {} : contentRange(fault, `bytes ${start}-${end - 1}/${total}`);
  const common = { 'Content-Type': 'application/octet-stream', 'Docker-Content-Digest': digest, 'Accept-Ranges': 'bytes' };
  head(exchange, range === null ? 200 : 206, { ...common, ...length, ...part });
  const source = fault?.kind === 'body' ? memorySource(fault.bytes) : blob;
  await body(exchange, exchange.allowed(source.read(start, end)), fault);
}

function rangeOf(header: string | undefined, total: number, fault: Fault | null): { start: number; end: number } | null | 'unsatisfiable' {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return null;
  const shift = fault?.kind === 'shift-range' ? fault.byBytes : 0;
  const start = Math.max(0, Number(first) + shift);
  if (start >= total) return 'unsatisfiable';
  return { start, end: last === undefined || last === '' ? total : Math.min(total, Number(last) + 1) };
}

function contentRange(fault: Fault | null, right: string): Headers {
  if (fault?.kind !== 'content-range') return { 'Content-Range': right };
  return fault.value === null ? {} : { 'Content-Range': fault.value };
}

/** With the paging of the specification: n, last, Link. */
function answerNames(exchange: Exchange, key: 'tags' | 'repositories', names: readonly string[] | null): void {
  exchange.request.resume();
  if (names === null) return void sendError(exchange, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const url = new URL(exchange.record.path, exchange.origin);
  const limit = Number(url.searchParams.get('n') ?? 100);
  const last = url.searchParams.get('last');
  const rest = names.filter((name) => last === null || name > last);
  const page = rest.slice(0, limit);
  const next = rest.length > page.length && page.length > 0 ? { Link: `<${url.pathname}?n=${limit}&last=${page.at(-1)}>; rel="next"` } : {};
  sendJson(exchange, 200, key === 'tags' ? { name: exchange.record.repository, tags: page } : { repositories: page }, next);
}

function answerReferrers(exchange: Exchange, subject: Digest): void {
  exchange.request.resume();
  if (!exchange.hasReferrersApi) return void sendError(exchange, 404, 'UNSUPPORTED', 'page not found');
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const all = exchange.content.referrers(subject) as readonly { artifactType?: string }[];
  const wanted = new URL(exchange.record.path, 'http://x').searchParams.get('artifactType');
  const manifests = all.filter(({ artifactType }) => wanted === null || artifactType === wanted);
  const filtered: Headers = wanted === null ? {} : { 'OCI-Filters-Applied': 'artifactType' };
  sendText(exchange, 200, JSON.stringify({ schemaVersion: 2, mediaType, manifests }), { 'Content-Type': mediaType, ...filtered });
}
