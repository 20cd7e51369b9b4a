/**
 * `/token`: where clients get the tokens that challenges ask for. GET with `Basic` (Docker's token protocol), POST with a form (its OAuth 2 form); both give a refresh token to
 * who asks for one with a password, so that `docker login` stores that and not the password.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RegistryRefusal } from '../registry-refusal.ts';
import { basicParts, type Credentials, type RegistryAccess } from './registry-access.ts';
import { parseScopes, type ScopeEntry } from './scope.ts';

interface TokenRequest {
  readonly credentials: Credentials;
  readonly service: string | null;
  readonly scopes: readonly ScopeEntry[];
  readonly wantsRefreshToken: boolean;
}

const maxFormBytes = 64 * 1024;

/** Errors are `RegistryRefusal`s. */
export async function answerTokenRequest(
  access: RegistryAccess,
  request: IncomingMessage,
  response: ServerResponse,
  address: string,
): Promise<{ readonly user: string | null }> {
  if (!access.asksForPasswords) throw new RegistryRefusal('UNSUPPORTED', 'this registry asks nobody for a token', null, 404);
  const wanted = request.method === 'POST' ? await readForm(request) : readQuery(request);
  if (wanted.service !== null && wanted.service !== access.service)
    throw new RegistryRefusal('DENIED', `tokens for the service ${JSON.stringify(wanted.service)} are not made here`, null, 400);
  const known = await access.userOf(wanted.credentials, address);
  if (known === null) throw refusalOf(wanted.credentials);
  const { token, expiresInSeconds, issuedAt, granted } = access.issue(known.user, wanted.scopes);
  const hasRefreshToken = wanted.wantsRefreshToken && known.user !== null;
  const body = JSON.stringify({
    token,
    access_token: token,
    expires_in: expiresInSeconds,
    issued_at: issuedAt.toISOString(),
    scope: granted.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`).join(' '),
    ...(hasRefreshToken && known.user !== null
      ? { refresh_token: wanted.credentials.kind === 'refresh' ? wanted.credentials.token : access.issueRefreshToken(known.user) }
      : {}),
  });
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  return known;
}

function refusalOf(credentials: Credentials): RegistryRefusal {
  if (credentials.kind === 'none') return new RegistryRefusal('UNAUTHORIZED', 'authentication required');
  return new RegistryRefusal(
    'UNAUTHORIZED',
    credentials.kind === 'refresh' ? 'the refresh token is not valid: log in again' : 'incorrect username or password',
  );
}

function readQuery(request: IncomingMessage): TokenRequest {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw new RegistryRefusal('UNSUPPORTED', `${request.method} is not known here: GET or POST`);
  const query = new URL(request.url ?? '/', 'http://registry').searchParams;
  const [, encoded] = /^basic +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (encoded === undefined && request.headers.authorization !== undefined)
    throw new RegistryRefusal('UNAUTHORIZED', 'tokens are given for Basic authentication, or for none');
  const [user, password] = basicParts(encoded ?? '');
  return {
    credentials: encoded === undefined ? { kind: 'none' } : { kind: 'password', user, password },
    service: query.get('service'),
    scopes: parseScopes(query.getAll('scope')),
    wantsRefreshToken: query.get('offline_token') === 'true',
  };
}

async function readForm(request: IncomingMessage): Promise<TokenRequest> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? ''))
    throw new RegistryRefusal('UNSUPPORTED', 'a form is expected: application/x-www-form-urlencoded', null, 415);
  const form = new URLSearchParams(await readText(request));
  return {
    credentials: formCredentials(form),
    service: form.get('service'),
    scopes: parseScopes(form.getAll('scope')),
    wantsRefreshToken: form.get('access_type') === 'offline' || form.get('grant_type') === 'refresh_token',
  };
}

function formCredentials(form: URLSearchParams): Credentials {
  switch (form.get('grant_type')) {
    case 'password':
      return { kind: 'password', user: form.get('username') ?? '', password: form.get('password') ?? '' };
    case 'refresh_token':
      return { kind: 'refresh', token: form.get('refresh_token') ?? '' };
    default:
      throw new RegistryRefusal('DENIED', 'grant_type must be password or refresh_token', null, 400);
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxFormBytes)
      throw new RegistryRefusal('SIZE_INVALID', `a form of a token request has at most ${maxFormBytes} bytes`, null, 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
