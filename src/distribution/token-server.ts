/**
 * Tokens from a registry's realm: `GET` as Docker's token specification has it, or `POST` with a refresh token (OAuth 2).
 *
 * The realm was named by the registry, so it is asked under the rules of `token-realm.ts` (who sees credentials) and `address-rule.ts` (which addresses it may have).
 */
import { hash } from 'node:crypto';
import { isObject, parseJsonObject } from '../oci/json.ts';
import type { AddressRule } from './address-rule.ts';
import { answerFailure } from './answer-failure.ts';
import { discard, exchange, type HttpAnswer, type HttpRequest, readWhole } from './http-transport.ts';
import { isRedirect, nextHop } from './redirect.ts';
import type { RegistryCredentials } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import type { Routes } from './routes.ts';

export interface TokenQuestion {
  readonly realm: URL;
  readonly service: string | null;
  readonly scopes: readonly string[];
  /** Null: anonymous. */
  readonly credentials: RegistryCredentials | null;
  /** Asks for a refresh token too (`login`). */
  readonly isOffline: boolean;
  readonly addresses: AddressRule;
  readonly isVerified: boolean;
  readonly stallMs: number;
  readonly userAgent: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Token {
  readonly token: string;
  /** By `performance.now()`. */
  readonly expiresAt: number;
  /** Empty where the realm gives none. */
  readonly refreshToken: string;
}

const clientId = 'gantry';
const answerLimitBytes = 1024 * 1024;
/** It goes along with every request, and thousands are kept. */
const tokenLimitBytes = 64 * 1024;
/** The specification's, where the answer has none. */
const defaultLifeSeconds = 60;
/** A token is not used in its last moments: it has a way to go. */
const marginSeconds = 10;

export async function askToken(question: TokenQuestion, routes: Routes): Promise<Token> {
  const answer = await follow(question, routes);
  const secrets = secretsOf(question.credentials);
  if (answer.status !== 200) throw await answerFailure(answer, secrets);
  const bytes = await readWhole(answer, answerLimitBytes, question.stallMs, 'the token');
  return readToken(bytes, question.realm.host);
}

export function readToken(bytes: Uint8Array, host: string): Token {
  const bad = (why: string) =>
    new RegistryError('unavailable', `token server ${host}: ${why}`, { host, status: 200, registryCode: null, retryable: false });
  let document: unknown;
  try {
    document = parseJsonObject(bytes, 'its answer');
  } catch {
    throw bad('its answer is not a JSON object');
  }
  const { token, access_token, expires_in, refresh_token } = isObject(document) ? document : {};
  const text = typeof token === 'string' && token !== '' ? token : access_token;
  if (typeof text !== 'string' || text === '') throw bad('authorization server did not include a token in the response');
  // A header is made of it.
  if (!/^[\x21-\x7e]+$/.test(text)) throw bad('its token holds characters that no token has');
  if (text.length > tokenLimitBytes) throw bad(`its token is longer than ${tokenLimitBytes} bytes`);
  const seconds = typeof expires_in === 'number' && expires_in > 0 ? Math.min(expires_in, 86_400) : defaultLifeSeconds;
  const life = Math.max(seconds - marginSeconds, seconds / 2);
  return { token: text, expiresAt: performance.now() + life * 1000, refreshToken: typeof refresh_token === 'string' ? refresh_token : '' };
}

/** For keys of caches: never the secret itself. */
export function credentialsKey(credentials: RegistryCredentials | null): string {
  return credentials === null ? '' : hash('sha256', JSON.stringify(credentials), 'base64');
}

/** What must never be shown. */
export function secretsOf(credentials: RegistryCredentials | null): readonly string[] {
  if (credentials === null) return [];
  if (credentials.kind !== 'basic') return [credentials.token];
  return [credentials.password, basicValue(credentials.username, credentials.password)];
}

export function basicValue(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

async function follow(question: TokenQuestion, routes: Routes): Promise<HttpAnswer> {
  let request = firstRequest(question);
  let addresses = question.addresses;
  let { isVerified } = question;
  for (let hops = 0; ; hops++) {
    const answer = await exchange(request, await routes.to(request.url, addresses, isVerified));
    if (!isRedirect(answer.status) || request.method !== 'GET') return answer;
    const hop = nextHop(answer, hops);
    discard(answer);
    const { authorization, ...others } = request.headers;
    const isSame = hop.url.origin === request.url.origin;
    request = { ...request, url: hop.url, headers: isSame && authorization ? { ...others, authorization } : others };
    if (!isSame) ({ addresses, isVerified } = { addresses: hop.addresses, isVerified: true });
  }
}

function firstRequest(question: TokenQuestion): HttpRequest {
  const { realm, service, scopes, credentials, isOffline, userAgent, signal } = question;
  const common = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': userAgent };
  if (credentials?.kind === 'identity-token') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: credentials.token, client_id: clientId });
    if (service !== null) form.set('service', service);
    if (scopes.length > 0) form.set('scope', scopes.join(' '));
    const headers = { ...common, 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: realm, headers, body: Buffer.from(form.toString()), signal };
  }
  const url = new URL(realm);
  if (service !== null) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (isOffline) {
    url.searchParams.set('offline_token', 'true');
    url.searchParams.set('client_id', clientId);
  }
  if (credentials?.kind !== 'basic') return { method: 'GET', url, headers: common, signal };
  url.searchParams.set('account', credentials.username);
  const authorization = `Basic ${basicValue(credentials.username, credentials.password)}`;
  return { method: 'GET', url, headers: { ...common, authorization }, signal };
}
