/**
 * Signed tokens (JWS, RFC 7515; claims of RFC 7519), as far as a registry needs them: made and verified by one party.
 *
 *     base64url({"alg":"EdDSA","typ":"JWT","kid":K}) . base64url(claims) . base64url(signature)
 *
 * Verification takes nothing from the token but the name of the key (SECURITY.md row 27): the algorithm is EdDSA, the key is one of ours, and a header with a key or a
 * certificate of its own (`jwk`, `jku`, `x5c`, `x5u`), or with `crit`, is refused. Text is compared as it came: no second encoding of the same token is taken.
 */
import { type KeyObject, sign, verify } from 'node:crypto';

export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly id: string;
  readonly privateKey: KeyObject;
}

export type VerifyingKeys = ReadonlyMap<string, KeyObject>;

export type TokenClaims = Readonly<Record<string, unknown>>;

/** What must agree. */
export interface TokenExpectation {
  readonly issuer: string;
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export type Verified = { readonly kind: 'valid'; readonly claims: TokenClaims } | { readonly kind: 'refused'; readonly why: string };

/** Clocks differ a little, also ours before and after it was set right. */
const leewaySeconds = 30;
/** Access to many repositories in one token is some kilobytes. */
const maxTokenBytes = 64 * 1024;
const foreignKeys = ['jwk', 'jku', 'x5c', 'x5u', 'x5t', 'x5t#S256', 'crit', 'b64', 'zip', 'enc'];

export function signToken(claims: TokenClaims, key: SigningKey): string {
  const signed = `${encode({ alg: 'EdDSA', typ: 'JWT', kid: key.id })}.${encode(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key.privateKey).toString('base64url')}`;
}

export function verifyToken(token: string, keys: VerifyingKeys, expected: TokenExpectation): Verified {
  if (token.length > maxTokenBytes) return refused('it is too long');
  const match = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(token);
  if (match === null) return refused('it is no signed token');
  const [, head = '', body = '', signature = ''] = match;
  const key = keyOf(decode(head), keys);
  if (typeof key === 'string') return refused(key);
  const bytes = Buffer.from(signature, 'base64url');
  if (bytes.toString('base64url') !== signature || !verify(null, Buffer.from(`${head}.${body}`), key, bytes))
    return refused('its signature is not ours');
  const claims = decode(body);
  return claims === null ? refused('it holds no claims') : checkClaims(claims, expected);
}

/** The key, or why there is none. */
function keyOf(header: TokenClaims | null, keys: VerifyingKeys): KeyObject | string {
  if (header === null) return 'it has no header';
  if (header.alg !== 'EdDSA') return 'its algorithm is not the one we sign with';
  if (foreignKeys.some((name) => Object.hasOwn(header, name))) return 'it brings a key of its own';
  const key = typeof header.kid === 'string' ? keys.get(header.kid) : undefined;
  return key ?? 'its key is none of ours';
}

function checkClaims(claims: TokenClaims, { issuer, audience, now }: TokenExpectation): Verified {
  const seconds = now / 1000;
  if (claims.iss !== issuer) return refused('somebody else issued it');
  if (claims.aud !== audience) return refused('it is for another service');
  if (!isTime(claims.exp) || claims.exp + leewaySeconds < seconds) return refused('it has expired');
  if (!isTime(claims.nbf) || claims.nbf - leewaySeconds > seconds) return refused('it is not valid yet');
  return { kind: 'valid', claims };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function refused(why: string): Verified {
  return { kind: 'refused', why };
}

function encode(value: TokenClaims): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): TokenClaims | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as TokenClaims) : null;
  } catch {
    return null;
  }
}
