/** The other side of a classic build: an archive in the request's body, credentials in a header, and an answer that only goes one way: it can be asked for nothing else. */
import type { IncomingMessage } from 'node:http';
import { invalid, notFound, notImplemented } from '../../base/errors.ts';
import type { BuildClient } from '../../build/build-client.ts';
import type { BuildEvent } from '../../build/build-event.ts';
import type { RegistryCredentials } from '../../images/transfers.ts';
import { bodyContext } from './build-parameters.ts';

export interface ClassicClientParts {
  readonly request: IncomingMessage;
  readonly dockerfilePath: string | null;
  readonly credentials: ReadonlyMap<string, RegistryCredentials>;
  report(event: BuildEvent): void;
}

export function classicClient({ request, dockerfilePath, credentials, report }: ClassicClientParts): BuildClient {
  let bodyTaken = false;
  return {
    report,
    dockerfile: async () => null,
    async context(name) {
      if (name !== bodyContext) throw notFound(`the client has no context of the name ${JSON.stringify(name)}`);
      if (bodyTaken) throw invalid('the body of a build request can be read only once');
      bodyTaken = true;
      return { kind: 'tar', stream: request, dockerfiles: dockerfilePath === null ? ['Dockerfile', 'dockerfile'] : [dockerfilePath] };
    },
    secret: async () => null,
    hasSshAgent: async () => false,
    async connectSshAgent(id) {
      throw notFound(
        `the client has no SSH agent ${JSON.stringify(id)}: the classic builder's protocol carries none; use gantry build --ssh, or buildx`,
      );
    },
    credentials: async (registry) => credentials.get(registry) ?? null,
    async output() {
      throw notImplemented("the classic builder's protocol has no way back for files: use gantry build --output, or buildx");
    },
  };
}
