/** Any thrown value as the answer that the specification asks for ("Error Codes"). What is a defect of ours or the disk's is told to the log, not to the client. */
import { EngineError, type ErrorCode } from '../../base/errors.ts';
import { type RefusalCode, RegistryRefusal } from '../registry-refusal.ts';

export interface Refusal {
  readonly status: number;
  readonly body: string;
  readonly unexpected: boolean;
}

/** The specification allows only its own codes in a 4xx; the message says the rest. */
const wireCodes: Partial<Readonly<Record<RefusalCode, string>>> = { RANGE_INVALID: 'BLOB_UPLOAD_INVALID', QUOTA_EXCEEDED: 'DENIED' };

const statuses: Readonly<Record<ErrorCode, readonly [status: number, code: string]>> = {
  invalid: [400, 'UNSUPPORTED'],
  unauthorized: [401, 'UNAUTHORIZED'],
  forbidden: [403, 'DENIED'],
  'not-found': [404, 'NAME_UNKNOWN'],
  conflict: [409, 'UNSUPPORTED'],
  'not-implemented': [405, 'UNSUPPORTED'],
  unavailable: [503, 'UNAVAILABLE'],
  system: [500, 'UNKNOWN'],
};

export function refusalOf(thrown: unknown): Refusal {
  if (thrown instanceof RegistryRefusal) {
    const { refusal, message, detail, status } = thrown;
    return { status, body: errorBody(wireCodes[refusal] ?? refusal, message, detail), unexpected: false };
  }
  if (!(thrown instanceof EngineError))
    return { status: 500, body: errorBody('UNKNOWN', 'internal error; the log of the registry says more', null), unexpected: true };
  const [status, code] = statuses[thrown.code];
  if (status !== 500) return { status, body: errorBody(code, thrown.message, null), unexpected: false };
  // A full disk is worth telling; paths of ours are not.
  const full =
    thrown.details.errno === 'ENOSPC' || thrown.details.errno === 'EDQUOT' || /no space left|quota exceeded/.test(thrown.message);
  const message = full ? 'the disk of the registry is full' : 'internal error; the log of the registry says more';
  return { status: full ? 507 : 500, body: errorBody('UNKNOWN', message, null), unexpected: true };
}

export function errorBody(code: string, message: string, detail: unknown): string {
  return `${JSON.stringify({ errors: [{ code, message, ...(detail === null ? {} : { detail }) }] })}\n`;
}
