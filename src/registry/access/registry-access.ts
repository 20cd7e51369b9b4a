/**
 * Who asks, and may he: the registry's access control, and the maker of its tokens.
 *
 *     Authorization: Basic   user and password           what the rules give the user
 *     Authorization: Bearer  a token of ours             what the token was made for, as far as the rules still give it to its user
 *     none                                               what everybody may read
 *
 *     nobody known, not enough    401, a challenge: where and how to say who one is
 *     a token for something else  401, insufficient_scope: the client asks for another token
 *     known, not allowed          403, whether the repository exists or not (it was not looked at)
 *
 * Rules and password file count at every request, so what a reload takes away is gone at once, whatever tokens say.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { AccessControl, AccessDecision, AccessRequest, AccessScope } from '../access.ts';
import type { AccessConfiguration, RateLimit } from '../configuration/registry-configuration.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { mayDo, servesAnybody } from './access-rules.ts';
import { signToken, type TokenClaims, verifyToken } from './json-web-token.ts';
import type { PasswordCheck } from './password-check.ts';
import { covers, type ScopeEntry, scopeText } from './scope.ts';
import type { TokenKeys } from './signing-keys.ts';
import { TokenBuckets } from './token-buckets.ts';

export interface RegistryAccessParts {
  readonly configuration: AccessConfiguration;
  readonly passwords: PasswordCheck;
  readonly keys: TokenKeys;
  /** What clients call us; null: what they say. */
  readonly url: string | null;
  readonly perUser: RateLimit | null;
}

export interface RegistryAccessOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Hears who asks: for the audit log. */
  readonly onIdentified?: (user: string | null) => void;
  /** Names that are no repositories, and that say themselves what may be read by them: sources of mounts that only the daemon can make. */
  readonly isOwnName?: (name: string) => boolean;
  /** Hears of passwords that are wrong and of tokens that are refused. */
  readonly onWrong?: (why: string, address: string) => void;
}

type Identity =
  /** `granted` null: by password, not limited to scopes. */
  | { readonly kind: 'known'; readonly user: string | null; readonly granted: readonly ScopeEntry[] | null }
  | { readonly kind: 'none' }
  | { readonly kind: 'wrong'; readonly why: string; readonly isToken: boolean };

export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedAt: Date;
  readonly granted: readonly ScopeEntry[];
}

/** What the token endpoint was given to know the client by. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'refresh'; readonly token: string };

const issuer = 'gantry-registry';
const maxKnownTokens = 2000;

export class RegistryAccess implements AccessControl {
  #parts: RegistryAccessParts;
  #userLimits: TokenBuckets | null;
  readonly #now: () => number;
  readonly #onIdentified: (user: string | null) => void;
  readonly #isOwnName: (name: string) => boolean;
  readonly #onWrong: (why: string, address: string) => void;
  /** Tokens whose signature was verified: a client sends one many times. */
  readonly #knownTokens = new Map<string, { readonly identity: Identity; readonly until: number }>();

  constructor(parts: RegistryAccessParts, options: RegistryAccessOptions = {}) {
    this.#parts = parts;
    this.#userLimits = bucketsOf(parts.perUser);
    this.#now = options.now ?? Date.now;
    this.#onIdentified = options.onIdentified ?? (() => {});
    this.#isOwnName = options.isOwnName ?? (() => false);
    this.#onWrong = options.onWrong ?? (() => {});
  }

  replace(parts: RegistryAccessParts): void {
    if (JSON.stringify(parts.perUser) !== JSON.stringify(this.#parts.perUser)) this.#userLimits = bucketsOf(parts.perUser);
    this.#parts = parts;
    this.#knownTokens.clear();
  }

  async decide(request: AccessRequest, scope: AccessScope): Promise<AccessDecision> {
    const { configuration } = this.#parts;
    if (configuration.htpasswd === null) return { kind: 'granted', user: null };
    const identity = await this.#identify(request);
    if (identity.kind === 'wrong') {
      this.#onWrong(identity.why, request.address);
      return this.#challenge(request, scope, identity.why, identity.isToken ? 'invalid_token' : null);
    }
    const user = identity.kind === 'known' ? identity.user : null;
    this.#onIdentified(user);
    if (user !== null && request.isListEntry !== true) this.#countRequest(user);
    if (scope.kind === 'repository' && scope.actions.every((action) => action === 'pull') && this.#isOwnName(scope.name))
      return { kind: 'granted', user };
    if (!this.#allows(user, scope, identity.kind === 'known' || request.isBrowser === true))
      return user === null
        ? this.#challenge(request, scope, 'authentication required', identity.kind === 'known' ? 'insufficient_scope' : null)
        : { kind: 'denied', message: `requested access to the resource is denied: ${JSON.stringify(user)} may not do that here` };
    const granted = identity.kind === 'known' ? identity.granted : null;
    if (granted !== null && request.isListEntry !== true && !covers(granted, scope))
      return this.#challenge(request, scope, 'the token is for something else', 'insufficient_scope');
    return { kind: 'granted', user };
  }

  /** For the token endpoint. Null: these credentials are nobody's. `UNAUTHORIZED` where only those with a password are served. */
  async userOf(credentials: Credentials, address: string): Promise<{ readonly user: string | null } | null> {
    const { configuration } = this.#parts;
    if (credentials.kind === 'none') return servesAnybody(configuration) ? { user: null } : null;
    if (credentials.kind === 'refresh') return this.#userOfRefreshToken(credentials.token);
    return (await this.#isPassword(credentials.user, credentials.password, address)) ? { user: credentials.user } : null;
  }

  /** For what of `wanted` the rules give: a token for less than was asked for is no error. */
  issue(user: string | null, wanted: readonly ScopeEntry[]): IssuedToken {
    const { configuration, keys } = this.#parts;
    const granted = wanted.map((entry) => this.#grant(user, entry)).filter(({ actions }) => actions.length > 0);
    const issuedAt = new Date(this.#now());
    const { service, lifetimeMs } = configuration.token;
    const claims = { ...this.#claims(user, service, lifetimeMs), access: granted };
    return { token: signToken(claims, keys.signing), expiresInSeconds: Math.floor(lifetimeMs / 1000), issuedAt, granted };
  }

  /** Good for tokens until it expires, or its user has another password. */
  issueRefreshToken(user: string): string {
    const { configuration, keys } = this.#parts;
    const { service, refreshLifetimeMs } = configuration.token;
    return signToken({ ...this.#claims(user, refreshAudience(service), refreshLifetimeMs), pwd: this.#passwordMark(user) }, keys.signing);
  }

  get service(): string {
    return this.#parts.configuration.token.service;
  }

  /** Where nobody is asked for a password, there are no tokens. */
  get asksForPasswords(): boolean {
    return this.#parts.configuration.htpasswd !== null;
  }

  #allows(user: string | null, scope: AccessScope, wasAsked: boolean): boolean {
    const { configuration } = this.#parts;
    if (scope.kind === 'repository') return scope.actions.every((action) => mayDo(configuration, user, scope.name, action));
    if (scope.kind === 'catalogue') return user !== null || servesAnybody(configuration);
    // `docker login` asks for nothing else: without a challenge here it would take any password for right. A token without a user is an answer to it, and the page has
    // a place of its own to log in.
    return user !== null || (wasAsked && servesAnybody(configuration));
  }

  async #identify(request: AccessRequest): Promise<Identity> {
    const [, scheme = '', value = ''] = /^(\w+) +(\S+) *$/.exec(request.authorization ?? '') ?? [];
    if (request.authorization === null) return { kind: 'none' };
    if (scheme.toLowerCase() === 'bearer') return this.#identityOfToken(value);
    if (scheme.toLowerCase() !== 'basic') return { kind: 'wrong', why: 'this way of authentication is not known here', isToken: false };
    const [user, password] = basicParts(value);
    const isRight = await this.#isPassword(user, password, request.address);
    return isRight ? { kind: 'known', user, granted: null } : { kind: 'wrong', why: 'incorrect username or password', isToken: false };
  }

  async #isPassword(user: string, password: string, address: string): Promise<boolean> {
    const verdict = await this.#parts.passwords.check(user, password, address);
    if (verdict.kind === 'too-often')
      throw new RegistryRefusal(
        'TOOMANYREQUESTS',
        'too many attempts with a wrong password: try again later',
        null,
        429,
        verdict.retryAfterSeconds,
      );
    return verdict.kind === 'right';
  }

  #identityOfToken(token: string): Identity {
    const known = this.#knownTokens.get(token);
    const now = this.#now();
    const identity = known !== undefined && known.until > now ? known.identity : this.#verify(token, now);
    // Its user may have gone since.
    if (identity.kind === 'known' && identity.user !== null && !this.#parts.passwords.hasUser(identity.user))
      return { kind: 'wrong', why: 'the user of this token is no longer there', isToken: true };
    return identity;
  }

  #verify(token: string, now: number): Identity {
    const { configuration, keys } = this.#parts;
    const verified = verifyToken(token, keys.verifying, { issuer, audience: configuration.token.service, now });
    if (verified.kind === 'refused') return { kind: 'wrong', why: `the token is refused: ${verified.why}`, isToken: true };
    const { sub, access, exp } = verified.claims;
    const identity: Identity = {
      kind: 'known',
      user: typeof sub === 'string' && sub !== '' ? sub : null,
      granted: Array.isArray(access) ? access : [],
    };
    this.#knownTokens.set(token, { identity, until: (exp as number) * 1000 });
    const oldest = this.#knownTokens.keys().next();
    if (this.#knownTokens.size > maxKnownTokens && !oldest.done) this.#knownTokens.delete(oldest.value);
    return identity;
  }

  #userOfRefreshToken(token: string): { readonly user: string } | null {
    const { configuration, keys, passwords } = this.#parts;
    const audience = refreshAudience(configuration.token.service);
    const verified = verifyToken(token, keys.verifying, { issuer, audience, now: this.#now() });
    if (verified.kind === 'refused' || typeof verified.claims.sub !== 'string') return null;
    const user = verified.claims.sub;
    return passwords.hasUser(user) && verified.claims.pwd === this.#passwordMark(user) ? { user } : null;
  }

  #grant(user: string | null, entry: ScopeEntry): ScopeEntry {
    const { configuration } = this.#parts;
    if (entry.type === 'registry') return { ...entry, actions: this.#allows(user, { kind: 'catalogue' }, true) ? entry.actions : [] };
    const actions = entry.actions.filter((action) => mayDo(configuration, user, entry.name, action as 'pull'));
    return { ...entry, actions };
  }

  #claims(user: string | null, audience: string, lifetimeMs: number): TokenClaims {
    const now = Math.floor(this.#now() / 1000);
    return { iss: issuer, sub: user ?? '', aud: audience, iat: now, nbf: now, exp: now + Math.floor(lifetimeMs / 1000), jti: randomUUID() };
  }

  /** Changes with the password. The hash is salted: nothing can be learned from it. */
  #passwordMark(user: string): string {
    return createHash('sha256')
      .update(this.#parts.passwords.hashOf(user) ?? '')
      .digest('base64url')
      .slice(0, 22);
  }

  #countRequest(user: string): void {
    const seconds = this.#userLimits?.takeOrWait(user) ?? 0;
    if (seconds > 0)
      throw new RegistryRefusal('TOOMANYREQUESTS', 'too many requests of this user: try again later', null, 429, Math.ceil(seconds));
  }

  #challenge(request: AccessRequest, scope: AccessScope, message: string, error: string | null): AccessDecision {
    const { configuration, url } = this.#parts;
    if (request.isBrowser === true || configuration.scheme === 'basic')
      return { kind: 'challenge', challenge: `Basic realm="${configuration.token.service}", charset="UTF-8"`, message };
    const wanted = scopeText(scope);
    const members = [
      `realm="${url ?? request.origin}/token"`,
      `service="${configuration.token.service}"`,
      ...(wanted === null ? [] : [`scope="${wanted}"`]),
      ...(error === null ? [] : [`error="${error}"`]),
    ];
    return { kind: 'challenge', challenge: `Bearer ${members.join(',')}`, message };
  }
}

function bucketsOf(limit: RateLimit | null): TokenBuckets | null {
  return limit === null ? null : new TokenBuckets(limit);
}

function refreshAudience(service: string): string {
  return `${service}/refresh`;
}

/** RFC 7617: the first colon ends the user. */
export function basicParts(encoded: string): readonly [user: string, password: string] {
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? [decoded, ''] : [decoded.slice(0, colon), decoded.slice(colon + 1)];
}
