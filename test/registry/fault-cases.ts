/**
 * Every fault of the fault registry against one pull: what the pull makes of it. In each case the image has layers of its own, the fault meets its second layer (or
 * its manifest), and afterwards the registry is well again.
 */

import type { FaultRegistry } from '../harness/fault-registry/fault-registry.ts';
import type { Fault, FaultRule, RequestPattern } from '../harness/fault-registry/faults.ts';
import type { MadeImage } from '../harness/registry-images.ts';

export interface FaultCase {
  readonly on: RequestPattern | ((image: MadeImage) => RequestPattern);
  readonly fault: Fault | ((registry: FaultRegistry, other: FaultRegistry) => Fault);
  readonly more?: Pick<FaultRule, 'skip' | 'times'>;
  /** Another one, planned behind it. */
  readonly behind?: { readonly on: (image: MadeImage) => RequestPattern; readonly fault: Fault };
  /** What a failed pull says; without it the pull succeeds all the same. */
  readonly says?: RegExp;
  /** Bytes of the second layer that the registry may have sent, as a multiple of its size; 1 unless told. */
  readonly layerTimes?: number;
}

const always = { times: Number.POSITIVE_INFINITY } as const;
const manifest: RequestPattern = { kind: 'manifest', method: 'GET' };
/** Pulls ask with HEAD before, or with GET at once. */
const anyManifest: RequestPattern = { kind: 'manifest' };
const secondLayer = ({ layers }: MadeImage): RequestPattern => ({ kind: 'blob', method: 'GET', path: new RegExp(layers[1]?.digest ?? '') });
const rest = ({ layers }: MadeImage): RequestPattern => ({
  kind: 'blob',
  method: 'GET',
  path: new RegExp(layers[1]?.digest ?? ''),
  ranged: true,
});
const config = ({ config: { digest } }: MadeImage): RequestPattern => ({ kind: 'blob', method: 'GET', path: new RegExp(digest) });
const tooMany = (seconds: number): Fault => ({
  kind: 'answer',
  status: 429,
  headers: { 'Retry-After': String(seconds) },
  body: { code: 'TOOMANYREQUESTS', message: 'too many requests' },
});
const unavailable: Fault = {
  kind: 'answer',
  status: 503,
  headers: { 'Retry-After': '1' },
  body: { code: 'UNAVAILABLE', message: 'be patient' },
};
const cut: Fault = { kind: 'truncate', atByte: 100_000 };

export const survivedFaults: Readonly<Record<string, FaultCase>> = {
  'a layer that ends too early': { on: secondLayer, fault: cut },
  'a layer whose connection is reset in its middle': { on: secondLayer, fault: { ...cut, how: 'reset' }, layerTimes: 2 },
  'a layer cut again and again': { on: secondLayer, fault: { kind: 'truncate', atByte: 90_000 }, more: { times: 3 } },
  'a connection that is reset before the answer': { on: secondLayer, fault: { kind: 'reset' } },
  'a manifest that ends too early': { on: manifest, fault: { kind: 'truncate', atByte: 50 } },
  'a config that ends too early': { on: config, fault: { kind: 'truncate', atByte: 50 } },
  '503 with Retry-After, of a layer': { on: secondLayer, fault: unavailable },
  '503 with Retry-After, of the manifest': { on: anyManifest, fault: unavailable },
  '429 with Retry-After, of a layer': { on: secondLayer, fault: tooMany(1) },
  'a flipped bit, once': { on: secondLayer, fault: { kind: 'flip', atByte: 70_000 }, layerTimes: 2 },
  'a flipped bit of the config, once': { on: config, fault: { kind: 'flip', atByte: 40 } },
  'a layer without a length': { on: secondLayer, fault: { kind: 'chunked' } },
  'a layer in drops': { on: secondLayer, fault: { kind: 'drip', pieceBytes: 20_000, everyMs: 5 } },
  'an answer that is late': { on: anyManifest, fault: { kind: 'late', byMs: 300 } },
  'ranges that are ignored': { on: secondLayer, fault: cut, behind: { on: rest, fault: { kind: 'ignore-range' } }, layerTimes: 2 },
  'a range that is not satisfiable': {
    on: secondLayer,
    fault: cut,
    behind: { on: rest, fault: { kind: 'answer', status: 416 } },
    layerTimes: 2,
  },
  'another part than was asked for': {
    on: secondLayer,
    fault: cut,
    behind: { on: rest, fault: { kind: 'shift-range', byBytes: -7 } },
    layerTimes: 3,
  },
  'a later part than was asked for': {
    on: secondLayer,
    fault: cut,
    behind: { on: rest, fault: { kind: 'shift-range', byBytes: 7 } },
    layerTimes: 3,
  },
  'a part without Content-Range': {
    on: secondLayer,
    fault: cut,
    behind: { on: rest, fault: { kind: 'content-range', value: null } },
    layerTimes: 3,
  },
  'a part that says it is another': {
    on: secondLayer,
    fault: cut,
    behind: { on: rest, fault: { kind: 'content-range', value: 'bytes 0-5/6' } },
    layerTimes: 3,
  },
  'a redirect to another host': {
    on: secondLayer,
    fault: (_, other) => ({ kind: 'redirect', location: (path) => `${other.url}${path}` }),
    layerTimes: 0,
  },
  'a redirect on the same host': { on: secondLayer, fault: ({ url }) => ({ kind: 'redirect', location: (path) => `${url}${path}?again` }) },
};

const authLoop: Fault = {
  kind: 'answer',
  status: 401,
  headers: { 'WWW-Authenticate': 'Basic realm="again"' },
  body: { code: 'UNAUTHORIZED', message: 'authentication required' },
};

export const fatalFaults: Readonly<Record<string, FaultCase>> = {
  'SEC-23: a flipped bit of a layer, every time': {
    on: secondLayer,
    fault: { kind: 'flip', atByte: 70_000 },
    more: always,
    says: /verification failed for digest sha256:[0-9a-f]{64}/,
    layerTimes: 2,
  },
  'SEC-23: a flipped bit of the config, every time': {
    on: config,
    fault: { kind: 'flip', atByte: 40 },
    more: always,
    says: /digest|bytes/,
  },
  'SEC-23: other bytes under the manifest’s digest': {
    on: manifest,
    fault: { kind: 'body', bytes: Buffer.from('{"schemaVersion":2}') },
    more: always,
    says: /digest|announced as sha256/i,
  },
  'SEC-23: a layer that never comes whole': {
    on: secondLayer,
    fault: { kind: 'truncate', atByte: 0 },
    more: always,
    says: /cut|ended|closed|bytes|EOF/i,
  },
  'SEC-24: a manifest announced as an index': {
    on: manifest,
    fault: { kind: 'headers', set: { 'Content-Type': 'application/vnd.oci.image.index.v1+json' } },
    more: always,
    says: /announced|media ?type|says it is/i,
  },
  'a page of a hotel instead of a registry': {
    on: anyManifest,
    fault: { kind: 'answer', status: 200, headers: { 'Content-Type': 'text/html' }, body: '<html><body>Please log in</body></html>' },
    more: always,
    says: /text\/html|not valid JSON|media ?type|manifest/i,
  },
  'SEC-29: a manifest of 1 GiB': {
    on: anyManifest,
    fault: { kind: 'filler', bytes: 2 ** 30, announced: true },
    more: always,
    says: /larger than|limit|too large/,
  },
  'SEC-29: a manifest without end': {
    on: anyManifest,
    fault: { kind: 'filler', bytes: Number.POSITIVE_INFINITY, announced: false },
    more: always,
    says: /larger than|limit|too large/,
  },
  'a layer without end': {
    on: secondLayer,
    fault: { kind: 'filler', bytes: Number.POSITIVE_INFINITY, announced: false },
    more: always,
    says: /bytes|announced|digest/,
    layerTimes: Number.POSITIVE_INFINITY,
  },
  'a length that promises more': {
    on: secondLayer,
    fault: { kind: 'length', delta: 1000 },
    more: always,
    says: /301279|bytes to come/,
    layerTimes: 2,
  },
  'a length that promises less': {
    on: secondLayer,
    fault: { kind: 'length', delta: -1000 },
    more: always,
    says: /bytes to come/,
    layerTimes: 2,
  },
  '429 that asks for an hour': { on: secondLayer, fault: tooMany(3600), more: always, says: /too many requests/i },
  '503, every time': {
    on: secondLayer,
    fault: { ...unavailable, headers: { 'Retry-After': '0' } },
    more: always,
    says: /503|be patient|unavailable/i,
  },
  'a denied layer': {
    on: secondLayer,
    fault: { kind: 'answer', status: 403, body: { code: 'DENIED', message: 'not for you' } },
    more: always,
    says: /not for you|denied/i,
  },
  'a layer that the registry lost': {
    on: secondLayer,
    fault: { kind: 'answer', status: 404, body: { code: 'BLOB_UNKNOWN', message: 'blob unknown to registry' } },
    more: always,
    says: /blob unknown|not found/i,
  },
  '401 again and again': { on: anyManifest, fault: authLoop, more: always, says: /authentication required|unauthorized/i },
  'an error in plain text': { on: anyManifest, fault: { kind: 'answer', status: 500, body: 'boom' }, more: always, says: /500|boom/ },
  'a redirect in a circle': {
    on: secondLayer,
    fault: ({ url }) => ({ kind: 'redirect', location: (path) => `${url}${path}` }),
    more: always,
    says: /redirect/i,
  },
  'SEC-28: a redirect to the metadata address': {
    on: secondLayer,
    fault: { kind: 'redirect', location: 'http://169.254.169.254/latest/meta-data/' },
    more: always,
    says: /169\.254\.169\.254/,
  },
  'a redirect to nowhere': {
    on: secondLayer,
    fault: { kind: 'redirect', location: 'http://[' },
    more: always,
    says: /redirect|location/i,
  },
  'a redirect to a file': {
    on: secondLayer,
    fault: { kind: 'redirect', location: 'file:///etc/passwd' },
    more: always,
    says: /redirect|file:/i,
  },
};
