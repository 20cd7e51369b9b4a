/**
 * One POST to the receiver of a webhook. The body is signed: `X-Gantry-Signature: sha256=<hex>` is its HMAC-SHA256 under the secret; it holds the event's id and time, so a
 * receiver can tell repetitions. Redirects are not followed. An administrator names the receiver and may name any address but those where clouds keep their machines'
 * credentials (link-local, metadata): whatever its name resolves to is looked at in the connection's own lookup (SECURITY.md row 28).
 */
import { createHmac } from 'node:crypto';
import { lookup as lookupName } from 'node:dns';
import { type ClientRequest, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { errorText } from '../../base/errors.ts';
import { literalAddress, reachOf } from '../../distribution/address-rule.ts';

export interface Delivery {
  readonly id: string;
  readonly url: string;
  readonly secret: string | null;
  readonly contentType: string;
  readonly body: string;
}

/** Final: the receiver has seen it and does not want it, or may never be asked. */
export type DeliveryAnswer = { readonly kind: 'delivered' } | { readonly kind: 'failed'; readonly why: string; readonly isFinal: boolean };

const patienceMs = 15_000;
/** 4xx that mean "not now". */
const later = [408, 425, 429];

export function sendWebhook(delivery: Delivery, signal: AbortSignal): Promise<DeliveryAnswer> {
  const url = new URL(delivery.url);
  const literal = literalAddress(url.hostname);
  if (literal !== null && reachOf(literal) === 'never') return Promise.resolve(forbidden(literal));
  const options: RequestOptions = {
    method: 'POST',
    headers: headersOf(delivery),
    lookup: guardedLookup,
    signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    agent: false,
  };
  return new Promise((resolve) => {
    const request: ClientRequest = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (response) => {
      response.resume();
      resolve(answerOf(response));
    });
    request.on('error', (error) => resolve(error instanceof ForbiddenAddress ? forbidden(error.address) : failed(errorText(error))));
    request.end(delivery.body);
  });
}

export function signatureOf(body: string, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

function headersOf({ id, secret, contentType, body }: Delivery): Readonly<Record<string, string | number>> {
  return {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'User-Agent': 'gantry-registry',
    'X-Gantry-Delivery': id,
    ...(secret === null ? {} : { 'X-Gantry-Signature': signatureOf(body, secret) }),
  };
}

function answerOf({ statusCode = 0 }: IncomingMessage): DeliveryAnswer {
  if (statusCode >= 200 && statusCode < 300) return { kind: 'delivered' };
  const isFinal = statusCode >= 400 && statusCode < 500 && !later.includes(statusCode);
  return { kind: 'failed', why: `it answered ${statusCode}`, isFinal };
}

class ForbiddenAddress extends Error {
  readonly address: string;
  constructor(address: string) {
    super(`${address} is link-local`);
    this.address = address;
  }
}

const guardedLookup: LookupFunction = (hostname, options, done) => {
  lookupName(hostname, { ...options, all: true }, (failure, addresses) => {
    if (failure !== null) return done(failure, []);
    const allowed = addresses.filter(({ address }) => reachOf(address) !== 'never');
    const [first] = allowed;
    if (first === undefined) return done(new ForbiddenAddress(addresses[0]?.address ?? hostname), []);
    if (options.all) done(null, allowed);
    else done(null, first.address, first.family);
  });
};

function failed(why: string): DeliveryAnswer {
  return { kind: 'failed', why, isFinal: false };
}

function forbidden(address: string): DeliveryAnswer {
  return { kind: 'failed', why: `${address} is an address that webhooks are never sent to (link-local, metadata services)`, isFinal: true };
}
