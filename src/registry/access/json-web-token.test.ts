import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { property as forAll, integer, nat, assert as property, tuple } from 'fast-check';
import { type SigningKey, signToken, verifyToken } from './json-web-token.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const seconds = now / 1000;
const expected = { issuer: 'us', audience: 'registry', now };
const claims = { iss: 'us', aud: 'registry', sub: 'alice', nbf: seconds, exp: seconds + 300 };

function makeKey(id: string): SigningKey & { readonly publicKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { id, privateKey, publicKey };
}

const ours = makeKey('ours');
const attackers = makeKey('ours');
const keys = new Map([['ours', ours.publicKey]]);

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function forged(header: unknown, body: unknown, signature: (text: Buffer) => Buffer): string {
  const text = `${encode(header)}.${encode(body)}`;
  return `${text}.${signature(Buffer.from(text)).toString('base64url')}`;
}

const byOurs = (text: Buffer): Buffer => sign(null, text, ours.privateKey);
const byAttacker = (text: Buffer): Buffer => sign(null, text, attackers.privateKey);
const header = { alg: 'EdDSA', typ: 'JWT', kid: 'ours' };

describe('verifyToken', () => {
  it('takes what signToken made', () => {
    const verified = verifyToken(signToken(claims, ours), keys, expected);
    assert.equal(verified.kind, 'valid');
    assert.equal(verified.kind === 'valid' && verified.claims.sub, 'alice');
  });

  const attackerJwk = createPublicKey(attackers.privateKey).export({ format: 'jwk' });
  const rows: readonly (readonly [what: string, token: string, why: RegExp])[] = [
    ['a JWK of the attacker with a kid that is trusted', forged({ ...header, jwk: attackerJwk }, claims, byAttacker), /a key of its own/],
    ['the same, signed by us', forged({ ...header, jwk: attackerJwk }, claims, byOurs), /a key of its own/],
    ['a certificate chain', forged({ ...header, x5c: ['MII'] }, claims, byAttacker), /a key of its own/],
    ['a key to be fetched', forged({ ...header, jku: 'https://attacker' }, claims, byAttacker), /a key of its own/],
    ['an extension that must be understood', forged({ ...header, crit: ['b64'], b64: false }, claims, byOurs), /a key of its own/],
    ['the attacker’s signature with our kid', forged(header, claims, byAttacker), /signature is not ours/],
    ['alg none with a signature', forged({ ...header, alg: 'none' }, claims, byOurs), /algorithm/],
    ['alg none without one', `${encode({ alg: 'none', kid: 'ours' })}.${encode(claims)}.`, /no signed token/],
    [
      'HS256 keyed with our public key',
      forged({ ...header, alg: 'HS256' }, claims, (text) =>
        createHmac('sha256', ours.publicKey.export({ type: 'spki', format: 'pem' }))
          .update(text)
          .digest(),
      ),
      /algorithm/,
    ],
    ['an unknown kid', forged({ ...header, kid: 'other' }, claims, byOurs), /none of ours/],
    ['a kid that is no text', forged({ ...header, kid: ['ours'] }, claims, byOurs), /none of ours/],
    ['a kid that every object has', forged({ ...header, kid: '__proto__' }, claims, byOurs), /none of ours/],
    ['no kid', forged({ alg: 'EdDSA' }, claims, byOurs), /none of ours/],
    ['another issuer', signToken({ ...claims, iss: 'them' }, ours), /somebody else/],
    ['another audience', signToken({ ...claims, aud: 'other' }, ours), /another service/],
    ['a list of audiences', signToken({ ...claims, aud: ['registry'] }, ours), /another service/],
    ['expired', signToken({ ...claims, exp: seconds - 31 }, ours), /expired/],
    ['no end', signToken({ ...claims, exp: undefined }, ours), /expired/],
    ['an end that is text', signToken({ ...claims, exp: '9999999999' }, ours), /expired/],
    ['a future nbf', signToken({ ...claims, nbf: seconds + 31 }, ours), /not valid yet/],
    ['claims that are a list', forged(header, [claims], byOurs), /no claims/],
    ['four parts', `${signToken(claims, ours)}.x`, /no signed token/],
    ['padding', `${signToken(claims, ours)}=`, /no signed token/],
    ['too long', 'a'.repeat(70_000), /too long/],
    ['nothing', '', /no signed token/],
  ];
  for (const [what, token, why] of rows)
    it(`SEC-27: refuses ${what}`, () => {
      const verified = verifyToken(token, keys, expected);
      assert.equal(verified.kind, 'refused');
      if (verified.kind === 'refused') assert.match(verified.why, why);
    });

  it('takes clocks that are half a minute off', () => {
    assert.equal(verifyToken(signToken({ ...claims, nbf: seconds + 29 }, ours), keys, expected).kind, 'valid');
    assert.equal(verifyToken(signToken({ ...claims, exp: seconds - 29 }, ours), keys, expected).kind, 'valid');
  });

  it('SEC-27: no token survives the change of any of its characters', () => {
    const token = signToken(claims, ours);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    property(
      forAll(tuple(nat(token.length - 1), integer({ min: 0, max: 63 })), ([at, letter]) => {
        const changed = `${token.slice(0, at)}${alphabet[letter]}${token.slice(at + 1)}`;
        return changed === token || verifyToken(changed, keys, expected).kind === 'refused';
      }),
      { numRuns: 300 },
    );
  });
});
