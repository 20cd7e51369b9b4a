/**
 * The `Authorization` of requests to one registry or mirror: learned from its first challenge, then sent along without being asked.
 *
 *     request ─► 401 with challenge ─► basic:  the credentials, to this origin
 *                                   └► bearer: a token for the scopes, from the realm ─► kept until shortly before it expires
 *
 * Tokens are kept by host, realm, service, scopes and credentials. Many requests that need the same one at once wait for the same answer.
 */
import type { AddressRule } from './address-rule.ts';
import type { Challenge } from './challenge.ts';
import { parseChallenges } from './challenge.ts';
import { goMethod, withoutQuery } from './connection-failure.ts';
import type { HttpAnswer } from './http-transport.ts';
import { ruleAfter } from './redirect.ts';
import type { RegistryCredentials } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import type { Routes } from './routes.ts';
import { mergeScopes, splitScopes } from './scopes.ts';
import { judgeRealm } from './token-realm.ts';
import { askToken, basicValue, credentialsKey, secretsOf, type Token } from './token-server.ts';

/** Shared by everything that talks to registries in one process. */
export interface TokenStore {
  readonly tokens: Map<string, Promise<Token>>;
  /** How each registry wants to be asked, by host and credentials. */
  readonly challenges: Map<string, KnownChallenge>;
}

export type KnownChallenge =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | null; readonly addresses: AddressRule };

const storeLimit = 4096;

export interface AuthorizerOptions {
  /** `host[:port]` */
  readonly host: string;
  /** The domain that the credentials are kept by; null for a mirror, which gets none. */
  readonly domain: string | null;
  readonly isInsecure: boolean;
  readonly credentials: RegistryCredentials | null;
  readonly allowedRealms: Readonly<Record<string, readonly string[]>>;
  readonly isHostInsecure: (host: string) => boolean;
  readonly routes: Routes;
  readonly store: TokenStore;
  readonly stallMs: number;
  readonly userAgent: string;
}

export interface Authorizer {
  /** From what is known; null asks without. */
  header(scopes: readonly string[], signal?: AbortSignal): Promise<string | null>;
  /** After a 401: the header to try again with, or why there is none. `refused` is what the 401 was the answer to. */
  renew(answer: HttpAnswer, scopes: readonly string[], refused: string | null, signal?: AbortSignal): Promise<string>;
  /** Asks the realm for a refresh token too. Null when the registry has no realm. */
  offlineToken(signal?: AbortSignal): Promise<Token | null>;
  /** A refusal, with the reason where it is that the realm may not see the credentials. */
  explain(refusal: RegistryError): RegistryError;
  /** What must not be shown. */
  readonly secrets: readonly string[];
}

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { host, store } = options;
  const credentials = options.domain === null ? null : options.credentials;
  const owner = `${options.domain === null ? 'mirror' : 'registry'} ${host} ${credentialsKey(credentials)}`;

  const question = (known: KnownChallenge & { kind: 'bearer' }, scopes: readonly string[], isOffline: boolean, signal?: AbortSignal) => {
    const isSameName = known.realm.hostname === new URL(`http://${host}`).hostname;
    const isInsecure = options.isHostInsecure(known.realm.host) || (options.isInsecure && isSameName);
    if (known.realm.protocol !== 'https:' && !(options.isInsecure && isInsecure))
      throw failure('forbidden', host, `${host} asks for tokens from ${withoutQuery(known.realm)}: token servers must be asked over https`);
    const verdict = judgeRealm({ ...options, domain: options.domain ?? host, registryHost: host, realm: known.realm });
    const isStranger = verdict === 'stranger';
    return {
      isStranger,
      realm: known.realm,
      service: known.service,
      scopes,
      credentials: isStranger ? null : credentials,
      isOffline,
      // An administrator who allows a realm names it.
      addresses: verdict === 'same-host' || verdict === 'allowed' ? ('any' as const) : known.addresses,
      isVerified: !isInsecure,
      stallMs: options.stallMs,
      userAgent: options.userAgent,
      signal,
    };
  };

  const tokenFor = (known: KnownChallenge & { kind: 'bearer' }, scopes: readonly string[]): { key: string; token: Promise<Token> } => {
    const key = JSON.stringify([owner, known.realm.href, known.service, scopes]);
    const kept = store.tokens.get(key);
    const token = kept ? stillGood(kept) : fetchToken(known, scopes);
    if (token !== kept) remember(store.tokens, key, token);
    token.catch(() => store.tokens.get(key) === token && store.tokens.delete(key));
    return { key, token };

    async function stillGood(held: Promise<Token>): Promise<Token> {
      const found = await held;
      return found.expiresAt > performance.now() ? found : await fetchToken(known, scopes);
    }
  };

  const fetchToken = async (known: KnownChallenge & { kind: 'bearer' }, scopes: readonly string[]): Promise<Token> => {
    const asked = question(known, scopes, false);
    try {
      return await askToken(asked, options.routes);
    } catch (thrown) {
      if (asked.isStranger && credentials && thrown instanceof RegistryError) throw strangerRefused(known.realm, thrown);
      throw thrown;
    }
  };

  const strangerRefused = (realm: URL, cause: RegistryError): RegistryError =>
    new RegistryError('unauthorized', `${cause.message}: ${strangerText(realm)}`, cause.failure, { cause });

  const strangerText = (realm: URL): string =>
    `${host} asks for tokens from ${realm.host}, another host, which does not get to see the credentials of ${options.domain}. ` +
    `If it belongs to that registry, allow it: --registry-allowed-realm ${options.domain}=${realm.host}`;

  return {
    secrets: secretsOf(credentials),

    explain(refusal) {
      const known = store.challenges.get(owner);
      const isStranger = known?.kind === 'bearer' && credentials !== null && question(known, [], false).isStranger;
      return isStranger ? strangerRefused(known.realm, refusal) : refusal;
    },

    async header(scopes, signal) {
      signal?.throwIfAborted();
      if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`;
      const known = store.challenges.get(owner);
      if (!known) return null;
      if (known.kind === 'basic')
        return credentials?.kind === 'basic' ? `Basic ${basicValue(credentials.username, credentials.password)}` : null;
      return `Bearer ${(await tokenFor(known, mergeScopes(scopes)).token).token}`;
    },

    async renew(answer, scopes, refused, signal) {
      signal?.throwIfAborted();
      const challenges = parseChallenges(String(answer.headers['www-authenticate'] ?? ''));
      const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
      if (bearer && credentials?.kind !== 'registry-token') {
        const known = readBearer(bearer, answer);
        remember(store.challenges, owner, known);
        const wanted = mergeScopes(scopes, splitScopes(bearer.parameters.get('scope')));
        const { key, token } = tokenFor(known, wanted);
        const header = `Bearer ${(await token).token}`;
        if (header !== refused) return header;
        // Kept, but no longer liked: once more from the realm.
        if (store.tokens.get(key) === token) store.tokens.delete(key);
        return `Bearer ${(await tokenFor(known, wanted).token).token}`;
      }
      if (challenges.some(({ scheme }) => scheme === 'basic') && credentials?.kind === 'basic') {
        remember(store.challenges, owner, { kind: 'basic' });
        return `Basic ${basicValue(credentials.username, credentials.password)}`;
      }
      throw noWay(answer, challenges);
    },

    async offlineToken(signal) {
      const known = store.challenges.get(owner);
      if (known?.kind !== 'bearer') return null;
      const asked = question(known, [], true, signal);
      if (asked.isStranger && credentials)
        throw strangerRefused(known.realm, failure('unauthorized', host, 'unauthorized: authentication required'));
      return await askToken(asked, options.routes);
    },
  };

  function noWay(answer: HttpAnswer, challenges: readonly Challenge[]): RegistryError {
    const what = `${goMethod(answer.method)} "${withoutQuery(answer.url)}"`;
    if (challenges.some(({ scheme }) => scheme === 'basic') && credentials === null)
      return failure('unauthorized', host, `${what}: no basic auth credentials`);
    const offered = challenges.map(({ scheme }) => scheme).join(', ') || 'no scheme at all';
    return failure('unauthorized', host, `${what}: unauthorized: ${host} offers ${offered}, which the credentials at hand do not fit`);
  }

  function readBearer({ parameters }: Challenge, answer: HttpAnswer): KnownChallenge & { kind: 'bearer' } {
    const text = parameters.get('realm') ?? '';
    let realm: URL;
    try {
      realm = new URL(text);
    } catch {
      throw failure('unauthorized', host, `${host} asks for a token, but from no address: its realm is not a URL`);
    }
    if (realm.protocol !== 'https:' && realm.protocol !== 'http:')
      throw failure('unauthorized', host, `${host} asks for tokens from ${realm.protocol}, which is refused`);
    realm.username = '';
    realm.password = '';
    realm.hash = '';
    return { kind: 'bearer', realm, service: parameters.get('service') ?? null, addresses: ruleAfter(answer) };
  }
}

function failure(code: 'unauthorized' | 'forbidden', host: string, message: string): RegistryError {
  return new RegistryError(code, message, { host, status: 401, registryCode: 'UNAUTHORIZED', retryable: false });
}

/** The oldest goes when there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > storeLimit && !oldest.done) map.delete(oldest.value);
}
