/** Checks credentials: `GET /v2/` with them. A registry that has tokens gives one that lasts, if it can, and that is kept instead of the password. */
import { spokenStatus } from './answer-failure.ts';
import { withoutQuery } from './connection-failure.ts';
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
  const answer = await session.send({ method: 'GET', path: '/v2/', scopes: [], signal, isRefusalAnswer: true });
  discard(answer);
  if (answer.status === 200) return { identityToken: (await session.authorizer.offlineToken(signal))?.refreshToken ?? '' };
  const { status, body, url } = answer;
  const code = status === 401 || status === 403 ? 'unauthorized' : 'unavailable';
  const words = spokenStatus(body.statusMessage ?? '', session.authorizer.secrets);
  const text = `login attempt to ${withoutQuery(url)} failed with status: ${status} ${words}`.trimEnd();
  throw session.authorizer.explain(new RegistryError(code, text, { host: url.host, status, registryCode: null, retryable: false }));
}
