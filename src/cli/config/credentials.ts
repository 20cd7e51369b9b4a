/** What a command shows a registry. A store that fails is told and does not stop what may need no credentials at all. */
import { errorText } from '../../base/errors.ts';
import { CredentialStore } from '../../client/credentials/credential-store.ts';
import type { RegistryCredentials } from '../../client/types.ts';
import type { CommandContext } from '../command.ts';

export async function credentialsFor(context: CommandContext, domain: string): Promise<RegistryCredentials> {
  try {
    return await credentialStore(context).get(domain);
  } catch (error) {
    context.printError(`WARNING: ${errorText(error)}\nWARNING: asking ${domain} without credentials\n`);
    return {};
  }
}

export function credentialStore({ config, io }: CommandContext): CredentialStore {
  return new CredentialStore(config, io.env);
}
