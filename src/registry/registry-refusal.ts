/** Errors of the distribution specification: `{"errors":[{"code","message","detail"}]}` with the status that belongs to each. */
import { EngineError, type ErrorCode } from '../base/errors.ts';

/** OCI distribution v1.1, "Error Codes"; `QUOTA_EXCEEDED` is ours (the table may be extended). */
export type RefusalCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'RANGE_INVALID'
  | 'QUOTA_EXCEEDED'
  | 'UNAVAILABLE';

const kinds: Readonly<Record<RefusalCode, readonly [status: number, code: ErrorCode]>> = {
  BLOB_UNKNOWN: [404, 'not-found'],
  BLOB_UPLOAD_INVALID: [400, 'invalid'],
  BLOB_UPLOAD_UNKNOWN: [404, 'not-found'],
  DIGEST_INVALID: [400, 'invalid'],
  MANIFEST_BLOB_UNKNOWN: [404, 'not-found'],
  MANIFEST_INVALID: [400, 'invalid'],
  MANIFEST_UNKNOWN: [404, 'not-found'],
  NAME_INVALID: [400, 'invalid'],
  NAME_UNKNOWN: [404, 'not-found'],
  SIZE_INVALID: [400, 'invalid'],
  UNAUTHORIZED: [401, 'unauthorized'],
  DENIED: [403, 'forbidden'],
  UNSUPPORTED: [405, 'not-implemented'],
  TOOMANYREQUESTS: [429, 'unavailable'],
  RANGE_INVALID: [416, 'invalid'],
  QUOTA_EXCEEDED: [403, 'forbidden'],
  UNAVAILABLE: [503, 'unavailable'],
};

export const refusalCodes = Object.keys(kinds) as readonly RefusalCode[];

export class RegistryRefusal extends EngineError {
  override readonly name = 'RegistryRefusal';
  readonly refusal: RefusalCode;
  readonly status: number;
  readonly detail: unknown;
  /** Becomes `Retry-After`. */
  readonly retryAfterSeconds: number | null;

  constructor(
    refusal: RefusalCode,
    message: string,
    detail: unknown = null,
    status: number = kinds[refusal][0],
    retryAfterSeconds: number | null = null,
  ) {
    super(kinds[refusal][1], message);
    this.refusal = refusal;
    this.status = status;
    this.detail = detail;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
