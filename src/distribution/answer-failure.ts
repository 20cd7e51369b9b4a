/** An answer that is no success becomes a `RegistryError`: the registry's own code and words in Docker's form (`manifest unknown: …`), under a limit. */
import type { ErrorCode } from '../base/errors.ts';
import { isObject } from '../oci/json.ts';
import { parseChallenges } from './challenge.ts';
import { type HttpAnswer, readWhole } from './http-transport.ts';
import { RegistryError, type RegistryFailure } from './registry-error.ts';

const bodyLimitBytes = 64 * 1024;
const textLimit = 500;

export interface RegistryWords {
  readonly code: string | null;
  readonly message: string;
}

/** `secrets`: what must not be in the text, should the other side send it back. */
export async function answerFailure(answer: HttpAnswer, secrets: readonly string[], stallMs = 10_000): Promise<RegistryError> {
  const said = answer.method === 'HEAD' ? null : await wordsOf(answer, stallMs);
  const words = challengeWords(answer) ?? said;
  const text = words
    ? spoken(words, answer.status)
    : `${answer.url.host} answered ${answer.status} to ${answer.method} ${answer.url.pathname}`;
  return new RegistryError(errorCode(answer.status), scrub(text, secrets), failureOf(answer, words?.code ?? null));
}

export function failureOf(answer: HttpAnswer, registryCode: string | null): RegistryFailure {
  const { status } = answer;
  const retryAfterMs = retryAfter(answer.headers['retry-after'], Date.now());
  const retryable = status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
  return { host: answer.url.host, status, registryCode, retryable, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
}

/** Seconds or a date (RFC 9110, section 10.2.3); null where it is neither. */
export function retryAfter(header: string | undefined, now: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret.length > 3) clean = clean.replaceAll(secret, '***');
  return clean;
}

/** The words beside a status, which are the other side's too. */
export function spokenStatus(statusMessage: string, secrets: readonly string[]): string {
  return scrub(printable(statusMessage), secrets);
}

/** What a challenge says of the token that came (RFC 6750, section 3.1): Docker believes it before the body, which says less. */
function challengeWords({ status, headers }: HttpAnswer): RegistryWords | null {
  if (status !== 401 && status !== 403) return null;
  const bearer = parseChallenges(String(headers['www-authenticate'] ?? '')).find(({ scheme }) => scheme === 'bearer');
  const description = printable(bearer?.parameters.get('error_description') ?? '');
  switch (bearer?.parameters.get('error')) {
    case 'insufficient_scope':
      return { code: 'DENIED', message: description || 'requested access to the resource is denied' };
    case 'invalid_token':
      return { code: 'UNAUTHORIZED', message: description || 'authentication required' };
    default:
      return null;
  }
}

async function wordsOf(answer: HttpAnswer, stallMs: number): Promise<RegistryWords | null> {
  try {
    return parseWords((await readWhole(answer, bodyLimitBytes, stallMs, 'the error')).toString());
  } catch {
    return null;
  }
}

/** `{"errors":[{"code","message"}]}`, or a token server's `{"details"}`, `{"error_description"}`, `{"message"}`. */
export function parseWords(body: string): RegistryWords | null {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return null;
  }
  if (!isObject(document)) return null;
  const first: unknown = Array.isArray(document.errors) ? document.errors[0] : undefined;
  if (isObject(first)) {
    const code = typeof first.code === 'string' ? printable(first.code) : null;
    const message = typeof first.message === 'string' ? printable(first.message) : '';
    return code === null && message === '' ? null : { code, message };
  }
  const plain = [document.details, document.error_description, document.message, document.error].find((text) => typeof text === 'string');
  return plain === undefined ? null : { code: null, message: printable(plain) };
}

/** What a status says where the answer has no code of its own: token servers mostly. */
const codeOfStatus: Readonly<Record<number, string>> = { 401: 'UNAUTHORIZED', 403: 'DENIED', 429: 'TOOMANYREQUESTS' };

/** Docker's `Error.Error()`: the code in words, then the message. */
function spoken({ code: own, message }: RegistryWords, status: number): string {
  const code = own ?? codeOfStatus[status] ?? null;
  if (code === null) return message;
  const words = code.toLowerCase().replaceAll('_', ' ');
  return `${words}: ${message || words}`;
}

/** What a server says, for a terminal: in one line, without control characters, cut where it is too long. */
export function printable(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return clean.length > textLimit ? `${clean.slice(0, textLimit)}…` : clean;
}

function errorCode(status: number): ErrorCode {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 409) return 'conflict';
  if (status === 405 || status === 501) return 'not-implemented';
  return status >= 400 && status < 500 && status !== 429 && status !== 408 ? 'invalid' : 'unavailable';
}
