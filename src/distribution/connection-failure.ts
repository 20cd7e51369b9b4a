/** No answer came: the words of Go's network stack, which scripts match on, and what to do about it. */
import { errorText } from '../base/errors.ts';
import { RegistryError } from './registry-error.ts';

/** The address is one that a redirect, a realm or a foreign URL may not lead to (`address-rule.ts`). */
export class AddressRefused extends Error {
  constructor(address: string) {
    super(`address ${address} is refused: a public server may not send this machine to private, loopback or link-local addresses`);
  }
}

const certificateCodes: readonly string[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
];

export function connectionFailure(method: string, url: URL, cause: unknown): RegistryError {
  const failure = { host: url.host, status: null, registryCode: null, retryable: isRetryable(cause) };
  const code = cause instanceof AddressRefused ? 'forbidden' : 'unavailable';
  return new RegistryError(code, `${goMethod(method)} "${withoutQuery(url)}": ${reason(url, cause)}`, failure, { cause });
}

/** Queries of storage redirects are credentials. */
export function withoutQuery(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

export function goMethod(method: string): string {
  return method.charAt(0) + method.slice(1).toLowerCase();
}

/** Another protocol is spoken there, or none: what makes an insecure registry be asked over plain HTTP. */
export function isTlsRefused(thrown: unknown): boolean {
  const code = causeCode(thrown);
  return code.startsWith('ERR_SSL_') || code === 'EPROTO' || code === 'ECONNRESET' || code === 'ETIMEDOUT';
}

/** Nobody is there: asking again in a second helps nobody who waits for an answer. */
export function isNobodyThere(thrown: unknown): boolean {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH'].includes(causeCode(thrown));
}

function isRetryable(cause: unknown): boolean {
  if (cause instanceof AddressRefused) return false;
  const code = causeCode(cause);
  return !(code === 'ENOTFOUND' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || isCertificate(code));
}

function isCertificate(code: string): boolean {
  return certificateCodes.includes(code) || code.startsWith('CERT_');
}

function reason(url: URL, cause: unknown): string {
  const code = causeCode(cause);
  const trust = `(its CA belongs into /etc/docker/certs.d/${url.host}/ca.crt)`;
  if (code === 'ECONNREFUSED') return `dial tcp ${dialled(cause)}: connect: connection refused`;
  if (code === 'EHOSTUNREACH') return `dial tcp ${dialled(cause)}: connect: no route to host`;
  if (code === 'ENETUNREACH') return `dial tcp ${dialled(cause)}: connect: network is unreachable`;
  if (code === 'ENOTFOUND') return `dial tcp: lookup ${url.hostname}: no such host`;
  if (code === 'EAI_AGAIN') return `dial tcp: lookup ${url.hostname}: temporary failure in name resolution`;
  if (code === 'ETIMEDOUT') return 'net/http: request canceled while waiting for an answer (Client.Timeout exceeded)';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return `http: server gave HTTP response to HTTPS client (if it is meant to be one, add "${url.host}" to insecure-registries)`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `tls: failed to verify certificate: ${errorText(cause)}`;
  if (code === 'CERT_HAS_EXPIRED') return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  if (isCertificate(code)) return `tls: failed to verify certificate: x509: certificate signed by unknown authority ${trust}`;
  if (code === 'ECONNRESET') return 'EOF (the connection was closed before an answer came)';
  return errorText(cause);
}

function causeCode(thrown: unknown): string {
  const direct = (thrown as NodeJS.ErrnoException | null)?.code;
  if (thrown instanceof RegistryError) return causeCode(thrown.cause);
  // Several addresses were tried: the last one speaks for all.
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return causeCode(thrown.errors.at(-1));
  return typeof direct === 'string' ? direct : '';
}

function dialled(cause: unknown): string {
  const last = cause instanceof AggregateError ? (cause.errors.at(-1) as unknown) : cause;
  const { address = '', port = '' } = (last ?? {}) as { address?: string; port?: number };
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
