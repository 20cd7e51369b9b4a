/**
 * Whether a password is a user's. One worker thread does bcrypt; what it found right is remembered for some minutes, as a hash of both under a key that
 * lives as long as the process, so that clients that send their password with each request (skopeo with `Basic`) cost no bcrypt each.
 *
 * A user that does not exist takes as long as one that does. Wrong passwords from one address are slowed down, of one user soon, of many a little later; only those: nobody is
 * refused because of guesses from elsewhere, and what is remembered is not asked for again.
 */
import { randomBytes, hash as sha, timingSafeEqual } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { WorkerCalls } from '../../store/worker-call.ts';
import type { PasswordFile } from './htpasswd.ts';
import { TokenBuckets } from './token-buckets.ts';

export type PasswordVerdict = { readonly kind: 'right' | 'wrong' } | { readonly kind: 'too-often'; readonly retryAfterSeconds: number };

const rememberMs = 300_000;
const maxRemembered = 10_000;
/** bcrypt looks at 72 bytes, as every program does that makes such hashes; longer ones are taken, but not without end. */
const maxPasswordBytes = 1024;
/** Longer names are nobody's: what is remembered of guesses must not grow with what is sent. */
const maxUserBytes = 255;
/** Of one user from one address: five at once, then one every ten seconds. */
const failures = { requestsPerSecond: 0.1, burst: 5 };
/** Of all users from one address: its guesses must not keep the thread from others. */
const addressFailures = { requestsPerSecond: 0.5, burst: 30 };
/** Checks in the worker or waiting for it. */
const maxWaiting = 64;

export interface PasswordCheckOptions {
  readonly now?: () => number;
  readonly workerEntry?: URL;
}

export class PasswordCheck {
  #users: PasswordFile;
  /** Checked for users that do not exist; as costly as the costliest of the file. */
  #decoy: string;
  readonly #now: () => number;
  readonly #key = randomBytes(32).toString('hex');
  readonly #remembered = new Map<string, { readonly tag: Buffer; readonly until: number }>();
  readonly #failures: TokenBuckets;
  readonly #addressFailures: TokenBuckets;
  readonly #worker: WorkerCalls;
  readonly #open = new Map<string, Promise<boolean>>();

  constructor(users: PasswordFile, options: PasswordCheckOptions = {}) {
    this.#users = users;
    this.#decoy = decoyFor(users);
    this.#now = options.now ?? (() => performance.now());
    this.#failures = new TokenBuckets(failures, this.#now);
    this.#addressFailures = new TokenBuckets(addressFailures, this.#now);
    this.#worker = bcryptWorker(options.workerEntry ?? new URL('./bcrypt-worker.ts', import.meta.url));
  }

  /** Of a file that was read again: whoever is no longer in it, or has another hash, is asked anew. */
  replaceUsers(users: PasswordFile): void {
    this.#users = users;
    this.#decoy = decoyFor(users);
  }

  hasUser(user: string): boolean {
    return this.#users.has(user);
  }

  /** Null: no such user. */
  hashOf(user: string): string | null {
    return this.#users.get(user) ?? null;
  }

  async check(user: string, password: string, address: string): Promise<PasswordVerdict> {
    if (Buffer.byteLength(user) > maxUserBytes) return { kind: 'wrong' };
    const hash = this.#users.get(user) ?? null;
    // Never leaves the process, so the key may simply come first; several times as fast as an HMAC, at each request.
    const tag = sha('sha256', `${this.#key}\0${hash ?? ''}\0${password}`, 'buffer');
    if (hash !== null && this.#isRemembered(user, tag)) return { kind: 'right' };
    const question = `${user}\0${tag.toString('base64')}`;
    const who = `${address}\0${user}`;
    // The same asked by many at once is one question, and one guess.
    const open = this.#open.get(question);
    if (open === undefined) {
      const waitSeconds = this.#open.size >= maxWaiting ? 5 : Math.max(this.#failures.wait(who), this.#addressFailures.wait(address));
      if (waitSeconds > 0) return { kind: 'too-often', retryAfterSeconds: Math.ceil(waitSeconds) };
      // Before the answer is known: of many guesses sent at once not all are looked at. A right one gets it back.
      this.#failures.take(who);
      this.#addressFailures.take(address);
    }
    const isRight = await (open ?? this.#compare(question, password, hash));
    if (!isRight) return { kind: 'wrong' };
    if (open === undefined) {
      this.#failures.giveBack(who);
      this.#addressFailures.giveBack(address);
    }
    this.#remember(user, tag);
    return { kind: 'right' };
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }

  #compare(question: string, password: string, hash: string | null): Promise<boolean> {
    const isRefused = Buffer.byteLength(password) > maxPasswordBytes || password.includes('\0');
    const answer = this.#worker
      .call<boolean>({ op: 'compare', password: isRefused ? '' : password, hash: hash ?? this.#decoy })
      .then((isEqual) => isEqual && hash !== null && !isRefused)
      .finally(() => this.#open.delete(question));
    this.#open.set(question, answer);
    return answer;
  }

  #isRemembered(user: string, tag: Buffer): boolean {
    const found = this.#remembered.get(user);
    if (found === undefined) return false;
    if (found.until > this.#now()) return timingSafeEqual(found.tag, tag);
    this.#remembered.delete(user);
    return false;
  }

  #remember(user: string, tag: Buffer): void {
    this.#remembered.delete(user);
    this.#remembered.set(user, { tag, until: this.#now() + rememberMs });
    const oldest = this.#remembered.keys().next();
    if (this.#remembered.size > maxRemembered && !oldest.done) this.#remembered.delete(oldest.value);
  }
}

/** For a password file. */
export async function hashPassword(password: string): Promise<string> {
  const worker = bcryptWorker(new URL('./bcrypt-worker.ts', import.meta.url));
  try {
    return await worker.call<string>({ op: 'hash', password, cost: 10 });
  } finally {
    await worker.close();
  }
}

function bcryptWorker(entry: URL): WorkerCalls {
  return new WorkerCalls(entry, {
    name: 'bcrypt',
    idleMs: 60_000,
    toError: ({ message }) => new EngineError('system', `a password could not be checked: ${message}`),
  });
}

/** A hash that no password has: its digest is all zero bits. */
function decoyFor(users: PasswordFile): string {
  const costs = [...users.values()].map((hash) => hash.slice(4, 6)).sort();
  return `$2b$${costs.at(-1) ?? '10'}$${'.'.repeat(53)}`;
}
