/** Which daemon to talk to: `-H`, then GANTRY_HOST, then DOCKER_HOST, then the context, then this machine's default. */
import { DEFAULT_ADDRESS } from '../../client/address.ts';
import type { DockerConfig } from '../../client/credentials/docker-config.ts';
import { CliError } from '../cli-error.ts';

export interface AddressChoice {
  readonly hosts: readonly string[];
  /** `--context`; empty when not given. */
  readonly context: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly config: DockerConfig;
}

export async function chooseAddress(choice: AddressChoice): Promise<string> {
  const { hosts, context, env } = choice;
  if (hosts.length > 1) throw new CliError('specify only one -H');
  if (hosts.length > 0 && context !== '') throw new CliError('conflicting options: cannot specify both --host and --context');
  if (hosts[0] !== undefined && hosts[0] !== '') return hosts[0];
  const name = contextInUse(choice);
  if (name === null) return env.GANTRY_HOST || env.DOCKER_HOST || DEFAULT_ADDRESS;
  return contextAddress(choice, name);
}

/** The context that says where the daemon is; null: something else does, or it is this machine's. */
export function contextInUse({ hosts, context, env, config }: AddressChoice): string | null {
  if (hosts[0] || (context === '' && (env.GANTRY_HOST || env.DOCKER_HOST))) return null;
  const name = context || env.DOCKER_CONTEXT || config.file.currentContext || 'default';
  return name === 'default' ? null : name;
}

async function contextAddress({ config }: AddressChoice, name: string): Promise<string> {
  // Loaded only here: it needs node:crypto, and almost nobody has contexts.
  const { readContext } = await import('./contexts.ts');
  return readContext(config.directory, name).address || DEFAULT_ADDRESS;
}

/** The context in use, and the variable that overrides it, if any. */
export function currentContext(
  env: Readonly<Record<string, string | undefined>>,
  config: DockerConfig,
): { readonly name: string; readonly overriddenBy: string | null } {
  const name = env.DOCKER_CONTEXT || config.file.currentContext || 'default';
  if (env.GANTRY_HOST) return { name: 'default', overriddenBy: 'GANTRY_HOST' };
  if (env.DOCKER_HOST) return { name: 'default', overriddenBy: 'DOCKER_HOST' };
  return { name, overriddenBy: null };
}
