/** Redirects, followed by hand: where the next request may go. Credentials are the business of whoever sends it, and they stay at their origin. */
import { type AddressRule, literalAddress, reachOf } from './address-rule.ts';
import type { HttpAnswer } from './http-transport.ts';
import { RegistryError } from './registry-error.ts';

const hopLimit = 5;

export interface Hop {
  readonly url: URL;
  /** No further in than the server that sent us there. */
  readonly addresses: AddressRule;
}

export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** `hops`: how many were followed before. */
export function nextHop(answer: HttpAnswer, hops: number): Hop {
  if (hops >= hopLimit) throw refusal(answer, `more than ${hopLimit} times`);
  return locationOf(answer);
}

/** Where the `Location` of an answer points, if one may go there. */
export function locationOf(answer: HttpAnswer): Hop {
  const { url: from, headers } = answer;
  if (headers.location === undefined) throw refusal(answer, 'nowhere: its answer has no Location');
  let url: URL;
  try {
    url = new URL(headers.location, from);
  } catch {
    throw refusal(answer, 'to something that is not a URL');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refusal(answer, `to ${url.protocol}, which is refused`);
  // A registry behind a TLS proxy that does not know so: meant is where it was just reached.
  if (url.protocol === 'http:' && from.protocol === 'https:' && (url.host === from.host || url.host === `${from.hostname}:80`))
    url = new URL(from.origin + url.pathname + url.search);
  if (url.protocol === 'http:' && from.protocol === 'https:') throw refusal(answer, `from https to http (${url.host}), which is refused`);
  url.username = '';
  url.password = '';
  url.hash = '';
  return { url, addresses: ruleAfter(answer) };
}

function refusal(answer: HttpAnswer, why: string): RegistryError {
  const { host } = answer.url;
  answer.body.destroy();
  return new RegistryError('unavailable', `${host} redirects ${why}`, {
    host,
    status: answer.status,
    registryCode: null,
    retryable: false,
  });
}

/** What the server at the other end may send us to. Behind a proxy nobody knows its address: it counts as public, unless it was named by address. */
export function ruleAfter(answer: HttpAnswer): AddressRule {
  const address = answer.address ?? literalAddress(answer.url.hostname);
  const reach = address === null ? 'public' : reachOf(address);
  return reach === 'never' ? 'public' : reach;
}
