/** Checks credentials: `GET /v2/` with them. A registry that has tokens gives one that lasts, if it can, and that is kept instead of the password. */
import { goMethod, withoutQuery } from './connection-failure.ts';
import { createEndpointSession, type SessionContext } from './endpoint-session.ts';
import { registryEndpoint } from './endpoints.ts';
import { discard } from './http-transport.ts';
import type { RegistryCredentials } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';

export async function logIn(
  context: SessionContext,
  domain: string,
  credentials: RegistryCredentials,
  signal?: AbortSignal,
): Promise<{ readonly identityToken: string }> {
  // Nothing that was learned before: the credentials are what is in question.
  const fresh = { ...context, tokens: { tokens: new Map(), challenges: new Map() } };
  const session = createEndpointSession(fresh, registryEndpoint(context.settings, domain), credentials);
  const answer = await session.send({ method: 'GET', path: '/v2/', scopes: [], signal });
  discard(answer);
  if (answer.status === 200) return { identityToken: (await session.authorizer.offlineToken(signal))?.refreshToken ?? '' };
  const reason = answer.status === 404 ? ': there is no registry' : '';
  const text = `login attempt to ${withoutQuery(answer.url)} failed with status: ${answer.status} ${goMethod(statusText(answer.body.statusMessage))}${reason}`;
  const failure = { host: answer.url.host, status: answer.status, registryCode: null, retryable: false };
  throw new RegistryError(answer.status === 401 || answer.status === 403 ? 'unauthorized' : 'unavailable', text, failure);
}

function statusText(message: string | undefined): string {
  return message ?? '';
}
