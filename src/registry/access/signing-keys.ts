/**
 * The keys that tokens are signed with: `<root>/token-keys/<thumbprint>.pem` (Ed25519, mode 0600), made at the first start. The newest signs, all verify; `rotateKeys`
 * adds one, and removes those that were replaced so long ago that no token of theirs is valid. So tokens survive a restart and a rotation.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../../base/errors.ts';
import type { SigningKey, VerifyingKeys } from './json-web-token.ts';

export interface TokenKeys {
  readonly signing: SigningKey;
  readonly verifying: VerifyingKeys;
}

interface StoredKey extends SigningKey {
  readonly path: string;
  /** When it began to sign. */
  readonly since: number;
}

export async function openTokenKeys(directory: string): Promise<TokenKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const stored = await readKeys(directory);
  return asTokenKeys(stored.length > 0 ? stored : [await makeKey(directory)]);
}

/** `keepMs`: how long a token is valid at most. */
export async function rotateKeys(directory: string, keepMs: number, now: number = Date.now()): Promise<TokenKeys> {
  const [replaced, ...older] = await readKeys(directory);
  const fresh = await makeKey(directory);
  const stillNeeded: StoredKey[] = [];
  // A key signed until the next one came.
  let endedSigning = replaced?.since ?? 0;
  for (const key of older) {
    if (now - endedSigning > keepMs) await rm(key.path, { force: true });
    else stillNeeded.push(key);
    endedSigning = key.since;
  }
  return asTokenKeys([fresh, ...(replaced === undefined ? [] : [replaced]), ...stillNeeded]);
}

function asTokenKeys(keys: readonly StoredKey[]): TokenKeys {
  const [newest] = keys;
  if (newest === undefined) throw invalid('there is no key to sign tokens with');
  return { signing: newest, verifying: new Map(keys.map(({ id, privateKey }) => [id, createPublicKey(privateKey)])) };
}

/** Newest first. */
async function readKeys(directory: string): Promise<StoredKey[]> {
  const names = (await readdir(directory).catch((error) => (hasErrnoCode(error, 'ENOENT') ? [] : Promise.reject(error)))) as string[];
  const keys = await Promise.all(names.filter((name) => name.endsWith('.pem')).map((name) => readKey(join(directory, name))));
  return keys.sort((a, b) => b.since - a.since);
}

async function readKey(path: string): Promise<StoredKey> {
  const { mode, mtimeMs } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw invalid(
      `others may read ${path}, with which tokens are signed: chmod 600 it, or remove it if that went on for long (tokens end with it)`,
    );
  try {
    const privateKey = createPrivateKey(await readFile(path));
    if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error(`it is of type ${privateKey.asymmetricKeyType}, not ed25519`);
    return { id: thumbprint(privateKey), privateKey, path, since: mtimeMs };
  } catch (cause) {
    throw invalid(`cannot read the key ${path}: ${errorText(cause)}. Remove it to end the tokens that it signed`, { cause });
  }
}

async function makeKey(directory: string): Promise<StoredKey> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const path = join(directory, `${thumbprint(privateKey)}.pem`);
  const file = await open(`${path}.new`, 'wx', 0o600);
  try {
    await file.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncDirectory(directory);
  return { id: thumbprint(privateKey), privateKey, path, since: (await stat(path)).mtimeMs };
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** RFC 7638: the hash of the public key's required members, in order. */
function thumbprint(privateKey: KeyObject): string {
  const { crv, kty, x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}
