/** How a gRPC call ends: a code, a message, and details that tell more to who knows them. */
import { EngineError, type ErrorCode, errorText } from '../../../base/errors.ts';
import { RpcStatus } from '../messages/gateway.ts';

export const grpcCodes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** `google.protobuf.Any`. */
export interface GrpcDetail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: number;
  readonly details: readonly GrpcDetail[];

  constructor(code: number, message: string, details: readonly GrpcDetail[] = []) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

const codeOf: Readonly<Record<ErrorCode, number>> = {
  invalid: grpcCodes.invalidArgument,
  unauthorized: grpcCodes.unauthenticated,
  forbidden: grpcCodes.permissionDenied,
  'not-found': grpcCodes.notFound,
  conflict: grpcCodes.failedPrecondition,
  'not-implemented': grpcCodes.unimplemented,
  unavailable: grpcCodes.unavailable,
  system: grpcCodes.unknown,
};

export function grpcErrorOf(thrown: unknown): GrpcError {
  if (thrown instanceof GrpcError) return thrown;
  if (thrown instanceof EngineError) return new GrpcError(codeOf[thrown.code], thrown.message);
  return new GrpcError(grpcCodes.unknown, errorText(thrown));
}

/** What a client of ours answered, as an error of ours. `what` was being done. */
export function engineErrorOf(error: GrpcError, what: string): EngineError {
  const found = Object.entries(codeOf).find(([, code]) => code === error.code)?.[0] as ErrorCode | undefined;
  return new EngineError(found ?? 'system', `${what}: ${error.message}`);
}

/** Node's limit on what one side sends as headers, and below what Go's clients take. */
export const headerLimitBytes = 1024 * 1024;
const messageLimit = 64 * 1024;
const detailsLimitBytes = 512 * 1024;

/** The trailers of a call. Details that are too large for a header are left out. */
export function statusTrailers(error: GrpcError | null): Record<string, string> {
  if (error === null) return { 'grpc-status': '0' };
  const message = error.message.length > messageLimit ? `${error.message.slice(0, messageLimit)}…` : error.message;
  const trailers = { 'grpc-status': String(error.code), 'grpc-message': encodeMessage(message) };
  if (error.details.length === 0) return trailers;
  const details = RpcStatus.encode({ code: error.code, message, details: error.details }).toString('base64');
  return details.length > detailsLimitBytes ? trailers : { ...trailers, 'grpc-status-details-bin': details.replace(/=+$/, '') };
}

/** Of trailers (or headers, where there was nothing but the status). Null: the call went well. */
export function readStatus(headers: Readonly<Record<string, unknown>>): GrpcError | null {
  const status = headers['grpc-status'];
  if (status === undefined) return new GrpcError(grpcCodes.internal, 'the other side ended the call without a status');
  const code = Number(status);
  if (code === 0) return null;
  const message = decodeMessage(typeof headers['grpc-message'] === 'string' ? headers['grpc-message'] : '');
  return new GrpcError(Number.isInteger(code) ? code : grpcCodes.unknown, message, readDetails(headers['grpc-status-details-bin']));
}

function readDetails(header: unknown): readonly GrpcDetail[] {
  if (typeof header !== 'string') return [];
  try {
    return RpcStatus.decode(Buffer.from(header, 'base64')).details;
  } catch {
    return [];
  }
}

/** Percent-encoded UTF-8: everything but printable ASCII, and `%` itself. */
export function encodeMessage(message: string): string {
  let encoded = '';
  for (const byte of Buffer.from(message, 'utf8'))
    encoded +=
      byte < 0x20 || byte > 0x7e || byte === 0x25 ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}` : String.fromCharCode(byte);
  return encoded;
}

/** What is no encoding is text. */
export function decodeMessage(encoded: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at += 1) {
    const escaped = encoded[at] === '%' ? /^[0-9A-Fa-f]{2}$/.exec(encoded.slice(at + 1, at + 3)) : null;
    bytes.push(escaped === null ? encoded.charCodeAt(at) & 0xff : Number.parseInt(escaped[0], 16));
    if (escaped !== null) at += 2;
  }
  return Buffer.from(bytes).toString('utf8');
}
