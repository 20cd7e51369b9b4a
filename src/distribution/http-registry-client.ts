/** Registries over HTTP: what `registry-client.ts` promises, put together from endpoints, sessions and the requests of each verb. */
import { invalid } from '../base/errors.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { createEndpointOrder, type EndpointOrder } from './endpoint-order.ts';
import { createEndpointSession, type EndpointSession, type SessionContext } from './endpoint-session.ts';
import { registryEndpoint } from './endpoints.ts';
import { logIn } from './login.ts';
import { listNames } from './name-lists.ts';
import type { RegistryClient, RegistryCredentials, RegistrySettings, Repository, RepositoryName } from './registry-client.ts';
import { createRepository } from './repository.ts';
import { createRoutes } from './routes.ts';
import { searchImages } from './search.ts';

export interface RegistryClientOptions {
  /** `gantry/0.1.0` */
  readonly userAgent?: string;
  readonly logger?: Logger;
}

const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;

export function createRegistryClient(settings: RegistrySettings, options: RegistryClientOptions = {}): RegistryClient {
  const { userAgent = 'gantry', logger = silentLogger } = options;
  const contextOf = (chosen: RegistrySettings): SessionContext & { readonly order: EndpointOrder } => ({
    settings: chosen,
    routes: createRoutes(chosen),
    tokens: { tokens: new Map(), challenges: new Map() },
    schemes: new Map(),
    order: createEndpointOrder(),
    userAgent,
    logger,
  });
  let context = contextOf(settings);

  const registrySession = (domain: string, credentials: RegistryCredentials | null): EndpointSession =>
    createEndpointSession(context, registryEndpoint(context.settings, domain), credentials);

  return {
    repository(name, credentials): Repository {
      checkName(name);
      return createRepository(context, name, credentials);
    },
    login: (domain, credentials, signal) => logIn(context, domain, credentials, signal),
    search: (term, searchOptions) => searchImages(context, term, searchOptions),
    repositoriesOf(domain, credentials, signal) {
      const question = { path: '/v2/_catalog', key: 'repositories', scopes: ['registry:catalog:*'], signal };
      return listNames(registrySession(domain, credentials), question);
    },
    configure(changed) {
      const before = context.routes;
      context = contextOf(changed);
      before.retire();
    },
    close: () => context.routes.retire(),
  };
}

/** References are checked where they are parsed; paths from elsewhere end up in URLs too. */
function checkName({ domain, path }: RepositoryName): void {
  if (!path.split('/').every((component) => pathComponent.test(component)) || path.length > 255)
    throw invalid(`invalid repository name: ${JSON.stringify(path)}`);
  let host = '';
  try {
    host = new URL(`https://${domain}/`).host;
  } catch {
    // told below
  }
  if (host === '' || host !== domain.toLowerCase().replace(/:443$/, '')) throw invalid(`invalid registry name: ${JSON.stringify(domain)}`);
}
