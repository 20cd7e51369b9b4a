/**
 * htpasswd files: `user:hash` a line, `#` a comment. bcrypt alone (`htpasswd -B`): the other kinds are too cheap to guess, and are refused by name, with the line. All
 * of a file's mistakes are told at once; hashes are in no message.
 */
import { invalid } from '../../base/errors.ts';

/** From user to bcrypt hash. */
export type PasswordFile = ReadonlyMap<string, string>;

const bcryptHash = /^\$2[aby]\$(\d{2})\$[./A-Za-z0-9]{53}$/;
/** Beyond it one check takes a core for more than ten seconds. */
const maxCost = 16;

export function parseHtpasswd(content: string, path: string): PasswordFile {
  const users = new Map<string, string>();
  const findings: string[] = [];
  for (const [index, line] of content.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const entry = readLine(trimmed);
    if (typeof entry === 'string') findings.push(`${path}:${index + 1}: ${entry}`);
    else if (users.has(entry.user)) findings.push(`${path}:${index + 1}: ${JSON.stringify(entry.user)} is there twice`);
    else users.set(entry.user, entry.hash);
  }
  if (findings.length > 0) throw invalid(`cannot use the password file ${path}:\n${findings.map((finding) => `  ${finding}`).join('\n')}`);
  return users;
}

/** The entry, or what is wrong with it. */
function readLine(line: string): { readonly user: string; readonly hash: string } | string {
  const colon = line.indexOf(':');
  if (colon < 1) return 'must be USER:HASH';
  const [user, hash] = [line.slice(0, colon), line.slice(colon + 1)];
  if (/[\u0000-\u001f\u007f-\u009f]/.test(user)) return 'a user whose name holds control characters';
  if (user === '*') return 'no user can be called "*": in rules that is everybody';
  const cost = bcryptHash.exec(hash)?.[1];
  if (cost === undefined) return `${JSON.stringify(user)} has ${kindOf(hash)}, only bcrypt is taken: htpasswd -B`;
  const rounds = Number(cost);
  if (rounds < 4 || rounds > maxCost) return `${JSON.stringify(user)} has a bcrypt hash of cost ${rounds}: 4 to ${maxCost} are taken`;
  return { user, hash };
}

function kindOf(hash: string): string {
  if (hash.startsWith('$apr1$') || hash.startsWith('$1$')) return 'an MD5 hash';
  if (hash.startsWith('{SHA}') || hash.startsWith('{SSHA}')) return 'a SHA-1 hash';
  if (hash.startsWith('$5$')) return 'a SHA-256 hash';
  if (hash.startsWith('$6$')) return 'a SHA-512 hash';
  if (hash.startsWith('$argon2')) return 'an Argon2 hash';
  if (/^\$2[aby]?\$/.test(hash)) return 'a damaged bcrypt hash';
  if (/^[./A-Za-z0-9]{13}$/.test(hash)) return 'a DES crypt hash';
  return 'a plain or unknown password';
}
